// An hour's worth of events in a minute: 20 a second for an hour, which the tabs must not keep.

import { describe, expect, test } from 'vitest';
import { heap, runs } from '../src/chromium.ts';
import { figure } from '../src/figures.ts';
import { until } from '../src/wait.ts';
import { House } from '../src/world.ts';

/** Events of an hour. */
const EVENTS = 3_600 * 20;
/** Events before the first look: what is set up once is set up then. */
const WARM_UP = 6_000;
/** Bytes of data of each event, besides its number. */
const PADDING = 100;
/** How much the heap may grow from the first look to the last, in bytes. */
const GROWTH_MAX = 2 * 1024 * 1024;

describe.runIf(runs())('memory', () => {
  const house = new House();

  test('the heap stays flat, in a leader and in a follower', async () => {
    const world = await house.world('--durability', 'memory');
    const leader = await world.tab();
    await leader.follow('all', ['t'], { share: true, count: true });
    await until('it leads', async () => (await leader.about()).shared === 'leader');
    const follower = await world.tab();
    await follower.follow('all', ['t'], { share: true, count: true });
    const tabs = { leader, follower };
    await until('both follow', async () => {
      const states = [(await leader.about()).state, (await follower.about()).state];
      return states.every((state) => state === 'open');
    });

    const heaps: Record<string, number[]> = { leader: [], follower: [] };
    const steps = [WARM_UP, EVENTS / 2, EVENTS / 2];
    let sum = 0;
    for (const step of steps) {
      const begun = Date.now();
      await world.publisher.burst(['t'], step, 100, PADDING);
      sum += step;
      for (const [role, tab] of Object.entries(tabs)) {
        await until('all of them', async () => (await tab.about()).count === sum);
        heaps[role]?.push(await heap(tab.page));
      }
      figure(`memory: ${step} events in both tabs`, (Date.now() - begun) / 1000, 's');
    }
    for (const [role, tab] of Object.entries(tabs)) {
      expect((await tab.about()).disorder, role).toBeUndefined();
      const [start = 0, middle = 0, end = 0] = heaps[role] ?? [];
      figure(`heap of the ${role} after warming up`, start / 1024, 'KiB');
      figure(`heap of the ${role} after half an hour of events`, middle / 1024, 'KiB');
      figure(`heap of the ${role} after an hour of events`, end / 1024, 'KiB');
      expect(end - start, `growth of the ${role}`).toBeLessThan(GROWTH_MAX);
    }
  });
});
