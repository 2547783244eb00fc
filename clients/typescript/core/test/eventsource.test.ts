/** The drop-in class against the rules of WHATWG HTML, section 9.2 (S1 to S17). */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { EventSource } from '../src/eventsource.js';
import { FakeServer, settle } from '../src/testing.js';

describe('EventSource', () => {
  let server: FakeServer;
  let seen: string[];
  let sources: EventSource[];

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    server = new FakeServer();
    server.streamHeaders = {};
    seen = [];
    sources = [];
  });

  afterEach(() => {
    for (const source of sources) source.close();
    vi.useRealTimers();
  });

  function open(options: ConstructorParameters<typeof EventSource>[1] = {}) {
    const source = new EventSource(`${server.url}/x`, { fetch: server.fetch, ...options });
    sources.push(source);
    source.onopen = () => seen.push(`open ${source.readyState}`);
    source.onerror = () => seen.push(`error ${source.readyState}`);
    source.onmessage = ({ data, lastEventId, origin }) =>
      seen.push(`${data} ${lastEventId} ${origin === server.url}`);
    return source;
  }

  it('has the constants, and refuses what is not a URL', () => {
    const source = open();
    expect([EventSource.CONNECTING, EventSource.OPEN, EventSource.CLOSED]).toEqual([0, 1, 2]);
    expect([source.CONNECTING, source.OPEN, source.CLOSED]).toEqual([0, 1, 2]);
    expect([source.readyState, source.withCredentials, source.url])
      .toEqual([0, false, 'http://tidings.test/x']);
    expect(() => new EventSource('http://')).toThrow(
      expect.objectContaining({ name: 'SyntaxError' }),
    );
  });

  it('opens, dispatches by type, and reconnects with the last id', async () => {
    const source = open();
    source.addEventListener('news', (event) => seen.push(`news ${(event as MessageEvent).data}`));
    const first = await server.stream(0);
    const headers = { accept: 'text/event-stream' };
    expect(first.request).toMatchObject({ method: 'GET', headers });
    expect(first.request.headers['last-event-id']).toBeUndefined();
    first.send('id: 1\ndata: a\n\ndata: b\n\nevent: news\ndata: c\n\nid: 2\ndata: cut');
    await settle();
    expect(seen.splice(0)).toEqual(['open 1', 'a 1 true', 'b 1 true', 'news c']);
    first.end();
    await settle();
    expect(seen.splice(0)).toEqual(['error 0']);
    await vi.advanceTimersByTimeAsync(2_999);
    expect(server.streams.length).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    const second = await server.stream(1);
    expect(second.request.headers['last-event-id']).toBe('1');
    second.send('retry: 7\ndata: d\n\n');
    await settle();
    expect(seen.splice(0)).toEqual(['open 1', 'd 1 true']);
    second.fail();
    await settle();
    await vi.advanceTimersByTimeAsync(7);
    await server.stream(2);
  });

  it.each([204, 205, 299, 301, 404, 410, 503])('fails for good at %i', async (status) => {
    server.script({ status });
    open();
    await settle();
    expect(seen).toEqual(['error 2']);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(server.requests.length).toBe(1);
  });

  it('fails for good at another media type, and takes parameters', async () => {
    server.script({ headers: { 'content-type': 'text/x-bogus' } });
    open();
    await settle();
    expect(seen.splice(0)).toEqual(['error 2']);
    server.script((request) => server.open(request, { 'content-type': 'Text/Event-Stream; x=y' }));
    open();
    await settle();
    expect(seen).toEqual(['open 1']);
  });

  it('tries again when the network fails', async () => {
    server.script(() => {
      throw new TypeError('fetch failed');
    });
    open();
    await settle();
    expect(seen.splice(0)).toEqual(['error 0']);
    await vi.advanceTimersByTimeAsync(3_000);
    await settle();
    expect(seen).toEqual(['open 1']);
  });

  it('is closed in every state, and says nothing afterwards', async () => {
    const early = open();
    early.close();
    await settle();
    const connecting = open();
    server.script(() => new Promise(() => {}));
    await settle();
    connecting.close();
    await settle();
    const running = open();
    const stream = await server.stream();
    running.onmessage = ({ data }) => {
      seen.push(data);
      running.close();
    };
    stream.send('data: a\n\ndata: b\n\n');
    await settle();
    expect(stream.closed).toBe(true);
    const waiting = open();
    (await server.stream(1)).end();
    await settle();
    waiting.close();
    const inHandler = open();
    inHandler.onerror = () => inHandler.close();
    (await server.stream(2)).end();
    await settle();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(seen).toEqual(['open 1', 'a', 'open 1', 'error 0', 'open 1']);
    expect(server.requests.length).toBe(4);
    expect(sources.map(({ readyState }) => readyState)).toEqual([2, 2, 2, 2, 2]);
  });

  it('sends headers, a method, a body and a first id, each time', async () => {
    open({ method: 'POST', body: '{"q":1}', headers: { 'X-Key': 'k' }, lastEventId: '9' });
    (await server.stream()).end();
    await settle();
    await vi.advanceTimersByTimeAsync(3_000);
    await server.stream(1);
    for (const { request } of server.streams) {
      expect(request).toMatchObject({
        method: 'POST', body: '{"q":1}', headers: { 'x-key': 'k', 'last-event-id': '9' },
      });
    }
  });

  it('replaces its handlers', async () => {
    const source = open();
    source.onmessage = () => seen.push('second');
    expect(source.onopen).toBeTypeOf('function');
    source.onopen = null;
    expect(source.onopen).toBeNull();
    (await server.stream()).send('data: a\n\n');
    await settle();
    expect(seen).toEqual(['second']);
  });
});
