/**
 * `EventSource` as WHATWG HTML, section 9.2, has it, with headers, a method and a body.
 *
 * What differs is opt-in: request options, a preset `lastEventId`, a `fetch` of one's own. It fails
 * for good where the standard says so (any status but 200, any other media type); for a client that
 * retries, renews tokens and tells of gaps see `createClient`.
 */
/** What the standard's class does not take. */
export interface EventSourceOptions {
    /** Send cookies also to other origins. */
    withCredentials?: boolean;
    headers?: Record<string, string>;
    /** `GET` unless given. Sent again at each reconnection, with the same body. */
    method?: string;
    body?: BodyInit;
    /** Where the first request asks to begin. */
    lastEventId?: string;
    fetch?: typeof globalThis.fetch;
    /** Largest event, in bytes: 8 MiB. A larger one fails the connection. */
    maxEventBytes?: number;
}
type Listener<E extends Event> = ((this: EventSource, event: E) => unknown) | null;
/** A drop-in for the global of the same name. */
export declare class EventSource extends EventTarget {
    #private;
    static readonly CONNECTING: 0;
    static readonly OPEN: 1;
    static readonly CLOSED: 2;
    readonly CONNECTING: 0;
    readonly OPEN: 1;
    readonly CLOSED: 2;
    /** The URL as it was resolved. */
    readonly url: string;
    readonly withCredentials: boolean;
    /** @throws {DOMException} `SyntaxError`, if `url` is not a URL. */
    constructor(url: string | URL, options?: EventSourceOptions);
    get readyState(): 0 | 1 | 2;
    get onopen(): Listener<Event>;
    set onopen(listener: Listener<Event>);
    get onmessage(): Listener<MessageEvent>;
    set onmessage(listener: Listener<MessageEvent>);
    get onerror(): Listener<Event>;
    set onerror(listener: Listener<Event>);
    /** Ends it, in whatever state it is; nothing is dispatched afterwards. */
    close(): void;
}
export {};
