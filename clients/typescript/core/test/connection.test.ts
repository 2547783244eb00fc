/** How a connection is made, watched, given up and made again. */

import { describe, expect, it } from 'vitest';
import { TidingsError, UnauthorizedError } from '../src/index.js';
import { settle } from '../src/testing.js';
import { kit, page, record } from './kit.js';

/** The positions that the streams were asked to resume after. */
const positions = (streams: { request: { headers: Readonly<Record<string, string>> } }[]) =>
  streams.map(({ request }) => request.headers['last-event-id']);

describe('reconnecting', () => {
  it('tries at once the first time, then after a wait that is drawn from a growing bound',
    async () => {
      const { server, clock, client } = kit();
      client.subscribe('t');
      const stream = await server.stream();
      stream.event({ id: 'e-1', data: 'a' });
      await settle();
      const later = { status: 503 };
      server.script(later, later, later, later, later, later, later, later);
      const waits: number[] = [];
      stream.end();
      await settle();
      for (let attempt = 0; attempt < 9; attempt++) {
        waits.push(client.retryAt! - clock.now());
        await clock.advance(waits[attempt]!);
      }
      expect(waits).toEqual([0, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
      expect(client.state).toBe('open');
      expect(positions(server.streams)).toEqual(['e-0', 'e-1'].slice(1).reduce<unknown[]>(
        (all, id) => [...all, id], [undefined]));
    });

  it('draws waits evenly from zero to the bound', async () => {
    const { server, clock, client } = kit();
    server.handle = () => ({ status: 503 });
    client.subscribe('t');
    await settle();
    for (const chance of [0.001, 0.25, 0.999]) {
      clock.chance = chance;
      const failures = Math.min(client.reconnectionTime * 2 ** (server.requests.length), 30_000);
      await clock.advance(client.retryAt! - clock.now());
      expect(client.retryAt! - clock.now()).toBeCloseTo(failures * chance, 5);
    }
  });

  it('draws from a share around the bound if jitter is a number', async () => {
    const { server, clock, client } = kit({ retry: { min: 100, jitter: 0.3 } });
    server.handle = () => ({ status: 503 });
    clock.chance = 0;
    client.subscribe('t');
    await settle();
    expect(client.retryAt! - clock.now()).toBeCloseTo(70, 5);
  });

  it('waits as long as the server asks, and a wake-up does not cut it short', async () => {
    const { server, clock, client } = kit();
    server.script({ status: 503, headers: { 'retry-after': '120' } });
    client.subscribe('t');
    await settle();
    expect(client.retryAt! - clock.now()).toBe(120_250);
    client.check();
    await clock.advance(120_000);
    expect(server.requests.length).toBe(1);
    await clock.advance(250);
    expect(client.state).toBe('open');
  });

  it('counts anew only after an event, or five seconds', async () => {
    const { server, clock, client } = kit();
    client.subscribe('t');
    (await server.stream(0)).end();
    await settle();
    expect(client.retryAt! - clock.now()).toBe(250);
    await clock.advance(250);
    (await server.stream(1)).end();
    await settle();
    expect(client.retryAt! - clock.now()).toBe(500);
    await clock.advance(500);
    await server.stream(2);
    await clock.advance(5_000);
    (await server.stream(2)).end();
    await settle();
    expect(client.retryAt! - clock.now()).toBe(0);
  });

  it('keeps to the time that a server gave with retry:', async () => {
    const { server, clock, client } = kit();
    client.subscribe('t');
    const stream = await server.stream();
    stream.send('retry: 4000\n\n').event({ id: 'e-1', data: 'a' }).end();
    await settle();
    expect(client.reconnectionTime).toBe(4000);
    // At least that, and as much again to be drawn from, so that clients do not come together.
    expect(client.retryAt! - clock.now()).toBe(6000);
  });

  it('tries at once when the page is online again', async () => {
    const window = page();
    const { server, client, states } = kit();
    server.script(() => {
      throw new TypeError('offline');
    });
    client.subscribe('t');
    await settle();
    expect(states).toEqual(['connecting', 'waiting']);
    window.fire('online');
    await settle();
    window.remove();
    expect(client.state).toBe('open');
  });

  it('aborts an attempt before the next, and ignores what it still says', async () => {
    const { server, clock, client } = kit();
    const seen = record(client.subscribe('t'));
    const first = await server.stream();
    await clock.advance(0);
    clock.sleep(60_000);
    client.check();
    await clock.advance(0);
    const second = await server.stream(1);
    expect(first.request.signal?.aborted).toBe(true);
    expect(second.request.signal?.aborted).toBe(false);
    second.event({ id: 'e-1', data: 'a' });
    await settle();
    expect(seen).toEqual(['a']);
    expect(server.requests.length).toBe(2);
  });
});

describe('the watchdog', () => {
  it('calls a silent connection stale, and gives it up', async () => {
    const { server, clock, client, states } = kit();
    client.subscribe('t');
    await server.stream();
    await clock.advance(29_999);
    expect(client.state).toBe('open');
    await clock.advance(1);
    expect([client.state, client.readyState]).toEqual(['stale', 1]);
    await clock.advance(14_999);
    expect(client.state).toBe('stale');
    await clock.advance(1);
    expect(states).toEqual(['connecting', 'open', 'stale', 'waiting', 'connecting', 'open']);
    expect(server.streams[0]?.closed).toBe(true);
  });

  it('is content with a heartbeat', async () => {
    const { server, clock, client, states } = kit();
    client.subscribe('t');
    const stream = await server.stream();
    for (let beat = 0; beat < 20; beat++) {
      await clock.advance(beat % 3 ? 20_000 : 31_000);
      stream.heartbeat();
      await settle();
      expect(client.state).toBe('open');
    }
    expect(server.requests.length).toBe(1);
    expect(states).not.toContain('waiting');
  });

  it('goes by the clock after a sleep, not by timers', async () => {
    const { server, clock, client } = kit();
    client.subscribe('t');
    await server.stream();
    await clock.advance(1);
    clock.sleep(3_600_000);
    client.check();
    // At once, before any timer has run.
    expect(client.state).toBe('waiting');
    await clock.advance(0);
    expect(server.streams.length).toBe(2);
    await settle();
    // A wake-up with a living connection does nothing.
    client.check();
    await clock.advance(10_000);
    client.check();
    await settle();
    expect(server.streams.length).toBe(2);
  });

  it('gives up a request that is not answered in time', async () => {
    const { server, clock, client, states } = kit();
    server.script(() => new Promise(() => {}));
    client.subscribe('t');
    await clock.advance(9_999);
    expect(states).toEqual(['connecting']);
    await clock.advance(1);
    expect(client.state).toBe('waiting');
    expect(server.requests[0]?.signal?.aborted).toBe(true);
  });
});

describe('the token', () => {
  it('is asked for once, however many need it, and again when it was refused', async () => {
    const reasons: string[] = [];
    let good = 'old';
    const { server, client } = kit({
      getToken: async ({ reason }) => {
        reasons.push(reason);
        await settle();
        return good;
      },
    });
    const guard = server.handle;
    let valid = 'old';
    server.handle = (request) =>
      request.headers['authorization'] === `Bearer ${valid}` ? guard(request) : { status: 401 };
    client.subscribe('t');
    await Promise.all([client.publish('a', '1'), client.publish('a', '2'), client.history('a')]);
    expect(reasons).toEqual(['connect']);
    valid = good = 'new';
    await Promise.all([client.publish('a', '3'), client.publish('a', '4'), client.history('a')]);
    expect(reasons).toEqual(['connect', 'unauthorized']);
  });

  it('is refused for good if the new one is refused too', async () => {
    const reasons: string[] = [];
    const { server, client } = kit({
      getToken: ({ reason }) => {
        reasons.push(reason);
        return 'x';
      },
    });
    const problem = { code: 'unauthorized', title: 'No', detail: 'not you', retryable: false };
    server.handle = () => ({ status: 401, body: problem });
    const seen = record(client.subscribe('t'));
    await settle();
    expect(reasons).toEqual(['connect', 'unauthorized']);
    expect(seen).toEqual(['error unauthorized']);
    expect(client.state).toBe('failed');
    const error = await client.publish('a', 'x').catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UnauthorizedError);
    expect(error).toMatchObject({ status: 401, retryable: false, problem, message: 'not you' });
  });

  it('is renewed when it has expired', async () => {
    const reasons: string[] = [];
    const { clock, server, client } = kit({
      getToken: ({ reason }) => {
        reasons.push(reason);
        return `h.${btoa(JSON.stringify({ exp: clock.now() / 1000 + 60 }))}.s`;
      },
    });
    await client.publish('a', '1');
    await clock.advance(40_000);
    await client.publish('a', '2');
    await clock.advance(20_000);
    await client.publish('a', '3');
    expect(reasons).toEqual(['connect', 'expired']);
    expect(server.requests.length).toBe(3);
  });

  it('ends the client if it is not to be had, but not if it failed for now', async () => {
    let failure: Error = new Error('the network');
    const { client, clock } = kit({
      getToken: () => {
        throw failure;
      },
    });
    const seen = record(client.subscribe('t'));
    await settle();
    expect(client.state).toBe('waiting');
    failure = new UnauthorizedError('signed out');
    await clock.advance(500);
    expect(seen).toEqual(['error unauthorized']);
    expect(client.state).toBe('failed');
  });
});

describe('closing', () => {
  it.each(['idle', 'connecting', 'open', 'waiting', 'paused', 'failed'])(
    'is final when it is %s, and can be repeated', async (state) => {
      const window = page();
      const { server, clock, client } = kit();
      if (state !== 'idle') client.subscribe('t').on('error', () => {});
      if (state === 'connecting') server.script(() => new Promise(() => {}));
      if (state === 'waiting') server.script({ status: 503 });
      if (state === 'failed') server.script({ status: 404 });
      await settle();
      if (state === 'paused') window.fire('pagehide');
      expect(client.state).toBe(state);
      const requests = server.requests.length;
      client.close();
      client.close();
      expect([client.state, client.readyState]).toEqual(['closed', 2]);
      expect(() => client.subscribe('t')).toThrow(TidingsError);
      await clock.advance(120_000);
      expect(server.requests.length).toBe(requests);
      expect(clock.timers).toEqual([]);
      if (state === 'open') expect(server.streams[0]?.closed).toBe(true);
      window.fire('pageshow');
      window.fire('online');
      await settle();
      expect(server.requests.length).toBe(requests);
      window.remove();
    });

  it('keeps a hidden page connected, unless it is told otherwise', async () => {
    for (const [visibility, hidden, later] of [
      ['keep', 'open', 'open'],
      ['pause', 'paused', 'paused'],
      [{ pauseAfter: 5_000 }, 'open', 'paused'],
    ] as const) {
      const window = page();
      const { server, clock, client } = kit({ visibility });
      const seen = record(client.subscribe('t'));
      (await server.stream()).event({ id: 'e-1', data: 'a' });
      await settle();
      window.show(false);
      await clock.advance(1);
      expect(client.state).toBe(hidden);
      await clock.advance(5_000);
      expect(client.state).toBe(later);
      window.show(true);
      await settle();
      expect(client.state).toBe('open');
      expect(server.streams.length).toBe(visibility === 'keep' ? 1 : 2);
      if (visibility !== 'keep') expect(positions(server.streams)[1]).toBe('e-1');
      expect(seen).toEqual(['a']);
      client.close();
      window.remove();
    }
  });

  it('lets go of a page that is put away, and comes back with it', async () => {
    const window = page();
    const { server, client } = kit();
    client.subscribe('t');
    await server.stream();
    await settle();
    window.fire('pagehide');
    expect([client.state, server.streams[0]?.closed]).toEqual(['paused', true]);
    window.fire('pageshow');
    await settle();
    expect(client.state).toBe('open');
    expect(positions(server.streams)).toEqual([undefined, 'e-0']);
    client.close();
    window.remove();
  });

  it('lets the connection go after the last subscription, and makes another', async () => {
    const { server, client, clock } = kit();
    const sub = client.subscribe('t');
    await server.stream();
    await settle();
    sub.close();
    await settle();
    expect(client.state).toBe('idle');
    expect(server.streams[0]?.closed).toBe(true);
    expect(clock.timers).toEqual([]);
    client.subscribe('u');
    await server.stream(1);
    expect(server.streams[1]?.request.path).toBe('/topics/u?envelope=1');
    expect(server.streams[1]?.request.headers['last-event-id']).toBeUndefined();
  });
});

describe('what is wrong', () => {
  it('carries the problem document', async () => {
    const { server, client } = kit();
    const problem = {
      type: 'urn:tidings:problem:forbidden', title: 'Forbidden', status: 403,
      detail: 'no right to subscribe', code: 'forbidden', retryable: false,
    };
    server.script({ status: 403, body: problem });
    const sub = client.subscribe('t');
    await expect((async () => {
      for await (const _ of sub) void _;
    })()).rejects.toMatchObject({ code: 'forbidden', status: 403, problem, retryable: false });
    expect([sub.state, sub.error?.code]).toEqual(['failed', 'forbidden']);
    client.subscribe('u');
    await server.stream();
    await settle();
    expect(client.state).toBe('open');
  });

  it('is refused before anything is sent', () => {
    const { server, client } = kit();
    const code = (topics: string | string[]) => {
      try {
        client.subscribe(topics).close();
      } catch (error) {
        return (error as TidingsError).code;
      }
      return undefined;
    };
    expect(code('')).toBe('invalid-topic');
    expect(code('a*')).toBe('invalid-pattern');
    expect(code([])).toBe('invalid-request');
    expect(code(Array.from({ length: 1025 }, (_, at) => `t${at}`))).toBe('too-many-topics');
    expect(code(['a', '**'])).toBeUndefined();
    expect(server.requests).toEqual([]);
  });
});
