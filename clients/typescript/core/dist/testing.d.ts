/**
 * For tests of what is built on the client: a server that answers as it is told, and a clock that
 * moves when it is told. Neither opens a socket or waits for anything.
 *
 * ```ts
 * const server = new FakeServer();
 * const clock = new FakeClock();
 * const client = createClient({ url: server.url, fetch: server.fetch, clock });
 * const news = client.subscribe('news');
 * const stream = await server.stream();
 * stream.event({ topic: 'news', data: 'hello' });
 * ```
 */
import type { Clock, WireEvent } from './types.js';
/** Time that stands still until it is moved, and chance that is known. */
export declare class FakeClock implements Clock {
    #private;
    /** What `random` gives: always the same, unless it is a function. */
    chance: number | (() => number);
    /** @param now milliseconds since 1970. */
    constructor(now?: number);
    now(): number;
    random(): number;
    setTimeout(run: () => void, ms: number): number;
    clearTimeout(timer: unknown): void;
    /** Milliseconds until each timer that is set, in their order. */
    get timers(): number[];
    /** Moves the time on and runs what is due, each at its time; settles promises in between. */
    advance(ms: number): Promise<void>;
    /** The machine sleeps: the time moves on, and no timer runs until it is awake. */
    sleep(ms: number): void;
}
/** Lets everything run that only waits for promises, or for the client's second chunk. */
export declare function settle(): Promise<void>;
/** A request that a {@link FakeServer} was sent. */
export interface FakeRequest {
    readonly method: string;
    /** Path and query. */
    readonly path: string;
    /** Header names in lower case. */
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
    /** Aborts when the client gives the request up. */
    readonly signal: AbortSignal | undefined;
}
/** What a {@link FakeServer} answers. */
export interface FakeAnswer {
    /** 200 unless given. */
    status?: number;
    headers?: Record<string, string>;
    /** An object is sent as JSON. */
    body?: string | object;
}
/** A stream that a {@link FakeServer} has answered with. */
export declare class FakeStream {
    #private;
    /** The request that it answers. */
    readonly request: FakeRequest;
    /** Whether it has come to its end, on either side. */
    closed: boolean;
    constructor(request: FakeRequest, headers: Record<string, string>);
    /** The answer, for a handler to return. */
    get response(): Response;
    /** Sends text as it is. */
    send(text: string): this;
    /** Sends an event in its envelope. */
    event(event: Partial<WireEvent> & {
        id: string;
    }): this;
    /** Sends a block of a type of the server's own: `gap` or `end`. */
    control(type: 'gap' | 'end', id: string, data: object): this;
    /** Sends a heartbeat. */
    heartbeat(): this;
    /** Comes to its end without saying so, as a cut does. */
    end(): void;
    /** Breaks. */
    fail(reason?: unknown): void;
}
type Handler = (request: FakeRequest) => FakeAnswer | Response | Promise<FakeAnswer | Response>;
/** A server behind a `fetch`. What was not scripted is answered as its `handle` says. */
export declare class FakeServer {
    #private;
    readonly url = "http://tidings.test";
    /** All requests, in order. */
    readonly requests: FakeRequest[];
    /** The streams that were opened, in order. */
    readonly streams: FakeStream[];
    /** Headers of each stream; by default they name a connection and the position `e-0`. */
    streamHeaders: Record<string, string>;
    /** Where topics join that are added to a running stream. */
    after: string;
    /** What requests are answered with that nothing was scripted for. */
    handle: Handler;
    /** Answers the next requests, one each, with these. */
    script(...answers: (Handler | FakeAnswer)[]): this;
    /** The stream of that number (the first is 0), as soon as it was opened; the newest if none. */
    stream(number?: number): Promise<FakeStream>;
    /** Give this to the client. */
    readonly fetch: typeof globalThis.fetch;
    /** Answers with a stream, and keeps it in {@link FakeServer.streams}. */
    open(request: FakeRequest, headers?: Record<string, string>): Response;
}
export {};
