// The network between a tab and the server breaks in every way that a proxy can play; afterwards
// the tab has every event once, in order.

import { describe, expect, test } from 'vitest';
import { runs } from '../src/chromium.ts';
import { pause, until } from '../src/wait.ts';
import { House } from '../src/world.ts';

const TOPICS = ['a', 'b/c', 'd'];

describe.runIf(runs())('network', () => {
  const house = new House();

  for (const share of [false, true]) {
    const how = share ? 'shared' : 'own';

    test(`cut again and again, ${how} connection`, async () => {
      const world = await house.world();
      const [tab] = await world.tabsFollowing(1, TOPICS, { share });
      if (tab === undefined) throw new Error('no tab');
      world.publisher.begin(TOPICS);
      for (let cut = 0; cut < 5; cut += 1) {
        const before = world.proxy.streamsEver();
        world.proxy.cutAll();
        await until('a new stream', () => world.proxy.streamsEver() > before);
        await pause(100);
      }
      await world.publisher.rest();
      expect(await world.whole(tab, TOPICS)).toBeUndefined();
      expect((await tab.about()).gaps).toEqual([]);
    });

    test(`gone for a while, ${how} connection`, async () => {
      const world = await house.world();
      const [tab] = await world.tabsFollowing(1, TOPICS, { share });
      if (tab === undefined) throw new Error('no tab');
      world.proxy.refuse = true;
      world.proxy.cutAll();
      await until('the tab knows', async () => (await tab.about()).state === 'waiting');
      await world.publisher.burst(TOPICS, 500);
      world.proxy.refuse = false;
      await world.publisher.burst(TOPICS, 100);
      expect(await world.whole(tab, TOPICS)).toBeUndefined();
      expect((await tab.about()).gaps).toEqual([]);
    });

    test(`server killed and started again mid-stream, ${how} connection`, async () => {
      const world = await house.world('--durability', 'written');
      const [tab] = await world.tabsFollowing(1, TOPICS, { share });
      if (tab === undefined) throw new Error('no tab');
      world.publisher.begin(TOPICS);
      for (let kill = 0; kill < 2; kill += 1) {
        await pause(150);
        await world.server.kill();
        await until('the tab knows', async () => (await tab.about()).state !== 'open');
        await world.server.start();
        await until('the tab is back', async () => (await tab.about()).state === 'open');
      }
      await world.publisher.rest();
      expect(await world.whole(tab, TOPICS)).toBeUndefined();
      expect((await tab.about()).gaps).toEqual([]);
    });

    test(`asleep and awake on a dead line, ${how} connection`, async () => {
      const world = await house.world();
      const tab = await world.tab();
      await tab.page.clock.install();
      await tab.page.reload();
      await tab.follow('all', TOPICS, { share, history: 'all' });
      await world.publisher.publish(TOPICS);
      await until('the first events', async () => (await tab.about()).count === TOPICS.length);
      // The lid is closed: time stands still in the page, and the line dies without a word.
      await tab.page.clock.pauseAt(await tab.page.evaluate(() => Date.now() + 1_000));
      world.proxy.silence();
      await world.publisher.burst(TOPICS, 200);
      await tab.page.clock.fastForward('08:00:00');
      await tab.page.clock.resume();
      expect(await world.whole(tab, TOPICS)).toBeUndefined();
      expect((await tab.about()).gaps).toEqual([]);
    });
  }

  test('a slow line delivers late, and all', async () => {
    const world = await house.world();
    world.proxy.delay = 80;
    const [tab] = await world.tabsFollowing(1, TOPICS, { share: false });
    if (tab === undefined) throw new Error('no tab');
    await world.publisher.burst(TOPICS, 300);
    world.proxy.stall();
    await world.publisher.burst(TOPICS, 300);
    world.proxy.flow();
    expect(await world.whole(tab, TOPICS)).toBeUndefined();
  });
});
