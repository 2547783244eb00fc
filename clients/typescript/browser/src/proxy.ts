// A TCP proxy between the browser and the server, with which a test breaks the network.
//
// Promises: bytes are passed on unchanged and in order, or not at all; every connection is counted,
// with its bytes of each direction. Connections that carry an event stream are told from others by
// the head of the answer.

import { connect, createServer, type Server as NetServer, type Socket } from 'node:net';
import { pause } from './wait.ts';

/** One connection through the proxy. */
export class Passage {
  /** Bytes from the browser to the server. */
  up = 0;
  /** Bytes from the server to the browser. */
  down = 0;
  /** Whether an event stream was answered on it. */
  stream = false;
  open = true;
  /** Swallows all that comes, in both directions, and tells nobody of an end. */
  silent = false;
  /** The first line of the first request. */
  request = '';
  #tail = '';

  constructor(
    readonly browser: Socket,
    readonly server: Socket,
  ) {}

  look(chunk: Buffer): void {
    if (this.stream) return;
    const text = this.#tail + chunk.toString('latin1');
    this.stream = /content-type: text\/event-stream/i.test(text);
    this.#tail = text.slice(-64);
  }

  /** Closes both sides, with a reset. */
  cut(): void {
    this.open = false;
    this.browser.resetAndDestroy();
    this.server.resetAndDestroy();
  }
}

/** The proxy; `port` stays the same for its whole life. */
export class Proxy {
  readonly #server: NetServer;
  readonly passages: Passage[] = [];
  /** Whether new connections are turned away with a reset. */
  refuse = false;
  /** Whether new connections are taken and then left without an answer. */
  silent = false;
  /** How much later everything from the server is passed on, in milliseconds. */
  delay = 0;
  /** A place where a test may answer in the server's stead: the answer, or undefined to pass on. */
  answer: ((request: string) => string | undefined) | undefined;
  port = 0;

  private constructor(readonly target: number) {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#take(socket));
  }

  static async begin(target: number): Promise<Proxy> {
    const proxy = new Proxy(target);
    await new Promise<void>((done) => proxy.#server.listen(0, '127.0.0.1', done));
    const address = proxy.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    proxy.port = address.port;
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  #take(browser: Socket): void {
    browser.on('error', () => {});
    if (this.refuse) {
      browser.resetAndDestroy();
      return;
    }
    browser.setNoDelay(true);
    const server = connect({ port: this.target, host: '127.0.0.1', allowHalfOpen: true });
    server.setNoDelay(true);
    const passage = new Passage(browser, server);
    passage.silent = this.silent;
    this.passages.push(passage);
    this.#pass(passage);
  }

  #pass(passage: Passage): void {
    const { browser, server } = passage;
    let sent = Promise.resolve();
    browser.on('data', (chunk: Buffer) => {
      if (passage.silent) return;
      passage.up += chunk.length;
      const text = chunk.toString('latin1');
      passage.request ||= text.split('\r\n', 1)[0] ?? '';
      const answer = this.answer?.(text);
      if (answer !== undefined) {
        browser.write(answer, 'latin1');
        return;
      }
      server.write(chunk);
    });
    server.on('data', (chunk: Buffer) => {
      passage.look(chunk);
      const pass = () => {
        if (passage.silent) return;
        passage.down += chunk.length;
        if (!browser.write(chunk)) {
          server.pause();
          browser.once('drain', () => server.resume());
        }
      };
      if (this.delay === 0) pass();
      else sent = Promise.all([sent, pause(this.delay)]).then(pass);
    });
    browser.on('end', () => {
      if (!passage.silent) server.end();
    });
    server.on('end', () => {
      void sent.then(() => {
        if (!passage.silent) browser.end();
      });
    });
    const closed = () => {
      if (passage.silent && passage.open) return;
      passage.open = false;
      browser.destroy();
      server.destroy();
    };
    server.on('error', () => {
      if (!passage.silent) passage.cut();
    });
    browser.on('close', () => {
      // A browser that hangs up is gone, whether or not the server hears of it.
      passage.open = false;
      if (!passage.silent) server.destroy();
    });
    server.on('close', closed);
  }

  /** The event streams that are open at this moment. */
  streams(): Passage[] {
    return this.passages.filter((passage) => passage.open && passage.stream);
  }

  /** How many event streams there have been in all. */
  streamsEver(): number {
    return this.passages.filter((passage) => passage.stream).length;
  }

  /** Cuts every connection. New ones are taken, unless `refuse` says otherwise. */
  cutAll(): void {
    for (const passage of this.passages) if (passage.open) passage.cut();
  }

  /** From now on no open connection passes anything on, and none is closed: a dead radio link. */
  silence(): void {
    for (const passage of this.passages) passage.silent = true;
  }

  /** No byte from the server is read any more on the open connections: its buffers fill. */
  stall(): void {
    for (const passage of this.passages) passage.server.pause();
  }

  /** The end of `stall`. */
  flow(): void {
    for (const passage of this.passages) passage.server.resume();
  }

  async end(): Promise<void> {
    for (const passage of this.passages) passage.cut();
    await new Promise((done) => this.#server.close(done));
  }
}
