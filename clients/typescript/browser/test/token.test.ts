// A token expires while everything depends on it: the proxy answers 401 until a new one is shown.

import { describe, expect, test } from 'vitest';
import { runs } from '../src/chromium.ts';
import { until } from '../src/wait.ts';
import { House, type World } from '../src/world.ts';

const TOPICS = ['a', 'b', 'c'];
const REFUSED = [
  'HTTP/1.1 401 Unauthorized',
  'access-control-allow-origin: *',
  'content-length: 0',
  '\r\n',
].join('\r\n');

/** Takes only this token, from now on. */
function demand(world: World, token: string): void {
  world.proxy.answer = (request) => {
    const given = /^authorization: bearer (.*)$/im.exec(request)?.[1]?.trim();
    return request.startsWith('OPTIONS') || given === token ? undefined : REFUSED;
  };
}

/** Gives the tabs the token of the moment, and takes no other; `reasons`: why each was asked for. */
async function tokens(world: World) {
  const reasons: string[] = [];
  let token = '';
  await world.context.exposeFunction('giveToken', (reason: string) => {
    reasons.push(reason);
    return token;
  });
  const turn = (next: string): void => {
    token = next;
    demand(world, token);
  };
  return { reasons, turn };
}

describe.runIf(runs())('tokens', () => {
  const house = new House();

  test('one new token for all subscriptions, and nothing is lost', async () => {
    const world = await house.world();
    const { reasons, turn } = await tokens(world);
    turn('first');
    const tab = await world.tab();
    for (const topic of TOPICS) {
      await tab.follow(topic, [topic], { token: true, history: 'all' });
    }
    await world.publisher.burst(TOPICS, 10);
    for (const topic of TOPICS) expect(await world.whole(tab, [topic], topic)).toBeUndefined();
    expect(reasons).toEqual(['connect']);

    turn('second');
    world.publisher.begin(TOPICS);
    world.proxy.cutAll();
    await until('a new stream', () => world.proxy.streams().length === 1);
    await world.publisher.rest();
    for (const topic of TOPICS) expect(await world.whole(tab, [topic], topic)).toBeUndefined();
    expect(reasons).toEqual(['connect', 'unauthorized']);
  });

  test('tabs that share: the leader renews it once for all', async () => {
    const world = await house.world();
    const { reasons, turn } = await tokens(world);
    turn('first');
    const tabs = await world.tabsFollowing(3, TOPICS, { token: true, user: 'ann' });
    turn('second');
    world.publisher.begin(TOPICS);
    world.proxy.cutAll();
    await until('a new stream', () => world.proxy.streams().length === 1);
    await world.publisher.rest();
    for (const tab of tabs) expect(await world.whole(tab, TOPICS)).toBeUndefined();
    expect(reasons.filter((reason) => reason === 'unauthorized')).toHaveLength(1);
  });
});
