// The two lanes: the same topic, read over Server-Sent Events and over a WebSocket, each with what
// can be counted about it from inside a page.
//
// Bytes of SSE are those of the body, which is exactly what goes over the connection after its head.
// Bytes of a WebSocket are those of its messages and the headers of their frames, which RFC 6455
// (section 5.2) gives by their length; browsers show neither.

import { Parser } from '@tidings/client/parser';
import type { Network } from '../../../src/lib/network';
import { Signal } from '../../../src/lib/signal';

/** The topic of both. */
export const TOPIC = 'demo/compare';

/** Latencies that percentiles are taken of. */
const SAMPLES_MAX = 500;

/** Messages before latencies are taken. */
const WARM = 10;

/** Missing numbers that are remembered for each cut. */
const MISSING_MAX = 10_000;

/** How long a lane waits before it tries again, in milliseconds. */
const RETRY_MS = 250;

const encoder = new TextEncoder();

/** The bytes of a text in UTF-8. */
export const bytesOf = (text: string): number => encoder.encode(text).length;

/** The header of a WebSocket frame with so much payload; clients mask theirs. */
export const frameHeader = (payload: number, masked: boolean): number =>
  2 + (payload < 126 ? 0 : payload < 65_536 ? 2 : 8) + (masked ? 4 : 0);

/** What is known of a lane. */
export interface LaneView {
  open: boolean;
  messages: number;
  /** Bytes of the events' data alone. */
  payload: number;
  down: number;
  up: number;
  /** Bytes of frame headers in `down`; none in SSE. */
  frames: number;
  /** Median, p95, p99, in milliseconds. */
  latency: [number, number, number];
  roundTrip: number;
  /** Milliseconds from the network's return to the first event; 0: no cut yet. */
  live: number;
  lost: number;
  twice: number;
  /** Milliseconds of this thread for 1,000 events. */
  work: number;
}

const none: LaneView = {
  open: false,
  messages: 0,
  payload: 0,
  down: 0,
  up: 0,
  frames: 0,
  latency: [0, 0, 0],
  roundTrip: 0,
  live: 0,
  lost: 0,
  twice: 0,
  work: 0,
};

/** What is published: `[run, number, sent over, when]` and something to fill it up. */
export interface Ball {
  run: string;
  number: number;
  over: 'sse' | 'ws';
  at: number;
}

/** Reads a ball; undefined if it is something else. */
export function ballOf(data: string): Ball | undefined {
  const [run, number, over, at] = data.split(' ', 4);
  if (!run || !number || !at || (over !== 'sse' && over !== 'ws')) return undefined;
  return { run, number: Number(number), over, at: Number(at) };
}

/** Wall time with fractions of a millisecond. */
export const now = (): number => performance.timeOrigin + performance.now();

/** What both lanes have in common. */
abstract class Lane {
  readonly view = new Signal<LaneView>(none);
  readonly kind: 'sse' | 'ws';
  /** Whether it goes on where it was. */
  resume = true;
  protected id = '';
  protected closed = false;
  protected next: LaneView = { ...none };
  readonly #run: string;
  readonly #latencies: number[] = [];
  readonly #trips: number[] = [];
  /** The first number that was seen, and the one that comes next. */
  #first = 0;
  #next = 0;
  readonly #missing = new Set<number>();
  #worked = 0;
  #mendedAt = 0;
  /** When the network was mended, by the clock of the balls. */
  #since = 0;

  constructor(kind: 'sse' | 'ws', run: string) {
    this.kind = kind;
    this.#run = run;
  }

  /** The network is back: the time to be live again runs. */
  mended(): void {
    this.#mendedAt = performance.now();
    this.#since = now();
  }

