// Tabs that the browser itself freezes: in the background, told first, timers and network stopped.
// These tabs are real ones (not emulated as always visible), so they are opened in the browser's
// own default context.

import { chromium } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { freeze, runs } from '../src/chromium.ts';
import { figure } from '../src/figures.ts';
import { freePort } from '../src/server.ts';
import { pause, until } from '../src/wait.ts';
import { House } from '../src/world.ts';

const TOPICS = ['a', 'b/c'];

describe.runIf(runs())('frozen tabs', async () => {
  const port = await freePort();
  const house = new House('page', `--remote-debugging-port=${port}`);

  test('the leader is frozen and thawed', async () => {
    const world = await house.world();
    const over = `http://127.0.0.1:${port}`;
    const browser = await chromium.connectOverCDP(over, { noDefaults: true });
    world.ends.add(() => browser.close());
    const context = browser.contexts()[0];
    if (context === undefined) throw new Error('no default context');
    const one = await world.tab(context);
    const two = await world.tab(context);
    const three = await world.tab(context);
    const all = [one, two, three];
    await one.follow('all', TOPICS, { share: true, history: 'all' });
    await until('the first leads', async () => (await one.about()).shared === 'leader');
    await two.follow('all', TOPICS, { share: true, history: 'all' });
    await three.follow('all', TOPICS, { share: true, history: 'all' });
    await world.publisher.publish(TOPICS);
    await until('it is in the background', async () => {
      return await one.page.evaluate(() => document.visibilityState === 'hidden');
    });
    world.publisher.begin(TOPICS);
    await pause(100);
    const silence = async () => {
      const tabs = [two, three];
      const all = tabs.map((tab) => tab.page.evaluate(() => window.tab.silence('all')));
      return Math.max(...(await Promise.all(all)));
    };
    await silence();

    await freeze(one.page, 'frozen');
    const next = await world.leader([two, three]);
    const now = world.publisher.counts.get('a') ?? 0;
    for (const tab of [two, three]) {
      await until('events come', async () => (await tab.about()).count > (now + 1) * 2);
    }
    figure('leader frozen: longest silence in a tab', await silence(), 'ms');
    const before = (await one.about()).count;
    await pause(300);
    expect((await one.about()).count, 'a frozen tab reads nothing').toBe(before);

    await freeze(one.page, 'active');
    await until('it follows', async () => (await one.about()).shared === 'follower');
    expect((await next.about()).shared).toBe('leader');
    await pause(200);
    await world.publisher.rest();
    for (const tab of all) expect(await world.whole(tab, TOPICS)).toBeUndefined();
    expect(world.proxy.streams()).toHaveLength(1);
  });
});
