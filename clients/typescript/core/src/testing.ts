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
export class FakeClock implements Clock {
  /** What `random` gives: always the same, unless it is a function. */
  chance: number | (() => number) = 0.5;

  #now: number;
  #timers = new Map<number, { at: number; run: () => void }>();
  #next = 1;

  /** @param now milliseconds since 1970. */
  constructor(now = Date.UTC(2027, 0, 1)) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  random(): number {
    return typeof this.chance === 'number' ? this.chance : this.chance();
  }

  setTimeout(run: () => void, ms: number): number {
    const id = this.#next++;
    this.#timers.set(id, { at: this.#now + Math.max(0, ms), run });
    return id;
  }

  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as number);
  }

  /** Milliseconds until each timer that is set, in their order. */
  get timers(): number[] {
    return [...this.#timers.values()].map(({ at }) => at - this.#now).sort((a, b) => a - b);
  }

  /** Moves the time on and runs what is due, each at its time; settles promises in between. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (;;) {
      let first: [number, { at: number; run: () => void }] | undefined;
      for (const timer of this.#timers) {
        if (timer[1].at <= until && (!first || timer[1].at < first[1].at)) first = timer;
      }
      if (!first) break;
      this.#timers.delete(first[0]);
      this.#now = Math.max(this.#now, first[1].at);
      first[1].run();
      await settle();
    }
    this.#now = until;
    await settle();
  }

  /** The machine sleeps: the time moves on, and no timer runs until it is awake. */
  sleep(ms: number): void {
    this.#now += ms;
  }
}

/** Lets everything run that only waits for promises, or for the client's second chunk. */
export async function settle(): Promise<void> {
  await import('./rest.js').catch(() => {});
  for (let turn = 0; turn < 3; turn++) {
    await new Promise<void>((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(0);
    });
  }
}

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
export class FakeStream {
  /** The request that it answers. */
  readonly request: FakeRequest;
  /** Whether it has come to its end, on either side. */
  closed = false;

  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #response: Response;

  constructor(request: FakeRequest, headers: Record<string, string>) {
    this.request = request;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      cancel: () => {
        this.closed = true;
      },
    });
    this.#response = new Response(body, {
      headers: { 'content-type': 'text/event-stream', ...headers },
    });
    request.signal?.addEventListener('abort', () => this.fail(request.signal?.reason));
  }

  /** The answer, for a handler to return. */
  get response(): Response {
    return this.#response;
  }

  /** Sends text as it is. */
  send(text: string): this {
    if (!this.closed) this.#controller?.enqueue(new TextEncoder().encode(text));
    return this;
  }

  /** Sends an event in its envelope. */
  event(event: Partial<WireEvent> & { id: string }): this {
    const { id, topic = 't', time = '1970-01-01T00:00:00.000Z', ...rest } = event;
    const type = rest.type === undefined ? '' : `event: ${rest.type}\n`;
    return this.send(
      `id: ${id}\n${type}data: ${JSON.stringify({ id, topic, time, ...rest })}\n\n`,
    );
  }

  /** Sends a block of a type of the server's own: `gap` or `end`. */
  control(type: 'gap' | 'end', id: string, data: object): this {
    return this.send(`id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  /** Sends a heartbeat. */
  heartbeat(): this {
    return this.send(':\n');
  }

  /** Comes to its end without saying so, as a cut does. */
  end(): void {
    if (this.closed) return;
    this.closed = true;
    this.#controller?.close();
  }

  /** Breaks. */
  fail(reason: unknown = new TypeError('terminated')): void {
    if (this.closed) return;
    this.closed = true;
    this.#controller?.error(reason);
  }
}

type Handler = (request: FakeRequest) => FakeAnswer | Response | Promise<FakeAnswer | Response>;

/** A server behind a `fetch`. What was not scripted is answered as its `handle` says. */
export class FakeServer {
  readonly url = 'http://tidings.test';
  /** All requests, in order. */
  readonly requests: FakeRequest[] = [];
  /** The streams that were opened, in order. */
  readonly streams: FakeStream[] = [];
  /** Headers of each stream; by default they name a connection and the position `e-0`. */
  streamHeaders: Record<string, string> = {
    'tidings-connection': 'c1.key',
    'last-event-id': 'e-0',
  };
  /** Where topics join that are added to a running stream. */
  after = 'e-0';
  /** What requests are answered with that nothing was scripted for. */
  handle: Handler = (request) => this.#usual(request);

  #script: (Handler | FakeAnswer)[] = [];
  #waiting: (() => void)[] = [];

  /** Answers the next requests, one each, with these. */
  script(...answers: (Handler | FakeAnswer)[]): this {
    this.#script.push(...answers);
    return this;
  }

  /** The stream of that number (the first is 0), as soon as it was opened; the newest if none. */
  async stream(number = Math.max(0, this.streams.length - 1)): Promise<FakeStream> {
    for (;;) {
      const stream = this.streams[number];
      if (stream) return stream;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Give this to the client. */
  readonly fetch: typeof globalThis.fetch = async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const { signal, body } = init;
    const request: FakeRequest = {
      method: init.method ?? 'GET',
      path: url.pathname + url.search,
      headers: Object.fromEntries(new Headers(init.headers).entries()),
      body: typeof body === 'string' ? body : body ? await new Response(body).text() : '',
      signal: signal ?? undefined,
    };
    if (signal?.aborted) throw signal.reason;
    this.requests.push(request);
    const next = this.#script.shift() ?? this.handle;
    const aborted = new Promise<never>((_, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason));
    });
    aborted.catch(() => {});
    const answering = Promise.resolve(typeof next === 'function' ? next(request) : next);
    const answer = await Promise.race([answering, aborted]);
    if (answer instanceof Response) return answer;
    const { status = 200, headers = {}, body: said } = answer;
    const text = typeof said === 'object' ? JSON.stringify(said) : said;
    return new Response([101, 204, 205, 304].includes(status) ? null : (text ?? ''), {
      status,
      headers,
    });
  };

  /** Answers with a stream, and keeps it in {@link FakeServer.streams}. */
  open(request: FakeRequest, headers: Record<string, string> = {}): Response {
    const resumed = request.headers['last-event-id'];
    const stream = new FakeStream(request, {
      ...this.streamHeaders,
      ...(resumed && { 'last-event-id': resumed }),
      ...headers,
    });
    this.streams.push(stream);
    for (const wake of this.#waiting.splice(0)) wake();
    return stream.response;
  }

  #usual(request: FakeRequest): FakeAnswer | Response {
    if (request.headers['accept'] === 'text/event-stream') return this.open(request);
    if (request.method === 'PATCH') return { body: { after: this.after } };
    if (request.method === 'POST') return { body: { id: 'e-1', duplicate: false } };
    return { body: { events: [], next: this.after, more: false, gap: null } };
  }
}
