/** What subscriptions are handed out: joining, reading up, gaps, and slow readers. */

import { describe, expect, it } from 'vitest';
import { json, type TidingsError } from '../src/index.js';
import { FakeServer, settle, type FakeRequest } from '../src/testing.js';
import { event, kit, record } from './kit.js';

/** Answers pages of history from a list of ids `e-1`, `e-2`, …, as the server does. */
function withHistory(server: FakeServer, log: { id: string; data: string; topic: string }[]) {
  const usual = server.handle;
  const number = (id: string | null) => Number(id?.split('-')[1] ?? 0);
  server.handle = (request: FakeRequest) => {
    if (request.headers['accept'] !== 'application/json') return usual(request);
    const url = new URL(request.path, server.url);
    const query = url.searchParams;
    const topics = url.pathname === '/events'
      ? query.getAll('topic')
      : [decodeURIComponent(url.pathname.slice('/topics/'.length))];
    const limit = Number(query.get('limit') ?? 100);
    const before = query.has('before') ? number(query.get('before')) : Infinity;
    const after = query.get('lastEventId') === 'earliest' ? 0 : number(query.get('lastEventId'));
    const all = log.filter(({ id, topic }) =>
      topics.includes(topic) && number(id) > after && number(id) < before);
    const events = all.slice(0, limit);
    const more = all.length > limit;
    const newest = Math.max(0, ...log.map(({ id }) => number(id)));
    const next = more ? events[events.length - 1]?.id
      : `e-${Math.max(after, Math.min(before - 1, newest))}`;
    return { body: { events: events.map((said) => event(said.id, said.data, said.topic)),
      next, more, gap: null } };
  };
}

const pages = (server: FakeServer) =>
  server.requests.filter(({ headers }) => headers['accept'] === 'application/json');

