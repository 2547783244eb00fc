/** Against the server's own binary: whatever happens, each sequence is whole. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createClient, type Client, type Subscription } from '../src/index.js';
import { binary, Tidings } from './binary.js';

/** Most that any condition is waited for, in milliseconds. */
const PATIENCE = 60_000;

const wait = { timeout: PATIENCE, interval: 20 };

/** Numbers from 0, without a hole. */
const whole = (count: number) => Array.from({ length: count }, (_, at) => String(at));

describe.skipIf(!binary)('against the server', { timeout: 2 * PATIENCE }, () => {
  let server: Tidings;
  let client: Client;

  beforeEach(async () => {
    server = await Tidings.start();
    client = createClient({ url: server.url, retry: { min: 20, max: 200 } });
  });

  afterEach(async () => {
    client.close();
    await server.stop();
  });

  /** Publishes numbers, in order, as fast as they are answered. */
  const publish = async (topic: string, from: number, to: number) => {
    for (let number = from; number < to; number++) await client.publish(topic, String(number));
  };

  const collect = (subscription: Subscription) => {
    const seen: string[] = [];
    subscription.on('event', (event) => seen.push(event.data));
    return seen;
  };

  it('publishes, reads back, and follows', async () => {
    const live = collect(client.subscribe('a b/ü'));
    await expect.poll(() => client.state, wait).toBe('open');
    const receipt = await client.publish('a b/ü', { n: 1 }, { type: 'x', key: 'k', ttl: '1h' });
    expect(receipt).toMatchObject({ topic: 'a b/ü', duplicate: false });
    const page = await client.history('a b/ü', { earliest: true });
    expect(page.events).toMatchObject([{ id: receipt.id, type: 'x', key: 'k', data: '{"n":1}' }]);
    expect(page).toMatchObject({ more: false, gap: null });
    await expect.poll(() => live, wait).toEqual(['{"n":1}']);
    const again = { idempotencyKey: 'once' };
    const first = await client.publish('c', 'x', again);
    expect(await client.publish('c', 'x', again)).toEqual({ ...first, duplicate: true });
    await expect(client.publish('c', 'y', { expect: 'none' }))
      .rejects.toMatchObject({ code: 'unexpected-position', status: 412, retryable: false });
    expect(await client.publish('c', 'z', { delay: '1h' })).toMatchObject({ id: '' });
  });

  it('adds and removes 200 topics on one connection while events flow', async () => {
    const steady = collect(client.subscribe('steady'));
    await expect.poll(() => client.state, wait).toBe('open');
    let flowing = true;
    let published = 0;
    const flow = (async () => {
      while (flowing) await client.publish('steady', String(published++));
    })();
    const all: { seen: string[]; topic: string; subscription: Subscription }[] = [];
    for (let number = 0; number < 200; number++) {
      const topic = `many/${number}`;
      await publish(topic, 0, 2);
      const subscription = client.subscribe(topic, { history: 'all' });
      all.push({ topic, subscription, seen: collect(subscription) });
      const writing = publish(topic, 2, 4);
      if (number % 3 === 0) await writing;
      else await Promise.race([writing, Promise.resolve()]);
      await writing;
    }
    for (const { topic } of all) await publish(topic, 4, 5);
    for (const { seen } of all) {
      await expect.poll(() => seen.length, wait).toBeGreaterThanOrEqual(5);
    }
    for (const { seen } of all) expect(seen).toEqual(whole(5));
    expect(await server.connections('steady')).toBe(1);
    for (const { subscription } of all) subscription.close();
    const later = client.subscribe('many/7', { history: 'all' });
    const seen = collect(later);
    await expect.poll(() => seen, wait).toEqual(whole(5));
    flowing = false;
    await flow;
    await expect.poll(() => steady.length, wait).toBe(published);
    expect(steady).toEqual(whole(published));
    expect(await server.connections('steady')).toBe(1);
  });

  it('goes on where it was when the server is killed and started again', async () => {
    const topics = Array.from({ length: 5 }, (_, at) => `t/${at}`);
    const seen = topics.map((topic) => collect(client.subscribe(topic, { history: 'all' })));
    const pattern = collect(client.subscribe('t/*', { history: 'all' }));
    await expect.poll(() => client.state, wait).toBe('open');
    // Publishes are repeated under one key until they are answered.
    const publisher = createClient({
      url: server.url,
      retry: { min: 20, max: 200, attempts: 200 },
    });
    const writing = topics.map(async (topic) => {
      for (let number = 0; number < 150; number++) await publisher.publish(topic, String(number));
    });
    for (let round = 1; round <= 3; round++) {
      await expect.poll(() => seen[0]?.length, wait).toBeGreaterThan(round * 25);
      await server.kill();
      // What joins while there is no server joins as soon as there is one.
      topics.push(`t/late/${round}`);
      seen.push(collect(client.subscribe(`t/late/${round}`, { history: 'all' })));
      await server.start();
      await publisher.publish(`t/late/${round}`, '0');
    }
    await Promise.all(writing);
    publisher.close();
    for (const [at, numbers] of seen.entries()) {
      const count = at < 5 ? 150 : 1;
      await expect.poll(() => numbers.length, wait).toBeGreaterThanOrEqual(count);
      expect(numbers).toEqual(whole(count));
    }
    await expect.poll(() => pattern.length, wait).toBe(5 * 150);
  });

  it('keeps little for a slow reader, and gives it everything', async () => {
    const slow = client.subscribe('s', { buffer: { max: 8 } });
    const fast = collect(client.subscribe('s'));
    const reader = slow[Symbol.asyncIterator]();
    await expect.poll(() => slow.state, wait).toBe('open');
    await publish('s', 0, 300);
    await expect.poll(() => fast.length, wait).toBe(300);
    const seen: string[] = [];
    let more = 300;
    while (seen.length < 340) {
      const next = await reader.next();
      if (next.value) seen.push(next.value.data);
      if (more < 340) await publish('s', more, ++more);
    }
    expect(seen).toEqual(whole(340));
    await reader.return?.(undefined);
    expect(slow.state).toBe('closed');
  });

  it('reads up with a pattern that covers what is followed already', async () => {
    await publish('p/1', 0, 5);
    const one = collect(client.subscribe('p/1', { history: 'all' }));
    await expect.poll(() => one.length, wait).toBe(5);
    let flowing = true;
    let published = 5;
    const flow = (async () => {
      while (flowing) await client.publish('p/1', String(published++));
    })();
    const all: string[][] = [];
    for (let number = 0; number < 20; number++) {
      all.push(collect(client.subscribe(number % 2 ? 'p/**' : 'p/1', { history: 'all' })));
      await client.publish(`p/other/${number}`, 'x');
    }
    flowing = false;
    await flow;
    for (const seen of [one, ...all]) {
      const numbers = () => seen.filter((data) => data !== 'x');
      await expect.poll(() => numbers().length, wait).toBeGreaterThanOrEqual(published);
      expect(numbers()).toEqual(whole(published));
    }
  });

  it('ends with its topic, also when that ended before', async () => {
    const live = client.subscribe('e');
    const seen: string[] = [];
    await expect.poll(() => live.state, wait).toBe('open');
    await client.publish('e', 'last', { end: 'done' });
    for await (const event of live) seen.push(event.data);
    for await (const event of client.subscribe('e', { history: 'all' })) seen.push(event.data);
    const other = client.subscribe('other');
    await expect.poll(() => other.state, wait).toBe('open');
    for await (const event of client.subscribe('e', { history: 'all' })) seen.push(event.data);
    expect(seen).toEqual(['last', 'last', 'last']);
  });

  it('is told of a gap, in its place', async () => {
    const put = await fetch(`${server.url}/topics/g`, {
      method: 'PUT',
      body: JSON.stringify({ retain: { count: 3 } }),
    });
    expect(put.status).toBe(201);
    const first = await client.publish('g', '0');
    await publish('g', 1, 20);
    const order: string[] = [];
    const sub = client.subscribe('g', { lastEventId: first.id });
    sub.on('gap', (gap) => order.push(`gap ${gap.reason}`));
    sub.on('event', (event) => order.push(event.data));
    await expect.poll(() => order[order.length - 1], wait).toBe('19');
    expect(order[0]).toBe('gap retention');
    const missing = await client.publish('other', 'x');
    const foreignId = missing.id.replace(/^./, (first) => (first === 'z' ? 'y' : 'z'));
    const foreign = client.subscribe('g', { lastEventId: foreignId });
    const more: string[] = [];
    foreign.on('gap', (gap) => more.push(`gap ${gap.reason}`));
    foreign.on('event', (event) => more.push(event.data));
    await expect.poll(() => more[more.length - 1], wait).toBe('19');
    expect(more[0]).toMatch(/^gap (epoch|unknown-id)$/);
  });
});
