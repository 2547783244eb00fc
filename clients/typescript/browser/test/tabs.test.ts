// Many tabs, one connection: counted at the server and at the proxy, while tabs come, go, crash,
// hang and freeze. After each, every tab that is left has every event once, in order.

import { describe, expect, test } from 'vitest';
import { cdp, go, runs, stop } from '../src/chromium.ts';
import { figure } from '../src/figures.ts';
import { pause, until } from '../src/wait.ts';
import { House, type Tab, type World } from '../src/world.ts';

const TOPICS = ['a', 'b/c'];

/** Every tab of `tabs` is whole, and there is one stream. */
async function allWhole(world: World, tabs: readonly Tab[]): Promise<void> {
  for (const [index, tab] of tabs.entries()) {
    expect(await world.whole(tab, TOPICS), `tab ${index}`).toBeUndefined();
    expect((await tab.about()).gaps, `gaps of tab ${index}`).toEqual([]);
  }
  await until('one stream', () => world.proxy.streams().length === 1);
}

/** Waits until events come in all tabs that came after this was called. */
async function flow(world: World, tabs: readonly Tab[]): Promise<void> {
  const now = world.publisher.counts.get(TOPICS[0] ?? '') ?? 0;
  for (const tab of tabs) {
    await until('events come', async () => (await tab.about()).count > (now + 1) * TOPICS.length);
  }
}

/** The longest silence of all tabs, in milliseconds, since this was asked for last. */
async function silence(tabs: readonly Tab[]): Promise<number> {
  const all = tabs.map((tab) => tab.page.evaluate(() => window.tab.silence('all')));
  return Math.max(...(await Promise.all(all)));
}

