// A program that publishes numbered events, straight to the server, and judges what tabs have seen.
//
// Promises: the events of a topic are numbered 0, 1, 2 … without a hole, in the order of their ids;
// a publish that was cut off is made again under its idempotency key.

import { randomUUID } from 'node:crypto';
import { pause } from './wait.ts';

/** One event as a tab has noted it. */
export interface Seen {
  id: string;
  topic: string;
  n: number;
}

export class Publisher {
  /** How many events each topic has. */
  readonly counts = new Map<string, number>();
  #running: Promise<void> | undefined;
  #stop = false;

  constructor(readonly url: string) {}

  /** Publishes the next events of the topics, one request for all. */
  async publish(topics: readonly string[], padding = 0): Promise<void> {
    const events = topics.map((topic) => {
      const n = this.counts.get(topic) ?? 0;
      this.counts.set(topic, n + 1);
      return { topic, data: JSON.stringify({ n, padding: 'x'.repeat(padding) }) };
    });
    const headers = { 'content-type': 'application/json', 'idempotency-key': randomUUID() };
    const request = { method: 'POST', headers, body: JSON.stringify({ events }) };
    for (;;) {
      const answer = await fetch(`${this.url}/publish`, request).catch(() => undefined);
      if (answer?.ok) {
        await answer.arrayBuffer();
        return;
      }
      if (answer !== undefined && answer.status < 500) throw new Error(await answer.text());
      await pause(20);
    }
  }

  /** Publishes `count` events to each topic, `batch` in a request. */
  async burst(topics: readonly string[], count: number, batch = 20, padding = 0): Promise<void> {
    const all = Array.from({ length: count }, () => topics).flat();
    for (let at = 0; at < all.length; at += batch) {
      await this.publish(all.slice(at, at + batch), padding);
    }
  }

  /** Goes on publishing to the topics, every few milliseconds, until `rest`. */
  begin(topics: readonly string[], every = 5): void {
    this.#stop = false;
    this.#running = (async () => {
      while (!this.#stop) {
        await this.publish(topics);
        await pause(every);
      }
    })();
  }

  /** Ends what `begin` began. */
  async rest(): Promise<void> {
    this.#stop = true;
    await this.#running;
    this.#running = undefined;
  }
}

/**
 * What is wrong with a sequence: undefined if every event of the topic from `from` to `to` (not
 * included) is there once and in order, with ids that differ.
 */
export function fault(seen: readonly Seen[], topic: string, from: number, to: number) {
  const numbers = seen.filter((event) => event.topic === topic).map((event) => event.n);
  for (let index = 0; index < Math.max(numbers.length, to - from); index += 1) {
    if (numbers[index] !== from + index) {
      const around = numbers.slice(Math.max(0, index - 3), index + 4).join(' ');
      const want = from + index < to ? String(from + index) : 'the end';
      return `${topic}, place ${index} of ${to - from}: ${want} is not there, but … ${around} …`;
    }
  }
  const ids = new Set(seen.map((event) => event.id));
  return ids.size === seen.length ? undefined : `${topic}: an id came twice`;
}