describe('many on one connection', () => {
  it('begins with all that are there, and gives to each what is theirs', async () => {
    const { server, client } = kit();
    const a = record(client.subscribe('a'));
    const b = record(client.subscribe(['b', 'c/*']));
    const all = record(client.subscribe('**'));
    const stream = await server.stream();
    expect(stream.request.path)
      .toBe('/events?envelope=1&topic=a&topic=b&pattern=c/*&pattern=**');
    stream.event({ id: 'e-1', topic: 'a', data: '1' })
      .event({ id: 'e-2', topic: 'c/x', data: '2' })
      .event({ id: 'e-3', topic: 'z', data: '3', alternates: ['b'] })
      .event({ id: 'e-4', topic: '$own', data: '4' });
    await settle();
    expect([a, b, all]).toEqual([['1'], ['2', '3'], ['1', '2', '3']]);
  });

  it('adds and removes topics without a reconnect', async () => {
    const { server, client } = kit();
    const a = record(client.subscribe('a'));
    const stream = await server.stream();
    stream.event({ id: 'e-1', topic: 'a', data: '1' });
    await settle();
    server.after = 'e-1';
    const sub = client.subscribe('b');
    const b = record(sub);
    const c = client.subscribe('c/*');
    await settle();
    stream.event({ id: 'e-2', topic: 'b', data: '2' });
    await settle();
    c.close();
    sub.change(['b', 'd']);
    await settle();
    const bodies = server.requests.filter(({ method }) => method === 'PATCH')
      .map(({ path, body }) => [path, JSON.parse(body)]);
    expect(bodies).toEqual([
      ['/connections/c1.key', { add: { topics: ['b'], patterns: ['c/*'] },
        remove: { topics: [], patterns: [] } }],
      ['/connections/c1.key', { add: { topics: ['d'], patterns: [] },
        remove: { topics: [], patterns: ['c/*'] } }],
    ]);
    stream.event({ id: 'e-3', topic: 'd', data: '3' }).event({ id: 'e-4', topic: 'a', data: '4' });
    await settle();
    expect([a, b]).toEqual([['1', '4'], ['2', '3']]);
    expect(server.streams.length).toBe(1);
    expect(sub.lastEventId).toBe('e-3');
  });

  it('gives what was on its way for one that is closed to nobody', async () => {
    const { server, client, clock } = kit();
    const one = client.subscribe('a');
    const a = record(one);
    const stream = await server.stream();
    server.after = 'e-0';
    const other = client.subscribe(['b', 'c/*']);
    await settle();
    other.close();
    stream.event({ id: 'e-1', topic: 'b', data: 'late' })
      .event({ id: 'e-2', topic: 'c/d', data: 'late' })
      .event({ id: 'e-3', topic: 'a', data: '1' });
    await settle();
    expect(a).toEqual(['1']);
    expect(client.lastEventId).toBe('e-3');
    // Of a fork, whose events keep the topic that they were published to, nothing is lost.
    await clock.advance(10_001);
    stream.event({ id: 'e-4', topic: 'b', data: 'of a fork' });
    await settle();
    expect(a).toEqual(['1', 'of a fork']);
  });

  it('holds what comes of an added topic until it is known where it begins', async () => {
    const { server, client } = kit();
    client.subscribe('a');
    const stream = await server.stream();
    await settle();
    const changed = client.subscribe('a');
    const c = record(changed);
    await settle();
    let answer = (_: object) => {};
    server.script(() => new Promise((resolve) => {
      answer = (body) => resolve({ body });
    }));
    const b = record(client.subscribe('b'));
    changed.change(['a', 'b']);
    await settle();
    stream.event({ id: 'e-6', topic: 'b', data: '6' });
    await settle();
    expect([b, c]).toEqual([[], []]);
    answer({ after: 'e-5' });
    await settle();
    expect([b, c]).toEqual([['6'], ['6']]);
  });

  it('refuses the topics that cannot be had, and keeps the others', async () => {
    const { server, client } = kit();
    const a = record(client.subscribe('a'));
    const stream = await server.stream();
    await settle();
    server.script({ status: 403, body: { code: 'forbidden' } });
    const b = record(client.subscribe('b'));
    await settle();
    stream.event({ id: 'e-1', topic: 'a', data: '1' });
    await settle();
    expect([a, b]).toEqual([['1'], ['error forbidden']]);
  });

  it('refuses only what was added, where the token is not good enough for it', async () => {
    const { server, client } = kit({ getToken: () => 'x' });
    const a = record(client.subscribe('a'));
    const stream = await server.stream();
    await settle();
    server.script({ status: 401 }, { status: 401 });
    const b = record(client.subscribe('b'));
    await settle();
    stream.event({ id: 'e-1', topic: 'a', data: '1' });
    await settle();
    expect([a, b, client.state]).toEqual([['1'], ['error unauthorized'], 'open']);
    expect(server.streams.length).toBe(1);
  });

  it('connects anew where a connection cannot be changed', async () => {
    const { server, client } = kit();
    const a = record(client.subscribe('a'));
    (await server.stream()).event({ id: 'e-1', topic: 'a', data: '1' });
    await settle();
    server.script({ status: 404, body: { code: 'connection-not-found' } });
    const b = record(client.subscribe('b'));
    const stream = await server.stream(1);
    expect(stream.request.path).toBe('/events?envelope=1&topic=a&topic=b');
    expect(stream.request.headers['last-event-id']).toBe('e-1');
    stream.event({ id: 'e-2', topic: 'b', data: '2' });
    await settle();
    expect([a, b]).toEqual([['1'], ['2']]);
  });
});

