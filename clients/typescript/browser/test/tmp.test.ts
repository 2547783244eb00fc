import { expect, test } from 'vitest';
import { House } from '../src/world.ts';
import { until } from '../src/wait.ts';
const house = new House();
test('x', async () => {
  const world = await house.world();
  world.proxy.answer = (r) => { if (!r.startsWith('POST /pub')) console.log(r.split('\r\n\r\n')[1] ? r.split('\r\n')[0] + ' ' + r.split('\r\n\r\n')[1] : r.split('\r\n')[0], /last-event-id: (.*)/i.exec(r)?.[1]); return undefined; };
  const tab = await world.tab();
  for (const topic of ['a','b','c']) await tab.follow(topic, [topic], { history: 'all' });
  await world.publisher.burst(['a','b','c'], 10);
  for (const topic of ['a','b','c']) expect(await world.whole(tab, [topic], topic)).toBeUndefined();
  console.log(await world.server.connections());
  world.proxy.cutAll();
  await until('new', () => world.proxy.streams().length === 1);
  await world.publisher.burst(['a','b','c'], 10);
  await new Promise((d) => setTimeout(d, 1000));
  console.log(await world.server.connections());
  for (const topic of ['a','b','c']) console.log(await tab.about(topic));
});
