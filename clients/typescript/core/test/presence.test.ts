/** Who is there: announced, renewed, gone. */

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { presence } from '../src/presence.js';
import { settle } from '../src/testing.js';
import { kit, page } from './kit.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const posts = (requests: { method: string; path: string; body: string }[]) =>
  requests.filter(({ method }) => method === 'POST').map(({ path, body }) => `${path} ${body}`);

it('announces itself, renews at a third, and leaves', async () => {
  const window = page();
  const { server, client } = kit();
  const here = presence(client, 'doc/1', { id: 'me', data: { name: 'A' }, ttl: 9_000 });
  await settle();
  const hello = '/topics/presence/doc/1?key=me&ttl=9000ms {"ttl":9000,"data":{"name":"A"}}';
  expect(posts(server.requests)).toEqual([hello]);
  await vi.advanceTimersByTimeAsync(6_000);
  await settle();
  expect(posts(server.requests)).toEqual([hello, hello, hello]);
  const leave = '/topics/presence/doc/1?type=leave&key=me&ttl=9000ms ';
  window.fire('pagehide');
  await settle();
  expect(posts(server.requests)[3]).toBe(leave);
  window.fire('pageshow');
  await settle();
  expect(posts(server.requests)[4]).toBe(hello);
  here.close();
  here.close();
  await vi.advanceTimersByTimeAsync(60_000);
  await settle();
  expect(posts(server.requests).slice(5)).toEqual([leave]);
  window.remove();
});

it('knows the newest of each member, and drops who left or has expired', async () => {
  const { server, client } = kit();
  const changes: string[] = [];
  const names = (members: readonly { id: string; data: string }[]) =>
    members.map(({ id, data }) => `${id}=${data}`).join();
  const watch = presence<string>(client, 'd', {
    onChange: (members) => changes.push(names(members)),
  });
  const stream = await server.stream();
  expect(stream.request.path).toBe('/topics/presence/d?envelope=1&lastEventId=earliest');
  const say = (id: string, key: string, data: string, ttl = 10_000) => stream.event({
    id, key, topic: 'presence/d', time: new Date().toISOString(),
    data: JSON.stringify({ ttl, data }),
  });
  say('e-1', 'b', 'B');
  say('e-2', 'a', 'A');
  say('e-3', 'a', 'A');
  await settle();
  expect(changes).toEqual(['b=B', 'a=A,b=B']);
  say('e-4', 'a', 'A2', 60_000);
  stream.event({ id: 'e-5', topic: 'presence/d', key: 'x', data: 'nonsense' });
  await settle();
  await vi.advanceTimersByTimeAsync(14_000);
  expect(names(watch.members)).toBe('a=A2,b=B');
  await vi.advanceTimersByTimeAsync(2_000);
  expect(names(watch.members)).toBe('a=A2');
  stream.event({
    id: 'e-6', topic: 'presence/d', key: 'a', type: 'leave', time: new Date().toISOString(),
    data: '',
  });
  await settle();
  expect(watch.members).toEqual([]);
  expect(posts(server.requests)).toEqual([]);
  watch.close();
});