  /** Shows what was counted. */
  show(): void {
    const sorted = [...this.#latencies].sort((a, b) => a - b);
    const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? 0;
    const trips = [...this.#trips].sort((a, b) => a - b);
    const { messages } = this.next;
    this.view.set({
      ...this.next,
      // The newest may be overtaken yet.
      lost: [...this.#missing].filter((number) => number < this.#next - 5).length,
      latency: [at(0.5), at(0.95), at(0.99)],
      roundTrip: trips[Math.floor(trips.length / 2)] ?? 0,
      work: messages ? (this.#worked / messages) * 1_000 : 0,
    });
  }

  close(): void {
    this.closed = true;
  }

  protected worked(ms: number): void {
    this.#worked += ms;
  }

  protected take(id: string, data: string): void {
    if (id) this.id = id;
    const ball = ballOf(data);
    if (!ball || ball.run !== this.#run) return;
    if (!this.#first) this.#first = ball.number;
    // The two ways to publish may overtake each other: late is not lost.
    // One that was overtaken before anything was counted.
    if (ball.number < this.#first) return;
    if (ball.number < this.#next) {
      if (!this.#missing.delete(ball.number)) this.next.twice += 1;
    } else {
      const from = Math.max(this.#next, ball.number - MISSING_MAX);
      if (this.#next) for (let n = from; n < ball.number; n += 1) this.#missing.add(n);
      this.#next = ball.number + 1;
    }
    this.next.messages += 1;
    this.next.payload += bytesOf(data);
    if (this.#mendedAt) {
      this.next.live = performance.now() - this.#mendedAt;
      this.#mendedAt = 0;
    }
    const late = now() - ball.at;
    // While a page is being loaded its own work is what would be measured; and what waited during a
    // cut was not slow.
    if (this.next.messages < WARM || ball.at < this.#since) return;
    push(this.#latencies, late);
    if (ball.over === this.kind) push(this.#trips, late);
  }
}

function push(list: number[], value: number): void {
  list.push(value);
  if (list.length > SAMPLES_MAX) list.shift();
}

/** Server-Sent Events. */
export class SseLane extends Lane {
  readonly #network: Network;
  readonly #abort = new AbortController();

  constructor(network: Network, run: string) {
    super('sse', run);
    this.#network = network;
    void this.#keep();
  }

  override close(): void {
    super.close();
    this.#abort.abort();
  }

  async #keep(): Promise<void> {
    while (!this.closed) {
      try {
        await this.#attempt();
      } catch {
        // Tried again: that is what this page is about.
      }
      this.next.open = false;
      if (this.#network.state.get().cut) await mended(this.#network);
      else await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  async #attempt(): Promise<void> {
    const headers: Record<string, string> = { accept: 'text/event-stream' };
    if (this.resume && this.id) headers['last-event-id'] = this.id;
    const { signal } = this.#abort;
    const response = await this.#network.fetch(`/topics/${TOPIC}`, { headers, signal });
    if (!response.ok || !response.body) throw new Error(String(response.status));
    this.next.open = true;
    const parser = new Parser({
      onEvent: (event) => this.take(event.lastEventId, event.data),
    });
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.next.down += value.length;
      const from = performance.now();
      parser.feed(value);
      this.worked(performance.now() - from);
    }
  }
}

/** A WebSocket with Tidings' own protocol, which can resume as SSE can. */
export class WebSocketLane extends Lane {
  readonly #network: Network;
  #socket: WebSocket | undefined;
  readonly #off: () => void;

  constructor(network: Network, run: string) {
    super('ws', run);
    this.#network = network;
    this.#off = network.state.subscribe(() => {
      if (network.state.get().cut) this.#socket?.close();
    });
    void this.#keep();
  }

  override close(): void {
    super.close();
    this.#off();
    this.#socket?.close();
  }

  /** Sends over it; false: it is not open. */
  send(data: string): boolean {
    if (!this.next.open || !this.#socket) return false;
    this.#say({ op: 'publish', topic: TOPIC, data, ttl: '1m' });
    return true;
  }

  async #keep(): Promise<void> {
    while (!this.closed) {
      await this.#attempt();
      this.next.open = false;
      if (this.#network.state.get().cut) await mended(this.#network);
      else await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** One connection; settles when it has ended. */
  #attempt(): Promise<void> {
    return new Promise((resolve) => {
      const url = `${location.origin.replace(/^http/, 'ws')}/ws`;
      const socket = new WebSocket(url, 'tidings.v1.json');
      this.#socket = socket;
      socket.addEventListener('open', () => {
        this.next.open = true;
        const start = this.resume && this.id ? { lastEventId: this.id } : {};
        this.#say({ op: 'subscribe', sub: 'a', topics: [TOPIC], ...start });
      });
      socket.addEventListener('message', ({ data }) => this.#hear(String(data)));
      socket.addEventListener('close', () => resolve());
    });
  }

  #say(message: object): void {
    const text = JSON.stringify(message);
    this.next.up += bytesOf(text) + frameHeader(bytesOf(text), true);
    this.#socket?.send(text);
  }

  #hear(text: string): void {
    // What was on its way when the network was cut has not arrived.
    if (this.#network.state.get().cut) return;
    const size = bytesOf(text);
    const from = performance.now();
    const message = JSON.parse(text) as {
      op: string;
      events?: { id: string; data: string }[];
    };
    if (message.op === 'events') {
      this.next.down += size + frameHeader(size, false);
      this.next.frames += frameHeader(size, false);
      for (const event of message.events ?? []) this.take(event.id, event.data);
    }
    this.worked(performance.now() - from);
  }
}

/** Until the network is back. */
function mended(network: Network): Promise<void> {
  return new Promise((resolve) => {
    const off = network.state.subscribe(() => {
      if (network.state.get().cut) return;
      off();
      resolve();
    });
  });
}