describe('joining with history', () => {
  const log = Array.from({ length: 9 }, (_, at) =>
    ({ id: `e-${at + 1}`, data: String(at + 1), topic: at % 3 === 1 ? 'a' : 'b' }));

  it('reads exactly up to where the stream begins', async () => {
    const { server, client } = kit();
    withHistory(server, log);
    record(client.subscribe('a'));
    const stream = await server.stream();
    await settle();
    // The last event that history has to give is the one at the position itself.
    server.after = 'e-7';
    const b = record(client.subscribe('b', { history: 'all' }));
    await settle();
    expect(b).toEqual(['1', '3', '4', '6', '7']);
    stream.event({ id: 'e-8', topic: 'a', data: '8' }).event({ id: 'e-9', topic: 'b', data: '9' });
    await settle();
    expect(b).toEqual(['1', '3', '4', '6', '7', '9']);
    expect(pages(server).map(({ path }) => path)).toEqual([
      '/topics/b?lastEventId=earliest&before=e-7&limit=500',
      '/topics/b?lastEventId=e-6&limit=1',
    ]);
  });

  it('drops what comes again', async () => {
    const { server, client } = kit();
    withHistory(server, log);
    record(client.subscribe('b'));
    const stream = await server.stream();
    await settle();
    server.after = 'e-7';
    const all = record(client.subscribe(['a', 'b'], { history: 'all' }));
    await settle();
    // Sent before the change was made, and come after it.
    stream.event({ id: 'e-6', topic: 'b', data: '6' }).event({ id: 'e-7', topic: 'b', data: '7' })
      .event({ id: 'e-9', topic: 'b', data: '9' });
    await settle();
    expect(all).toEqual(['1', '2', '3', '4', '5', '6', '7', '9']);
  });

  it('holds the stream back until history was read', async () => {
    const { server, client } = kit();
    record(client.subscribe('a'));
    const stream = await server.stream();
    await settle();
    let answer = (_: object) => {};
    server.after = 'e-5';
    const usual = server.handle;
    server.handle = (request) => request.path.includes('before')
      ? new Promise((resolve) => {
          answer = (body) => resolve({ body });
        })
      : usual(request);
    const b = record(client.subscribe('b', { lastEventId: 'e-1' }));
    await settle();
    stream.event({ id: 'e-6', topic: 'b', data: '6' });
    await settle();
    expect(b).toEqual([]);
    answer({ events: [event('e-4', '4', 'b')], next: 'e-4', more: false, gap: null });
    await settle();
    expect(b).toEqual(['4', '6']);
  });

  it('reads what lies between, if the connection breaks before the stream came so far',
    async () => {
      const { server, clock, client } = kit();
      withHistory(server, log);
      const a = record(client.subscribe('a'));
      (await server.stream()).event({ id: 'e-2', topic: 'a', data: '2' });
      await settle();
      server.after = 'e-5';
      const b = record(client.subscribe('b'));
      await settle();
      (await server.stream()).end();
      server.after = 'e-8';
      await clock.advance(0);
      const stream = await server.stream(1);
      // Only what the position speaks for is resumed with it.
      expect(stream.request.path).toBe('/topics/a?envelope=1');
      expect(stream.request.headers['last-event-id']).toBe('e-2');
      stream.event({ id: 'e-5', topic: 'a', data: '5' });
      await settle();
      stream.event({ id: 'e-9', topic: 'b', data: '9' });
      await settle();
      expect(a).toEqual(['2', '5']);
      expect(b).toEqual(['6', '7', '9']);
    });

  it('resumes with all once the stream has come past', async () => {
    const { server, clock, client } = kit();
    record(client.subscribe('a'));
    const stream = await server.stream();
    await settle();
    server.after = 'e-5';
    record(client.subscribe('b'));
    await settle();
    stream.event({ id: 'e-6', topic: 'b', data: '6' });
    await settle();
    stream.end();
    await clock.advance(0);
    const { request } = await server.stream(1);
    expect(request.path).toBe('/events?envelope=1&topic=a&topic=b');
    expect(request.headers['last-event-id']).toBe('e-6');
  });

  it('joins at once if its topics are followed already', async () => {
    const { server, client } = kit();
    withHistory(server, log);
    record(client.subscribe('b'));
    const stream = await server.stream();
    stream.event({ id: 'e-3', topic: 'b', data: '3' });
    await settle();
    const late = record(client.subscribe('b', { history: 'all' }));
    const live = record(client.subscribe('b'));
    await settle();
    stream.event({ id: 'e-4', topic: 'b', data: '4' });
    await settle();
    expect([late, live]).toEqual([['1', '3', '4'], ['4']]);
    expect(server.requests.some(({ method }) => method === 'PATCH')).toBe(false);
  });
});

