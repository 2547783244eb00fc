/**
 * `EventSource` as WHATWG HTML, section 9.2, has it, with headers, a method and a body.
 *
 * What differs is opt-in: request options, a preset `lastEventId`, a `fetch` of one's own. It fails
 * for good where the standard says so (any status but 200, any other media type); for a client that
 * retries, renews tokens and tells of gaps see `createClient`.
 */

import { Parser } from './parser.js';

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

/** Wait before a reconnection unless the server says otherwise, in milliseconds. */
const RECONNECTION_TIME = 3_000;

/** Longest wait, in milliseconds, when attempts fail one after the other. */
const RECONNECTION_TIME_MAX = 60_000;

type Listener<E extends Event> = ((this: EventSource, event: E) => unknown) | null;

const states = { CONNECTING: 0, OPEN: 1, CLOSED: 2 } as const;

/** A drop-in for the global of the same name. */
export class EventSource extends EventTarget {
  static readonly CONNECTING = states.CONNECTING;
  static readonly OPEN = states.OPEN;
  static readonly CLOSED = states.CLOSED;
  readonly CONNECTING = states.CONNECTING;
  readonly OPEN = states.OPEN;
  readonly CLOSED = states.CLOSED;

  /** The URL as it was resolved. */
  readonly url: string;
  readonly withCredentials: boolean;

  #state: 0 | 1 | 2 = 0;
  #options: EventSourceOptions;
  #attempt: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #handlers = new Map<string, [Listener<never>, EventListener]>();
  #parser: Parser;
  #origin = '';

  /** @throws {DOMException} `SyntaxError`, if `url` is not a URL. */
  constructor(url: string | URL, options: EventSourceOptions = {}) {
    super();
    const base = (globalThis.location as Location | undefined)?.href;
    try {
      this.url = new URL(url, base).href;
    } catch {
      throw new DOMException(`${String(url)} is not a URL`, 'SyntaxError');
    }
    this.withCredentials = options.withCredentials ?? false;
    this.#options = options;
    this.#parser = new Parser(
      {
        onEvent: ({ type, data, lastEventId }) => {
          if (this.#state === states.CLOSED) return;
          const init = { data, lastEventId, origin: this.#origin };
          this.dispatchEvent(new MessageEvent(type, init));
        },
      },
      {
        ...(options.maxEventBytes && { maxEventBytes: options.maxEventBytes }),
        ...(options.lastEventId && { lastEventId: options.lastEventId }),
      },
    );
    // The caller sets its handlers first.
    queueMicrotask(() => this.#connect());
  }

  get readyState(): 0 | 1 | 2 {
    return this.#state;
  }

  get onopen(): Listener<Event> {
    return this.#handler('open');
  }
  set onopen(listener: Listener<Event>) {
    this.#handle('open', listener);
  }

  get onmessage(): Listener<MessageEvent> {
    return this.#handler('message');
  }
  set onmessage(listener: Listener<MessageEvent>) {
    this.#handle('message', listener);
  }

  get onerror(): Listener<Event> {
    return this.#handler('error');
  }
  set onerror(listener: Listener<Event>) {
    this.#handle('error', listener);
  }

  /** Ends it, in whatever state it is; nothing is dispatched afterwards. */
  close(): void {
    this.#state = states.CLOSED;
    clearTimeout(this.#timer);
    this.#attempt?.abort();
  }

  #handler<E extends Event>(type: string): Listener<E> {
    return (this.#handlers.get(type)?.[0] ?? null) as Listener<E>;
  }

  #handle<E extends Event>(type: string, listener: Listener<E>): void {
    const old = this.#handlers.get(type);
    if (old) this.removeEventListener(type, old[1]);
    this.#handlers.delete(type);
    if (typeof listener !== 'function') return;
    const call = (event: Event) => listener.call(this, event as E);
    this.#handlers.set(type, [listener as Listener<never>, call]);
    this.addEventListener(type, call);
  }

  #connect(): void {
    if (this.#state === states.CLOSED) return;
    const attempt = (this.#attempt = new AbortController());
    this.#run(attempt.signal).then(
      () => this.#again(),
      (error: unknown) => {
        if (this.#state === states.CLOSED) return;
        if (error instanceof TypeError || (error as Error)?.name === 'TypeError') this.#again();
        else this.#fail();
      },
    );
  }

  /** Resolves when the stream ends; a `TypeError` is a failure of the network. */
  async #run(signal: AbortSignal): Promise<void> {
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
      response.body?.cancel().catch(() => {});
      throw new Error('not an event stream');
    }
    if (this.#state === states.CLOSED) return;
    this.#state = states.OPEN;
    this.#failures = 0;
    this.#origin = new URL(response.url || this.url).origin;
    this.dispatchEvent(new Event('open'));
    this.#parser.reset();
    const reader = response.body.getReader();
    for (;;) {
      // A stream that breaks is like one that ends.
      const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }));
      if (done || !value || (this.#state as number) === states.CLOSED) break;
      this.#parser.feed(value);
    }
    reader.cancel().catch(() => {});
  }

  /** "Reestablish the connection". */
  #again(): void {
    if (this.#state === states.CLOSED) return;
    this.#state = states.CONNECTING;
    this.dispatchEvent(new Event('error'));
    if ((this.#state as number) === states.CLOSED) return;
    const time = this.#parser.reconnectionTime ?? RECONNECTION_TIME;
    const longer = Math.min(time * 2 ** this.#failures++, Math.max(time, RECONNECTION_TIME_MAX));
    this.#timer = setTimeout(() => this.#connect(), longer);
  }

  /** "Fail the connection": there is no way back. */
  #fail(): void {
    this.#state = states.CLOSED;
    this.#attempt?.abort();
    this.dispatchEvent(new Event('error'));
  }
}