describe.runIf(runs())('tabs', () => {
  const house = new House();

  test('two tabs, one connection; the second comes later and has all', async () => {
    const world = await house.world();
    const first = await world.tabsFollowing(1, TOPICS);
    await world.publisher.burst(TOPICS, 300);
    world.publisher.begin(TOPICS);
    const second = await world.tabsFollowing(1, TOPICS);
    await pause(200);
    await world.publisher.rest();
    await allWhole(world, [...first, ...second]);
    expect(world.proxy.streamsEver()).toBe(1);
    expect(await world.server.connections()).toHaveLength(1);
  });

  test('twenty tabs on HTTP/1.1, one connection', async () => {
    const world = await house.world();
    const tabs = await world.tabsFollowing(20, TOPICS);
    await world.publisher.burst(TOPICS, 500);
    await allWhole(world, tabs);
    const rows = await world.server.connections();
    expect(rows).toHaveLength(1);
    expect(rows[0]?.topics.toSorted()).toEqual(TOPICS);
    expect(world.proxy.streamsEver()).toBe(1);
    const roles = await Promise.all(tabs.map(async (tab) => (await tab.about()).shared));
    expect(roles.filter((role) => role === 'leader')).toHaveLength(1);
    expect(roles.filter((role) => role === 'follower')).toHaveLength(19);
    figure('20 tabs: event streams at the server', rows.length, '');
    figure('20 tabs: TCP connections ever, history included', world.proxy.passages.length, '');
  });

  test('the leader is closed', async () => {
    const world = await house.world();
    let tabs = await world.tabsFollowing(6, TOPICS);
    world.publisher.begin(TOPICS);
    for (let closed = 0; closed < 3; closed += 1) {
      const leader = await world.leader(tabs);
      tabs = tabs.filter((tab) => tab !== leader);
      await silence(tabs);
      await leader.page.close();
      await world.leader(tabs);
      await flow(world, tabs);
      figure('leader closed: longest silence in a tab', await silence(tabs), 'ms');
    }
    await world.publisher.rest();
    await allWhole(world, tabs);
    expect(await world.server.connections()).toHaveLength(1);
  });

  test('the leader crashes', async () => {
    const world = await house.world();
    const all = await world.tabsFollowing(4, TOPICS);
    world.publisher.begin(TOPICS);
    const leader = await world.leader(all);
    const tabs = all.filter((tab) => tab !== leader);
    await silence(tabs);
    const session = await cdp(leader.page);
    void session.send('Page.crash').catch(() => {});
    await world.leader(tabs);
    await flow(world, tabs);
    figure('leader crashed: longest silence in a tab', await silence(tabs), 'ms');
    await world.publisher.rest();
    await allWhole(world, tabs);
  });

  test('the leader hangs, and runs again', async () => {
    const world = await house.world();
    const all = await world.tabsFollowing(5, TOPICS);
    world.publisher.begin(TOPICS);
    const leader = await world.leader(all);
    const tabs = all.filter((tab) => tab !== leader);
    await pause(100);
    await silence(tabs);
    await stop(leader.page);
    await world.leader(tabs);
    await flow(world, tabs);
    figure('leader hangs: longest silence in a tab', await silence(tabs), 'ms');
    await go(leader.page);
    await until('it follows', async () => (await leader.about()).shared === 'follower');
    await pause(200);
    await world.publisher.rest();
    await allWhole(world, all);
    expect(await world.server.connections()).toHaveLength(1);
  });

  test('a follower hangs, the others go on, and it comes back', async () => {
    const world = await house.world();
    const all = await world.tabsFollowing(4, TOPICS);
    const leader = await world.leader(all);
    const follower = all.find((tab) => tab !== leader);
    if (follower === undefined) throw new Error('no follower');
    const others = all.filter((tab) => tab !== follower);
    await stop(follower.page);
    await world.publisher.burst(TOPICS, 1_000, 50);
    await allWhole(world, others);
    await go(follower.page);
    await world.publisher.burst(TOPICS, 10);
    await allWhole(world, all);
    expect(world.proxy.streamsEver()).toBe(1);
  });

  test('a follower that hangs for long is left behind, and comes back', async () => {
    const world = await house.world();
    await world.context.addInitScript(() => {
      const opened: string[] = [];
      Object.assign(window, { opened });
      window.BroadcastChannel = class extends BroadcastChannel {
        constructor(name: string) {
          super(name);
          opened.push(name);
        }
      };
    });
    const all = await world.tabsFollowing(3, TOPICS);
    const leader = await world.leader(all);
    const follower = all.find((tab) => tab !== leader);
    if (follower === undefined) throw new Error('no follower');
    const others = all.filter((tab) => tab !== follower);
    await stop(follower.page);
    // More than may wait for a tab (16 MiB).
    await world.publisher.burst(TOPICS, 600, 20, 20_000);
    await allWhole(world, others);
    const channels = await leader.page.evaluate(() => {
      return (window as unknown as { opened: string[] }).opened.filter((name) => /\/2$/.test(name));
    });
    expect(channels, 'a second channel').toHaveLength(1);
    await go(follower.page);
    await world.publisher.burst(TOPICS, 10);
    await allWhole(world, all);
    expect(world.proxy.streamsEver()).toBe(1);
  });

  test.runIf(process.env['TIDINGS_FIGURES'])('fifty tabs, one connection', async () => {
    const world = await house.world();
    const tabs = await world.tabsFollowing(50, TOPICS);
    await world.publisher.burst(TOPICS, 200);
    await allWhole(world, tabs);
    expect(world.proxy.streamsEver()).toBe(1);
    figure('50 tabs: event streams at the server', (await world.server.connections()).length, '');
    figure('50 tabs: TCP connections ever, history included', world.proxy.passages.length, '');
    const leader = await world.leader(tabs);
    const others = tabs.filter((tab) => tab !== leader);
    world.publisher.begin(TOPICS, 20);
    await silence(others);
    await leader.page.close();
    await world.leader(others);
    await flow(world, others);
    figure('50 tabs, leader closed: longest silence in a tab', await silence(others), 'ms');
    await world.publisher.rest();
    await allWhole(world, others);
  });

  test('the network is cut under twenty tabs, and the server killed', async () => {
    const world = await house.world();
    const tabs = await world.tabsFollowing(20, TOPICS);
    world.publisher.begin(TOPICS, 20);
    world.proxy.cutAll();
    await until('a second stream', () => world.proxy.streamsEver() >= 2);
    await pause(200);
    await world.server.kill();
    await world.server.start();
    await until('a third stream', () => world.proxy.streamsEver() >= 3);
    await pause(200);
    await world.publisher.rest();
    await allWhole(world, tabs);
  });

  test('what all want together is followed, and no more', async () => {
    const world = await house.world();
    const [one, two] = [await world.tab(), await world.tab()];
    await one.follow('all', ['a', 'b/c'], { share: true, history: 'all' });
    await two.follow('all', ['b/c', 'e/*'], { share: true, history: 'all' });
    const followed = async () => {
      const row = (await world.server.connections())[0];
      return [...(row?.topics ?? []), ...(row?.patterns ?? [])].toSorted().join(' ');
    };
    await until('all topics', async () => (await followed()) === 'a b/c e/*');
    await world.publisher.burst(['a', 'b/c', 'e/1', 'e/2', 'f'], 50);
    expect(await world.whole(one, ['a', 'b/c'])).toBeUndefined();
    expect(await world.whole(two, ['b/c', 'e/1', 'e/2'])).toBeUndefined();
    await two.page.evaluate(() => window.tab.change('all', ['b/c', 'f']));
    await until('other topics', async () => (await followed()) === 'a b/c f');
    await two.page.evaluate(() => window.tab.close('all'));
    await until('the topics of one tab', async () => (await followed()) === 'a b/c');
    expect(world.proxy.streamsEver()).toBe(1);
  });

  test('a topic that has ended is read to its end by each', async () => {
    const world = await house.world();
    await world.publisher.burst(['a'], 300);
    const last = { method: 'POST', body: JSON.stringify({ n: 300 }) };
    await fetch(`${world.server.url}/topics/a?end=done`, last);
    world.publisher.counts.set('a', 301);
    const tabs = [await world.tab(), await world.tab()];
    for (const tab of tabs) await tab.follow('all', ['a'], { share: true, history: 'all' });
    for (const tab of tabs) {
      await until('it is over', async () => (await tab.about()).state === 'closed');
      expect(await tab.fault(['a'], world)).toBeUndefined();
    }
  });

  test('what one tab may not have does not hurt another', async () => {
    const world = await house.world();
    const [one, two] = [await world.tab(), await world.tab()];
    // Both ask before there is a connection.
    world.proxy.refuse = true;
    await one.follow('all', ['a'], { share: true, history: 'all' });
    await until('it tries', async () => (await one.about()).state === 'waiting');
    await two.follow('all', ['$server'], { share: true });
    await until('both try', async () => (await two.about()).state === 'waiting');
    world.proxy.refuse = false;
    await until('it is refused', async () => (await two.about()).state === 'failed');
    await world.publisher.burst(['a'], 20);
    expect(await world.whole(one, ['a'])).toBeUndefined();
    expect((await one.about()).errors).toEqual([]);
  });

  test('a tab that crashed is forgotten', async () => {
    const world = await house.world();
    const [one, two] = [await world.tab(), await world.tab()];
    await one.follow('all', ['a'], { share: true });
    await until('it leads', async () => (await one.about()).shared === 'leader');
    await two.follow('all', ['b'], { share: true });
    const topics = async () => (await world.server.connections())[0]?.topics.join(' ');
    await until('both topics', async () => (await topics()) === 'a b');
    void (await cdp(two.page)).send('Page.crash').catch(() => {});
    await until('one topic', async () => (await topics()) === 'a');
    expect(world.proxy.streamsEver()).toBe(1);
  });

  test('other users do not share', async () => {
    const world = await house.world();
    const [one, two] = [await world.tab(), await world.tab()];
    await one.follow('all', TOPICS, { share: true, user: 'ann', history: 'all' });
    await two.follow('all', TOPICS, { share: true, user: 'bob', history: 'all' });
    await world.publisher.burst(TOPICS, 20);
    for (const tab of [one, two]) {
      expect(await world.whole(tab, TOPICS)).toBeUndefined();
      expect((await tab.about()).shared).toBe('leader');
    }
    expect(world.proxy.streamsEver()).toBe(2);
  });

  test('without locks each tab has a connection of its own', async () => {
    const world = await house.world();
    await world.context.addInitScript(() => {
      Object.defineProperty(Navigator.prototype, 'locks', { value: undefined });
      delete (Navigator.prototype as { locks?: unknown }).locks;
    });
    const tabs = await world.tabsFollowing(2, TOPICS);
    await world.publisher.burst(TOPICS, 20);
    for (const tab of tabs) {
      expect(await world.whole(tab, TOPICS)).toBeUndefined();
      expect((await tab.about()).shared).toBe('own');
    }
    expect(world.proxy.streams()).toHaveLength(2);
  });
});