describe('gaps', () => {
  const gap = { reason: 'retention', requested: 'e-1', resumes: 'e-7', topics: ['t'] };

  it('are told before the event after them, and only to those concerned', async () => {
    const { server, client } = kit();
    const t = record(client.subscribe('t'));
    const u = record(client.subscribe('u'));
    const stream = await server.stream();
    stream.event({ id: 'e-1', data: '1' }).control('gap', 'e-7', gap)
      .event({ id: 'e-8', data: '8' }).event({ id: 'e-9', topic: 'u', data: '9' });
    await settle();
    expect([t, u]).toEqual([['1', 'gap retention', '8'], ['9']]);
  });

  it('hold later events back until the resync hook settles', async () => {
    for (const iterate of [false, true]) {
      const { server, client } = kit();
      let settleHook = () => {};
      const told: unknown[] = [];
      const sub = client.subscribe('t', {
        resync: (said) => {
          told.push(said);
          return new Promise<void>((resolve) => {
            settleHook = resolve;
          });
        },
      });
      const seen: string[] = [];
      sub.on('gap', () => seen.push('gap'));
      if (!iterate) sub.on('event', ({ data }) => seen.push(data));
      else {
        void (async () => {
          for await (const { data } of sub) seen.push(data);
        })();
      }
      const stream = await server.stream();
      stream.event({ id: 'e-1', data: '1' }).control('gap', 'e-7', gap)
        .event({ id: 'e-8', data: '8' });
      await settle();
      expect(seen).toEqual(['1', 'gap']);
      expect(told).toEqual([gap]);
      settleHook();
      await settle();
      expect(seen).toEqual(['1', 'gap', '8']);
    }
  });

  it('of a log that was made anew let events come again', async () => {
    const { server, client } = kit();
    const seen = record(client.subscribe('t'));
    const stream = await server.stream();
    stream.event({ id: 'e-1', data: '1' })
      .control('gap', 'e-0', { ...gap, reason: 'epoch', resumes: 'e-0' })
      .event({ id: 'e-1', data: '1' });
    await settle();
    expect(seen).toEqual(['1', 'gap epoch', '1']);
  });

  it('fail the subscription if the hook fails', async () => {
    const { server, client } = kit();
    const seen = record(client.subscribe('t', {
      resync: () => {
        throw new Error('no');
      },
    }));
    (await server.stream()).control('gap', 'e-7', gap).event({ id: 'e-8', data: '8' });
    await settle();
    expect(seen).toEqual(['gap retention', 'error resync']);
  });
});

describe('slow readers', () => {
  const numbers = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, at) => String(from + at));
  const log = numbers(1, 40).map((data) => ({ id: `e-${data}`, data, topic: 't' }));

  it('catch up from history, and hold up nobody', async () => {
    const { server, client } = kit();
    withHistory(server, log);
    const slow = client.subscribe('t', { buffer: { max: 4 } });
    const fast = record(client.subscribe('t'));
    const stream = await server.stream();
    for (const { id, data } of log.slice(0, 30)) stream.event({ id, data });
    await settle();
    expect(fast).toEqual(numbers(1, 30));
    expect(pages(server).length).toBe(0);
    const seen: string[] = [];
    for await (const { data } of slow) {
      seen.push(data);
      if (seen.length >= 20 && seen.length < 30) {
        stream.event({ id: `e-${seen.length + 11}`, data: String(seen.length + 11) });
      }
      if (seen.length === 40) break;
    }
    expect(seen).toEqual(numbers(1, 40));
    expect(pages(server).length).toBeGreaterThan(5);
    expect(slow.state).toBe('closed');
  });

  it.each([
    ['error', ['1', '2', '3', '4', 'error overflow']],
    ['drop-oldest', ['gap overflow', '5', '6', '7', '8']],
    ['conflate', ['gap overflow', '5', '6', '7', '8']],
  ] as const)('with %s', async (overflow, expected) => {
    const { server, client } = kit();
    const sub = client.subscribe('t', { buffer: { max: 4, overflow } });
    const stream = await server.stream();
    for (const data of numbers(1, 8)) stream.event({ id: `e-${data}`, data });
    await settle();
    const seen: string[] = [];
    sub.on('gap', (gap) => seen.push(`gap ${gap.reason}`));
    try {
      for await (const { data } of sub) {
        seen.push(data);
        if (data === '8') break;
      }
    } catch (error) {
      seen.push(`error ${(error as TidingsError).code}`);
    }
    expect(seen).toEqual(expected);
  });

  it('keep the newest of each key', async () => {
    const { server, client } = kit();
    const sub = client.subscribe('t', { buffer: { overflow: 'conflate' } });
    const stream = await server.stream();
    for (const at of numbers(1, 20)) {
      stream.event({ id: `e-${at}`, data: at, key: Number(at) % 2 ? 'odd' : 'even' });
    }
    await settle();
    const seen = record(sub);
    await settle();
    expect(seen).toEqual(['19', '20']);
  });
});

