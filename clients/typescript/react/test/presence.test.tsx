/** Who is there: joins, renewals, leaves and those who vanish. */

import { expect, test, vi } from 'vitest';
import { useState } from 'react';
import { usePresence, useTyping } from '../src/index.js';
import { GRACE_MS } from '../src/feed.js';
import { act, frame, page, pageForEachTest, pass, probe, settle } from './support/page.js';

pageForEachTest();

const words = (): string[] => page.server.requests.filter((line) => line.startsWith('POST'));
const word = (data: unknown): string => JSON.stringify({ data, ttl: 30_000 });

test('one is there oneself, says so once, and renews at a third of the time', async () => {
  const { element, latest } = probe(() => usePresence('room', { id: 'me', data: 'Ann' }));
  await page.show(element, true);
  await frame();
  expect(latest()).toEqual([{ id: 'me', data: 'Ann' }]);
  expect(words()).toEqual(['POST /topics/presence/room']);
  const before = latest();
  await pass(9_900);
  expect(words()).toHaveLength(1);
  await pass(45_000);
  expect(words().length).toBeGreaterThanOrEqual(5);
  // A renewal is no news: nothing renders.
  expect(latest()).toBe(before);
  await page.show(null);
  const said = words().length;
  await pass(GRACE_MS * 3);
  expect(words()).toHaveLength(said + 1);
  await pass(60_000);
  expect(words()).toHaveLength(said + 1);
});

test('who came before is seen, who leaves is not, and who vanishes not for long', async () => {
  page.server.emit('presence/room', word('Bob'), { key: 'bob' });
  const { element, latest } = probe(() => usePresence('room'));
  await page.show(element);
  page.server.emit('presence/room', word('Cid'), { key: 'cid' });
  page.server.emit('presence/room', 'nonsense', { key: 'dan' });
  await frame();
  expect(latest().map(({ id }) => id)).toEqual(['bob', 'cid']);
  page.server.emit('presence/room', '{}', { key: 'cid', type: 'leave' });
  await frame();
  expect(latest().map(({ id }) => id)).toEqual(['bob']);
  await pass(20_000);
  page.server.emit('presence/room', word('Bob'), { key: 'bob' });
  await pass(20_000);
  expect(latest()).toHaveLength(1);
  await pass(10_100);
  expect(latest()).toEqual([]);
  expect(words()).toEqual([]);
});

test('what one says of oneself changes without leaving', async () => {
  let say: (data: string) => void = () => undefined;
  const { element, latest } = probe(() => {
    const [data, set] = useState('away');
    say = set;
    return usePresence('room', { id: 'me', data });
  });
  await page.show(element);
  await act(async () => say('here'));
  await frame();
  expect(latest()).toEqual([{ id: 'me', data: 'here' }]);
  expect(words()).toHaveLength(2);
});

test('a page that is put away leaves, and comes back with it', async () => {
  const { element, latest } = probe(() => usePresence('room', { id: 'me' }));
  await page.show(element);
  const publish = vi.spyOn(page.client, 'publish');
  dispatchEvent(new Event('pagehide'));
  await settle();
  expect(words()).toHaveLength(2);
  // The last word is kept for so long: whoever comes meanwhile must read this one, too.
  const options = { type: 'leave', key: 'me', ttl: 30_000, keepalive: true };
  expect(publish).toHaveBeenCalledWith('presence/room', '{}', options);
  dispatchEvent(new Event('pageshow'));
  await frame();
  expect(words()).toHaveLength(3);
  expect(latest()).toHaveLength(1);
});

test('who types is shown for a while, and said now and then only', async () => {
  const { element, latest } = probe(() => useTyping('room', { id: 'me' }));
  await page.show(element, true);
  page.server.emit('typing/room', JSON.stringify({ data: 'Bob', ttl: 5_000 }), { key: 'bob' });
  await frame();
  expect(latest().typing).toEqual([{ id: 'bob', data: 'Bob' }]);
  for (let key = 0; key < 20; key += 1) {
    latest().type();
    await pass(100);
  }
  expect(words()).toHaveLength(1);
  expect(latest().typing).toHaveLength(1);
  await pass(3_100);
  expect(latest().typing).toEqual([]);
  latest().type();
  latest().stop();
  latest().stop();
  await settle();
  expect(words()).toHaveLength(3);
});
