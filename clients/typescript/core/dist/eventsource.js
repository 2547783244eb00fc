/**
 * `EventSource` as WHATWG HTML, section 9.2, has it, with headers, a method and a body.
 *
 * What differs is opt-in: request options, a preset `lastEventId`, a `fetch` of one's own. It fails
 * for good where the standard says so (any status but 200, any other media type); for a client that
 * retries, renews tokens and tells of gaps see `createClient`.
 */
import { Parser } from './parser.js';
/** Wait before a reconnection unless the server says otherwise, in milliseconds. */
const RECONNECTION_TIME = 3_000;
/** Longest wait, in milliseconds, when attempts fail one after the other. */
const RECONNECTION_TIME_MAX = 60_000;
const states = { CONNECTING: 0, OPEN: 1, CLOSED: 2 };
/** A drop-in for the global of the same name. */
export class EventSource extends EventTarget {
    static CONNECTING = states.CONNECTING;
    static OPEN = states.OPEN;
    static CLOSED = states.CLOSED;
    CONNECTING = states.CONNECTING;
    OPEN = states.OPEN;
    CLOSED = states.CLOSED;
    /** The URL as it was resolved. */
    url;
    withCredentials;
    #state = 0;
    #options;
    #attempt;
    #timer;
    #failures = 0;
    #handlers = new Map();
    #parser;
    #origin = '';
    /** @throws {DOMException} `SyntaxError`, if `url` is not a URL. */
    constructor(url, options = {}) {
        super();
        const base = globalThis.location?.href;
        try {
            this.url = new URL(url, base).href;
        }
        catch {
            throw new DOMException(`${String(url)} is not a URL`, 'SyntaxError');
        }
        this.withCredentials = options.withCredentials ?? false;
        this.#options = options;
        this.#parser = new Parser({
            onEvent: ({ type, data, lastEventId }) => {
                if (this.#state === states.CLOSED)
                    return;
                const init = { data, lastEventId, origin: this.#origin };
                this.dispatchEvent(new MessageEvent(type, init));
            },
        }, {
            ...(options.maxEventBytes && { maxEventBytes: options.maxEventBytes }),
            ...(options.lastEventId && { lastEventId: options.lastEventId }),
        });
        // The caller sets its handlers first.
        queueMicrotask(() => this.#connect());
    }
    get readyState() {
        return this.#state;
    }
    get onopen() {
        return this.#handler('open');
    }
    set onopen(listener) {
        this.#handle('open', listener);
    }
    get onmessage() {
        return this.#handler('message');
    }
    set onmessage(listener) {
        this.#handle('message', listener);
    }
    get onerror() {
        return this.#handler('error');
    }
    set onerror(listener) {
        this.#handle('error', listener);
    }
    /** Ends it, in whatever state it is; nothing is dispatched afterwards. */
    close() {
        this.#state = states.CLOSED;
        clearTimeout(this.#timer);
        this.#attempt?.abort();
    }
    #handler(type) {
        return (this.#handlers.get(type)?.[0] ?? null);
    }
    #handle(type, listener) {
        const old = this.#handlers.get(type);
        if (old)
            this.removeEventListener(type, old[1]);
        this.#handlers.delete(type);
        if (typeof listener !== 'function')
            return;
        const call = (event) => listener.call(this, event);
        this.#handlers.set(type, [listener, call]);
        this.addEventListener(type, call);
    }
    #connect() {
        if (this.#state === states.CLOSED)
            return;
        const attempt = (this.#attempt = new AbortController());
        this.#run(attempt.signal).then(() => this.#again(), (error) => {
            if (this.#state === states.CLOSED)
                return;
            if (error instanceof TypeError || error?.name === 'TypeError')
                this.#again();
            else
                this.#fail();
        });
    }
    /** Resolves when the stream ends; a `TypeError` is a failure of the network. */
    async #run(signal) {
        const { headers, method = 'GET', body, fetch = globalThis.fetch } = this.#options;
        const id = new TextEncoder().encode(this.#parser.lastEventId);
        const response = await fetch(this.url, {
            method,
            signal,
            cache: 'no-store',
            credentials: this.withCredentials ? 'include' : 'same-origin',
            headers: {
                Accept: 'text/event-stream',
                ...headers,
                // Header values are bytes: of an id that is not ASCII, those of its UTF-8.
                ...(id.length && { 'Last-Event-ID': String.fromCharCode(...id) }),
            },
            ...(body !== undefined && { body }),
        });
        const kind = response.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase();
        if (response.status !== 200 || kind !== 'text/event-stream' || !response.body) {
            response.body?.cancel().catch(() => { });
            throw new Error('not an event stream');
        }
        if (this.#state === states.CLOSED)
            return;
        this.#state = states.OPEN;
        this.#failures = 0;
        this.#origin = new URL(response.url || this.url).origin;
        this.dispatchEvent(new Event('open'));
        this.#parser.reset();
        const reader = response.body.getReader();
        for (;;) {
            // A stream that breaks is like one that ends.
            const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }));
            if (done || !value || this.#state === states.CLOSED)
                break;
            this.#parser.feed(value);
        }
        reader.cancel().catch(() => { });
    }
    /** "Reestablish the connection". */
    #again() {
        if (this.#state === states.CLOSED)
            return;
        this.#state = states.CONNECTING;
        this.dispatchEvent(new Event('error'));
        if (this.#state === states.CLOSED)
            return;
        const time = this.#parser.reconnectionTime ?? RECONNECTION_TIME;
        const longer = Math.min(time * 2 ** this.#failures++, Math.max(time, RECONNECTION_TIME_MAX));
        this.#timer = setTimeout(() => this.#connect(), longer);
    }
    /** "Fail the connection": there is no way back. */
    #fail() {
        this.#state = states.CLOSED;
        this.#attempt?.abort();
        this.dispatchEvent(new Event('error'));
    }
}
//# sourceMappingURL=eventsource.js.map