/**
 * `text/event-stream` into events: WHATWG HTML, section 9.2.6, from bytes, a chunk at a time.
 *
 * The events are the same however the stream is cut into chunks. A blank line that ends in CR
 * dispatches at the CR, not at the byte after it. What is not UTF-8 becomes U+FFFD. An event
 * without its blank line is never dispatched and its id does not count. Each byte is searched once
 * and copied at most once more than its line is cut, so no chunking is quadratic. A line or an
 * event above the limit is an error and never memory.
 */
/** An event of a stream. */
export interface SseEvent {
    /** The `event:` field, or `message`. */
    readonly type: string;
    /** The `data:` lines, joined by LF. */
    readonly data: string;
    /** The last event id string: this event's `id:`, or else the one before. Empty: none. */
    readonly lastEventId: string;
}
/** What a parser calls, during `feed`. */
export interface ParserHandlers {
    onEvent(event: SseEvent): void;
    /** `retry:`, in milliseconds. */
    onRetry?(ms: number): void;
    /** A block has moved the last event id, whether or not it had data; before its `onEvent`. */
    onId?(id: string): void;
    /** A comment, at most its first 1,024 bytes if it is cut into chunks. */
    onComment?(text: string): void;
}
/** How a parser begins, and what it may hold. */
export interface ParserOptions {
    /** Most bytes of one event's data, and of a line beyond the name of its field: 8 MiB. */
    maxEventBytes?: number;
    /** The last event id string of before. */
    lastEventId?: string;
}
/** The limit unless another is given, in bytes: 1 MiB of data as an envelope has at most 6 MiB. */
export declare const MAX_EVENT_BYTES: number;
/** Parses one stream after the other. */
export declare class Parser {
    #private;
    /** The last event id string; it outlives `reset`. */
    lastEventId: string;
    /** The last `retry:` in milliseconds, if there was one; it outlives `reset`. */
    reconnectionTime: number | undefined;
    constructor(handlers: ParserHandlers, options?: ParserOptions);
    /** Begins a new stream: what is not complete is forgotten. */
    reset(): void;
    /**
     * Takes the next bytes.
     *
     * @throws {TidingsError} `too-large`. The parser is of use again after `reset`.
     */
    feed(chunk: Uint8Array): void;
}
/** Reads a whole body, as an async iterator. Leaving the loop cancels the body. */
export declare function parse(body: ReadableStream<Uint8Array>, options?: ParserOptions): AsyncGenerator<SseEvent, void, undefined>;
