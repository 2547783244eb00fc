/** The parser against every vector of `conformance/sse`, in every chunking. */

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Parser, parse, type SseEvent } from '../src/parser.js';

type Text = string | (string | { repeat: string; times: number })[];

interface Case {
  name: string;
  input?: Text;
  input_hex?: string;
  events: { type: string; data: Text; id: Text }[];
  last_event_id: Text;
  retry?: number;
}

const folder = new URL('../../../../conformance/sse/', import.meta.url);

const cases: Case[] = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .flatMap((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')).cases as Case[]);

function text(value: Text): string {
  if (typeof value === 'string') return value;
  return value.map((part) => (typeof part === 'string' ? part : part.repeat.repeat(part.times)))
    .join('');
}

function bytes(test: Case): Uint8Array {
  if (test.input_hex !== undefined) return new Uint8Array(Buffer.from(test.input_hex, 'hex'));
  return new TextEncoder().encode(text(test.input ?? ''));
}

/** Cuts at the places that `next` draws: how many bytes the next chunk has. */
function* chunks(all: Uint8Array, next: () => number): Generator<Uint8Array> {
  for (let from = 0; from < all.length; ) {
    const size = Math.max(1, next());
    yield all.slice(from, from + size);
    from += size;
  }
}

/** A small generator of numbers that are the same in each run (mulberry32). */
function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let value = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

function run(test: Case, next: () => number): void {
  const seen: { type: string; data: string; id: string }[] = [];
  let retry: number | undefined;
  const parser = new Parser({
    onEvent: (event) =>
      seen.push({ type: event.type, data: event.data, id: event.lastEventId }),
    onRetry: (ms) => (retry = ms),
  });
  for (const chunk of chunks(bytes(test), next)) parser.feed(chunk);
  const events = test.events
    .map(({ type, data, id }) => ({ type, data: text(data), id: text(id) }));
  expect(seen).toEqual(events);
  expect(parser.lastEventId).toBe(text(test.last_event_id));
  expect([retry, parser.reconnectionTime]).toEqual([test.retry, test.retry]);
}

describe('conformance/sse', () => {
  it('has all of its cases', () => expect(cases.length).toBeGreaterThanOrEqual(150));

  for (const test of cases) {
    it(test.name, { timeout: 60_000 }, () => {
      const large = bytes(test).length > 100_000;
      run(test, () => Infinity);
      run(test, () => 1);
      run(test, () => 2);
      for (let seed = 0; seed < (large ? 2 : 20); seed++) {
        const draw = random(seed);
        run(test, () => Math.floor(draw() * (large ? 9_999 : 7)) + 1);
      }
    });
  }
});

function collect(options?: ConstructorParameters<typeof Parser>[1]) {
  const events: SseEvent[] = [];
  const comments: string[] = [];
  const ids: string[] = [];
  const parser = new Parser({
    onEvent: (event) => events.push(event),
    onComment: (comment) => comments.push(comment),
    onId: (id) => ids.push(id),
  }, options);
  const feed = (part: string) => parser.feed(new TextEncoder().encode(part));
  return { parser, feed, events, comments, ids };
}

describe('Parser', () => {
  it('dispatches at the CR, and swallows the LF that comes later', () => {
    const { feed, events } = collect();
    feed('data: a\r\r');
    expect(events.length).toBe(1);
    feed('\ndata: b\r\n\r');
    expect(events.length).toBe(2);
    feed('\n');
    feed('data: c\n\n');
    expect(events.map((event) => event.data)).toEqual(['a', 'b', 'c']);
  });

  it('seeds the id, keeps it over streams, and forgets what is incomplete', () => {
    const { parser, feed, events } = collect({ lastEventId: '7' });
    feed('data: a\n\nid: 8\ndata: cut');
    parser.reset();
    feed('data: b\n\n');
    expect(events.map((event) => event.lastEventId)).toEqual(['7', '7']);
  });

  it('tells of an id without data, and of comments', () => {
    const { feed, ids, comments, events } = collect();
    feed('id: 5\n\n: hi\n:\n');
    expect([ids, comments, events]).toEqual([['5'], [' hi', ''], []]);
  });

  it('limits lines and events, but not comments', () => {
    const limit = { maxEventBytes: 100 };
    const code = expect.objectContaining({ code: 'too-large' });
    const thrown = (parts: string[]) => {
      const { feed } = collect(limit);
      try {
        for (const part of parts) feed(part);
      } catch (error) {
        return error;
      }
      return undefined;
    };
    expect(thrown([`data: ${'x'.repeat(100)}\n\n`])).toBeUndefined();
    expect(thrown([`data: ${'x'.repeat(101)}\n`])).toEqual(code);
    expect(thrown([`data: ${'x'.repeat(60)}\n`, `data: ${'x'.repeat(40)}\n`])).toEqual(code);
    expect(thrown(Array.from({ length: 200 }, () => 'x'))).toEqual(code);
    expect(thrown(Array.from({ length: 200 }, () => ':'.repeat(100)))).toBeUndefined();
    expect(thrown([`${'x'.repeat(200)}`])).toEqual(code);
    const { feed, parser, events } = collect(limit);
    expect(() => feed('x'.repeat(200))).toThrow();
    parser.reset();
    feed('data: a\n\n');
    expect(events.length).toBe(1);
  });

  it('does not search or copy a byte more often when there are more of them', () => {
    // Work is counted, not timed: how many bytes the decoder and the searches are given.
    const count = (size: number) => {
      let work = 0;
      const { indexOf, set } = Uint8Array.prototype;
      Uint8Array.prototype.indexOf = function (this: Uint8Array, value: number, from = 0) {
        const found = indexOf.call(this, value, from);
        work += (found < 0 ? this.length : found) - from;
        return found;
      };
      Uint8Array.prototype.set = function (this: Uint8Array, part: ArrayLike<number>, at = 0) {
        work += part.length;
        set.call(this, part, at);
      };
      try {
        const { feed } = collect();
        for (let at = 0; at < size; at += 100) feed('x'.repeat(100));
        const { feed: whole } = collect();
        whole('data: x\r'.repeat(size / 8));
      } finally {
        Object.assign(Uint8Array.prototype, { indexOf, set });
      }
      return work;
    };
    expect(count(400_000)).toBeLessThan(5 * count(100_000));
  });

  it('reads a body as an iterator, and cancels it when the loop is left', async () => {
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode('data: a\n\ndata: b\n\n')),
      cancel: () => {
        cancelled = true;
      },
    });
    for await (const event of parse(body)) {
      expect(event.data).toBe('a');
      break;
    }
    expect(cancelled).toBe(true);
  });
});