describe('handing out', () => {
  it('parses, types, bytes', async () => {
    const { server, client } = kit();
    const events: unknown[] = [];
    client.subscribe<{ n: number }>('t', { parse: json }).on('event', (it) => events.push(it));
    const stream = await server.stream();
    stream.event({ id: 'e-1', data: '{"n":1}', type: 'x', key: 'k', publisher_id: 'p' });
    await settle();
    expect(events).toEqual([{
      id: 'e-1', topic: 't', time: '1970-01-01T00:00:00.000Z', type: 'x', key: 'k',
      publisherId: 'p', data: { n: 1 },
    }]);
    const error = record(client.subscribe('t', { parse: json }));
    await settle();
    stream.event({ id: 'e-2', data: 'not json' });
    await settle();
    expect(error).toEqual(['error parse']);
  });

  it('keeps what comes before somebody reads', async () => {
    const { server, client } = kit();
    const sub = client.subscribe('t');
    const stream = await server.stream();
    stream.event({ id: 'e-1', data: '1' }).event({ id: 'e-2', data: '2' });
    await settle();
    const details: unknown[] = [];
    sub.addEventListener('event', (it) => details.push((it as CustomEvent).detail.data));
    await settle();
    stream.event({ id: 'e-3', data: '3' });
    await settle();
    expect(details).toEqual(['1', '2', '3']);
  });

  it('stops when it is closed, also in the middle, or by a signal', async () => {
    const { server, client } = kit();
    const seen: string[] = [];
    const sub = client.subscribe('t');
    sub.on('event', ({ data }) => {
      seen.push(data);
      if (data === '2') sub.close();
    });
    const controller = new AbortController();
    const other = client.subscribe('t', { signal: controller.signal });
    const stream = await server.stream();
    for (const data of ['1', '2', '3']) stream.event({ id: `e-${data}`, data });
    await settle();
    expect(seen).toEqual(['1', '2']);
    controller.abort();
    expect([sub.state, other.state, other.readyState]).toEqual(['closed', 'closed', 2]);
    for await (const _ of other) throw new Error('something after the end');
  });

  it('survives a listener that throws', async () => {
    const { server, client } = kit();
    const uncaught: unknown[] = [];
    const catcher = (error: unknown) => uncaught.push(error);
    process.on('uncaughtException', catcher);
    const sub = client.subscribe('t');
    sub.on('event', () => {
      throw new Error('mine');
    });
    const seen = record(sub);
    (await server.stream()).event({ id: 'e-1', data: '1' }).event({ id: 'e-2', data: '2' });
    await settle();
    process.off('uncaughtException', catcher);
    expect(seen).toEqual(['1', '2']);
    expect(uncaught.length).toBe(2);
  });

  it('ends with its topics', async () => {
    const { server, client } = kit();
    const t = client.subscribe('t');
    const both = record(client.subscribe(['t', 'u']));
    const seen = record(t);
    const stream = await server.stream();
    stream.control('end', 'e-1', { reason: 'done', topic: 't' });
    await settle();
    expect([t.state, seen]).toEqual(['closed', ['end done']]);
    stream.control('end', 'e-2', { reason: 'cancelled', topic: 'u' });
    await settle();
    expect(both).toEqual(['end done', 'end cancelled']);
    expect(client.state).toBe('idle');
  });
});

describe('publishing', () => {
  it('repeats with the same key until it is answered', async () => {
    const { server, clock, client } = kit();
    server.script(() => {
      throw new TypeError('cut');
    }, { status: 503 }, { body: { id: 'e-9', topic: 'a', duplicate: true } });
    const receipt = client.publish('a b', { n: 1 }, { type: 'x', ttl: 90_000, id: 'mine' });
    await clock.advance(2_000);
    expect(await receipt).toEqual({ id: 'e-9', topic: 'a', duplicate: true });
    const keys = new Set(server.requests.map(({ headers }) => headers['idempotency-key']));
    expect([server.requests.length, keys.size]).toEqual([3, 1]);
    expect(server.requests[0]).toMatchObject({
      method: 'POST', path: '/topics/a%20b?type=x&ttl=90000ms&publisher-id=mine', body: '{"n":1}',
    });
  });

  it('does not repeat what is hopeless, nor for ever', async () => {
    const { server, clock, client } = kit();
    server.script({ status: 409, body: { code: 'topic-closed', retryable: false } });
    await expect(client.publish('t', 'x'))
      .rejects.toMatchObject({ code: 'topic-closed', attempt: 1 });
    server.handle = () => ({ status: 503 });
    const failing = client.publish('t', 'x');
    failing.catch(() => {});
    await clock.advance(600_000);
    await expect(failing).rejects.toMatchObject({ status: 503, attempt: 5, retryable: true });
    const controller = new AbortController();
    const aborted = client.publish('t', 'x', { signal: controller.signal });
    await settle();
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ code: 'aborted', retryable: false });
  });
});
