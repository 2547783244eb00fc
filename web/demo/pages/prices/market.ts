// What the page knows of the market, outside of React: up to 5,000 changes a second go in, and one
// picture a frame comes out.

import type { Client, Subscription, TidingsEvent } from '@tidings/client';
import { connect } from '../../../src/lib/hub';
import { Network } from '../../../src/lib/network';
import type { Tape } from '../../../src/lib/tape';

/** Where the publisher of `tidings dev` is asked; it stops by itself when nobody asks. */
const CONTROL = 'demo/prices/control';

/** The newest price of each instrument; the log keeps no others. */
const CONFLATED = 'demo/prices';

/** Every change, for a minute. */
const EVERY = 'demo/ticks';

/** How often the publisher is asked to go on, in milliseconds; it stops after 30 s. */
const RENEW_MS = 10_000;

/** Events that wait for this page's reader. */
const QUEUE_MAX = 1_024;

/** Seconds of history of each chart. */
export const CHART_S = 60;

/** Points of a chart for each second. */
const POINTS_PER_S = 5;

/** Ages that the percentiles are taken of. */
const AGES_MAX = 600;

/** An instrument as it was last seen. */
export interface Quote {
  symbol: string;
  price: number;
  before: number;
  /** How often its price has changed at the source. */
  count: number;
  /** When it was last changed here, by `performance.now()`. */
  seen: number;
  open: number;
}

/** What is counted over the last second. */
export interface Rates {
  source: number;
  read: number;
  spared: number;
  ageMedian: number;
  ageTail: number;
}

/** How the page follows. */
export interface Following {
  conflate: boolean;
  /** Updates a second that this page takes; Infinity: all. */
  limit: number;
  rate: number;
}

type Raw = [price: number, count: number, at: number];

/** The market as this page sees it. */
export class Market {
  readonly client: Client;
  readonly quotes = new Map<string, Quote>();
  readonly times: number[] = [];
  readonly series = new Map<string, (number | null)[]>();
  rates: Rates = { source: 0, read: 0, spared: 0, ageMedian: 0, ageTail: 0 };
  readonly #tape: Tape;
  /** Asks the publisher; not over the network that is cut, as it belongs to somebody else. */
  readonly #control = connect(new Network());
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  #following: Following;
  #subscription: Subscription<Raw> | undefined;
  #read = 0;
  #spared = 0;
  #last = performance.now();
  readonly #ages: number[] = [];
  #openedAt = Date.now();
  /** Changes at the source, as their counts tell. */
  #changes = 0;
  charted: readonly string[] = [];

  constructor(network: Network, tape: Tape, following: Following) {
    this.#tape = tape;
    this.#following = following;
    this.client = connect(network, 'pause');
    this.client.on('state', ({ state }) => {
      if (state !== 'open') return;
      this.#openedAt = Date.now();
      if (this.quotes.size) this.#tape.resumed();
    });
    this.#ask();
    this.#follow();
    this.#timers.push(
      setInterval(() => this.#ask(), RENEW_MS),
      setInterval(() => this.#count(), 1_000),
      setInterval(() => this.#chart(), 1_000 / POINTS_PER_S),
    );
  }

  /** Changes how it follows. */
  set(following: Following): void {
    const before = this.#following;
    this.#following = following;
    if (before.rate !== following.rate) this.#ask();
    if (before.conflate !== following.conflate) this.#follow();
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#subscription?.close();
    this.client.close();
    this.#control.close();
  }

  #ask(): void {
    if (document.hidden) return;
    const { rate } = this.#following;
    this.#control.publish(CONTROL, { rate }, { ttl: '1m' }).catch(() => undefined);
  }

  #follow(): void {
    this.#subscription?.close();
    const { conflate } = this.#following;
    const subscription = this.client.subscribe<Raw>(conflate ? CONFLATED : EVERY, {
      // Of a conflated topic the whole log is one price for each instrument.
      history: conflate ? 'all' : 'none',
      parse: (text) => JSON.parse(text) as Raw,
      buffer: { max: QUEUE_MAX, overflow: conflate ? 'conflate' : 'catch-up' },
    });
    this.#subscription = subscription;
    void this.#consume(subscription).catch(() => undefined);
  }

  /** Takes events as fast as this page is allowed to. */
  async #consume(subscription: Subscription<Raw>): Promise<void> {
    let allowed = 0;
    let last = performance.now();
    for await (const event of subscription) {
      this.#take(event);
      const { limit } = this.#following;
      if (limit === Infinity) continue;
      allowed -= 1;
      while (allowed < 0) {
        const now = performance.now();
        allowed = Math.min(allowed + ((now - last) / 1_000) * limit, limit / 10 + 1);
        last = now;
        if (allowed < 0) await new Promise((resolve) => setTimeout(resolve, 4));
      }
    }
  }

  #take(event: TidingsEvent<Raw>): void {
    const [price, count, at] = event.data;
    const symbol = event.key ?? '';
    const now = performance.now();
    const known = this.quotes.get(symbol);
    const replayed = Date.parse(event.time) < this.#openedAt;
    if (known && count <= known.count) return;
    if (known) this.#spared += count - known.count - 1;
    this.#changes += known ? count - known.count : 1;
    this.#read += 1;
    this.#ages.push(Date.now() - at);
    if (this.#ages.length > AGES_MAX) this.#ages.shift();
    this.#tape.add(1, replayed);
    this.quotes.set(symbol, {
      symbol,
      price,
      before: known?.price ?? price,
      count,
      seen: now,
      open: known?.open ?? price,
    });
  }

  #count(): void {
    const now = performance.now();
    const seconds = (now - this.#last) / 1_000;
    this.#last = now;
    const ages = [...this.#ages].sort((a, b) => a - b);
    const at = (share: number) => Math.max(0, ages[Math.floor(ages.length * share)] ?? 0);
    this.rates = {
      source: this.#changes / seconds,
      read: this.#read / seconds,
      spared: this.#spared / seconds,
      ageMedian: at(0.5),
      ageTail: at(0.95),
    };
    this.#read = 0;
    this.#spared = 0;
    this.#changes = 0;
    this.#ages.length = 0;
  }

  #chart(): void {
    this.times.push(Date.now() / 1_000);
    const length = CHART_S * POINTS_PER_S;
    if (this.times.length > length) this.times.shift();
    for (const symbol of this.charted) {
      let points = this.series.get(symbol);
      if (!points) {
        points = Array.from({ length: this.times.length - 1 }, () => null);
        this.series.set(symbol, points);
      }
      const quote = this.quotes.get(symbol);
      points.push(quote ? (quote.price / quote.open - 1) * 100 : null);
      if (points.length > length) points.shift();
    }
    for (const symbol of this.series.keys()) {
      if (!this.charted.includes(symbol)) this.series.delete(symbol);
    }
  }
}
