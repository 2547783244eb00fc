/** The second chunk: what happens while it is not there, or cannot be had. */

import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Client, ClientOptions } from '../src/index.js';
import { FakeClock, FakeServer, settle } from '../src/testing.js';
import { record } from './kit.js';

const chunk = '../src/rest.js';

/** From now on the chunk cannot be had. */
const goOffline = () =>
  vi.doMock(chunk, () => {
    throw new TypeError('Failed to fetch dynamically imported module');
  });

/** From now on it can. */
const goOnline = () => vi.doUnmock(chunk);

/** A client of modules that have not loaded anything. */
async function fresh(options: Partial<ClientOptions> = {}) {
  vi.resetModules();
  goOffline();
  const { createClient } = await import('../src/index.js');
  const server = new FakeServer();
  const clock = new FakeClock();
  const client: Client = createClient({
    url: server.url, fetch: server.fetch, clock, ...options,
  });
  const states: string[] = [];
  client.on('state', ({ state }) => states.push(state));
  return { server, clock, client, states };
}

afterEach(goOnline);

/** Moves the clock until something holds. */
async function until(clock: FakeClock, holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1_000 && !holds(); turn++) await clock.advance(100);
  expect(holds()).toBe(true);
}

describe('the second chunk', () => {
  it('is asked for again until it is there, and nothing is lost or out of order', async () => {
    const { server, clock, client, states } = await fresh();
    const a = record(client.subscribe('a'));
    const stream = await server.stream();
    stream.event({ id: 'e-1', topic: 'a', data: '1' });
    await clock.advance(5_000);
    // Followed while it was not there: those who come later, and what was published.
    const b = record(client.subscribe('b'));
    server.after = 'e-1';
    const receipt = client.publish('a', 'x');
    await settle();
    expect([a, b, states]).toEqual([[], [], ['connecting']]);
    expect(server.requests.length).toBe(1);
    goOnline();
    await until(clock, () => client.state === 'open');
    await receipt;
    await settle();
    stream.event({ id: 'e-2', topic: 'a', data: '2' }).event({ id: 'e-3', topic: 'b', data: '3' });
    await settle();
    expect([a, b]).toEqual([['1', '2'], ['3']]);
    expect(server.streams.length).toBe(1);
    client.close();
    expect(clock.timers).toEqual([]);
  });

  it('is waited for after a failure, and then the way back is as always', async () => {
    const { server, clock, client, states } = await fresh();
    server.script(() => {
      throw new TypeError('offline');
    });
    const seen = record(client.subscribe('t'));
    await settle();
    expect(states).toEqual(['connecting', 'waiting']);
    expect(client.retryAt).toBeUndefined();
    goOnline();
    await until(clock, () => client.retryAt !== undefined);
    await until(clock, () => client.state === 'open');
    (await server.stream()).event({ id: 'e-1', data: '1' });
    await settle();
    expect(seen).toEqual(['1']);
    client.close();
  });

  it('does not make a publish wait for ever', async () => {
    const { clock, client } = await fresh();
    const receipt = client.publish('t', 'x');
    let over = false;
    receipt.catch(() => (over = true));
    await until(clock, () => over);
    await expect(receipt).rejects.toMatchObject({ code: 'network', retryable: true });
    const controller = new AbortController();
    const aborted = client.publish('t', 'x', { signal: controller.signal });
    await settle();
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ code: 'aborted' });
    expect(clock.timers).toEqual([]);
  });

  it('is given up with the client', async () => {
    const { server, clock, client } = await fresh();
    client.subscribe('t');
    const stream = await server.stream();
    await settle();
    client.close();
    await clock.advance(600_000);
    expect([clock.timers, stream.closed, client.state]).toEqual([[], true, 'closed']);
  });

  it('is there before another tab can bring anything', async () => {
    const links: string[] = [];
    const { clock, client } = await fresh({
      share: {
        link: (context, handler) => {
          links.push('made');
          return context.connect(handler);
        },
      },
    });
    client.subscribe('t');
    await settle();
    expect(links).toEqual([]);
    goOnline();
    await until(clock, () => client.state === 'open');
    expect(links).toEqual(['made']);
    client.close();
  });
});
