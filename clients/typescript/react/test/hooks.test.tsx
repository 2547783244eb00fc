/** What the hooks promise of renders, connections and identities. */

import { json } from '@tidings/client';
import { createElement, useState } from 'react';
import { describe, expect, test, vi } from 'vitest';
import { useEvent, useLatest, useReducedStream, useSubscription } from '../src/index.js';
import { GRACE_MS } from '../src/feed.js';
import { act, frame, hide, page, pageForEachTest, pass, probe, settle } from './support/page.js';

pageForEachTest();

describe('connections', () => {
  test('StrictMode connects once', async () => {
    const { element, latest } = probe(() => useSubscription('a'));
    await page.show(element, true);
    await pass(GRACE_MS * 3);
    expect(latest().state).toBe('open');
    expect(page.server.connections).toBe(1);
    expect(page.server.requests).toEqual(['GET /topics/a']);
  });

  test('a remount within the grace does not reconnect and still has its events', async () => {
    const { element, latest } = probe(() => useSubscription('a'));
    await page.show(element);
    page.server.emit('a', 'one');
    await frame();
    await page.show(null);
    await pass(GRACE_MS / 2);
    await page.show(element);
    await pass(GRACE_MS * 3);
    expect(page.server.requests).toEqual(['GET /topics/a']);
    expect(latest().events.map(({ data }) => data)).toEqual(['one']);
  });

  test('what comes within the grace is there after a remount', async () => {
    const { element, latest } = probe(() => useSubscription('a'));
    await page.show(element);
    await page.show(null);
    page.server.emit('a', 'one');
    await frame();
    await pass(GRACE_MS / 2);
    await page.show(element);
    await frame();
    expect(latest().events.map(({ data }) => data)).toEqual(['one']);
  });

  test('after the grace nothing is followed any more', async () => {
    const { element } = probe(() => useSubscription('a'));
    await page.show(element);
    expect(page.server.open).toBe(1);
    await page.show(null);
    await pass(GRACE_MS * 2);
    expect(page.server.open).toBe(0);
  });

  test('many components, one connection; the same topics, one subscription', async () => {
    const subscribe = vi.spyOn(page.client, 'subscribe');
    const all = ['a', 'b', 'a', 'a'].map((topic) => probe(() => useSubscription(topic)));
    await page.show(all.map(({ element }, key) => ({ ...element, key: String(key) })));
    await pass(100);
    expect(page.server.connections).toBe(1);
    expect(page.server.followed).toEqual(['a', 'b']);
    expect(subscribe).toHaveBeenCalledTimes(2);
  });

  test('unmounting while connecting leaves nothing behind', async () => {
    page.server.holds = true;
    const hooks = probe(() => {
      useEvent('c', () => undefined);
      useReducedStream('d', (count: number) => count + 1, 0);
      return [useSubscription('a'), useLatest('b')];
    });
    await page.show(hooks.element, true);
    await page.show(null);
    await pass(GRACE_MS * 2);
    page.server.release();
    await settle();
    expect(page.server.open).toBe(0);
    expect(page.client.state).toBe('idle');
    expect(vi.getTimerCount()).toBe(0);
  });

  test('a topic that changes is followed without a reconnect', async () => {
    let choose: (topic: string) => void = () => undefined;
    const { element, latest } = probe(() => {
      const [topic, setTopic] = useState('a');
      choose = setTopic;
      return useSubscription(topic);
    });
    await page.show(element);
    page.server.emit('a', 'of a');
    await frame();
    await act(async () => choose('b'));
    await settle();
    expect(latest().events).toEqual([]);
    page.server.emit('b', 'of b');
    await frame();
    expect(latest().events.map(({ data }) => data)).toEqual(['of b']);
    await pass(GRACE_MS * 2);
    expect(page.server.followed).toEqual(['b']);
    expect(page.server.connections).toBe(1);
  });

  test('no topics, no connection', async () => {
    const { element, latest } = probe(() => useSubscription(null));
    await page.show(element);
    expect(latest().state).toBe('idle');
    expect(page.server.requests).toEqual([]);
  });
});

describe('renders', () => {
  async function second(perSecond: number, isHidden: boolean): Promise<number> {
    const { element, renders, latest } = probe(() => useSubscription('a', { limit: 50 }));
    await page.show(element);
    hide(isHidden);
    if (isHidden) vi.stubGlobal('requestAnimationFrame', () => 0);
    await frame();
    const before = renders.length;
    const perTick = perSecond / 250;
    for (let tick = 0; tick < 250; tick += 1) {
      for (let at = 0; at < perTick; at += 1) page.server.emit('a', `${tick * perTick + at}`);
      await pass(4);
    }
    await pass(20);
    vi.unstubAllGlobals();
    const last = `${perSecond - 1}`;
    expect(latest().last?.data).toBe(last);
    expect(latest().events).toHaveLength(50);
    expect(latest().events.at(-1)?.data).toBe(last);
    return renders.length - before;
  }

  test.each([1_000, 10_000])('%i events in a second are at most 63 renders', async (count) => {
    const renders = await second(count, false);
    // The fake frames are 16 ms: 62.5 a second.
    expect(renders).toBeGreaterThan(30);
    expect(renders).toBeLessThanOrEqual(63);
  });

  test('in a hidden tab, where no frames come, they go on', async () => {
    const renders = await second(1_000, true);
    expect(renders).toBeGreaterThan(30);
    expect(renders).toBeLessThanOrEqual(60);
  });

  test('a tab that is hidden while a frame is due does not wait for it', async () => {
    const { element, latest } = probe(() => useSubscription('a'));
    await page.show(element);
    await frame();
    vi.stubGlobal('requestAnimationFrame', () => 0);
    page.server.emit('a', 'one');
    await settle();
    await pass(100);
    expect(latest().last).toBeUndefined();
    await pass(300);
    vi.unstubAllGlobals();
    expect(latest().last?.data).toBe('one');
  });

  test('one topic does not render another', async () => {
    const a = probe(() => useSubscription('a'));
    const b = probe(() => useSubscription('b'));
    await page.show([{ ...a.element, key: 'a' }, { ...b.element, key: 'b' }]);
    await frame();
    const before = b.renders.length;
    for (let at = 0; at < 5; at += 1) {
      page.server.emit('a', `${at}`);
      await frame();
    }
    expect(a.latest().events).toHaveLength(5);
    expect(b.renders).toHaveLength(before);
  });

  test('an end and an error do not wait for a frame', async () => {
    const { element, latest } = probe(() => useSubscription('a'));
    await page.show(element);
    vi.stubGlobal('requestAnimationFrame', () => 0);
    page.server.emit('a', 'last words');
    page.server.end('a');
    await act(async () => {
      for (let turn = 0; turn < 200; turn += 1) await Promise.resolve();
    });
    vi.unstubAllGlobals();
    expect(latest().end?.reason).toBe('done');
    expect(latest().state).toBe('closed');
    expect(latest().last?.data).toBe('last words');
  });

  test('what the server refuses is shown', async () => {
    page.server.refuses = 403;
    const { element, latest } = probe(() => useSubscription('a'));
    await page.show(element);
    expect(latest().state).toBe('failed');
    expect(latest().error?.code).toBe('forbidden');
  });

  test('useEvent renders nothing, and its handler is that of the last render', async () => {
    const seen: string[] = [];
    let setName: (name: string) => void = () => undefined;
    const { element, renders } = probe(() => {
      const [name, set] = useState('first');
      setName = set;
      useEvent('a', ({ data }) => seen.push(`${name} ${data}`));
    });
    await page.show(element, true);
    page.server.emit('a', '1');
    await settle();
    const before = renders.length;
    page.server.emit('a', '2');
    await frame();
    expect(renders).toHaveLength(before);
    await act(async () => setName('second'));
    page.server.emit('a', '3');
    await frame();
    expect(seen).toEqual(['first 1', 'first 2', 'second 3']);
    expect(page.server.requests).toEqual(['GET /topics/a']);
  });

  test('useLatest renders for values, not for the connection', async () => {
    page.server.emit('a', '{"price":1}');
    const price = probe(() =>
      useLatest<{ price: number }>('a', { parse: json, initial: { price: 0 } }));
    await page.show(price.element);
    await frame();
    expect(price.latest()).toEqual({ price: 1 });
    const before = price.renders.length;
    page.server.holds = true;
    await act(async () => page.server.cut());
    await pass(500);
    expect(page.client.state).toBe('connecting');
    page.server.release();
    await pass(500);
    expect(page.server.connections).toBe(2);
    expect(price.renders).toHaveLength(before);
    page.server.emit('a', '{"price":2}');
    await frame();
    expect(price.latest()).toEqual({ price: 2 });
    expect(price.renders).toHaveLength(before + 1);
  });
});

describe('identities', () => {
  test('the result is the same between flushes, and its events across them', async () => {
    let again: (count: number) => void = () => undefined;
    const { element, renders, latest } = probe(() => {
      const [, set] = useState(0);
      again = set;
      // A parse that is another function with each render.
      return useSubscription('a', { parse: (data) => ({ data }) });
    });
    await page.show(element);
    page.server.emit('a', 'one');
    await frame();
    const first = latest();
    await act(async () => again(1));
    expect(latest()).toBe(first);
    // Cut and mended within a frame: nothing has changed.
    page.server.cut();
    await frame();
    expect(page.server.connections).toBe(2);
    expect(latest()).toBe(first);
    page.server.emit('a', 'two');
    await settle();
    await act(async () => again(2));
    expect(latest()).toBe(first);
    await frame();
    expect(latest()).not.toBe(first);
    expect(latest().events).toHaveLength(2);
    expect(latest().events[0]).toBe(first.events[0]);
    expect(renders.length).toBeGreaterThan(3);
    expect(page.server.requests).toEqual(['GET /topics/a', 'GET /topics/a']);
  });

  test('what cannot be parsed is left out and told', async () => {
    const { element, latest } = probe(() => useSubscription<number>('a', { parse: json }));
    await page.show(element);
    page.server.emit('a', '1');
    page.server.emit('a', '{');
    await frame();
    expect(latest().events.map(({ data }) => data)).toEqual([1]);
    expect(latest().error?.code).toBe('parse');
    page.server.emit('a', '2');
    await frame();
    expect(latest().events.map(({ data }) => data)).toEqual([1, 2]);
    expect(latest().error).toBeUndefined();
  });
});

describe('useReducedStream', () => {
  test('every event counts, history included, and renders are one a frame', async () => {
    for (let at = 1; at <= 3; at += 1) page.server.emit('a', `${at}`);
    const { element, renders, latest } = probe(() =>
      useReducedStream('a', (sum: number, { data }) => sum + Number(data), 0, { history: 'all' }));
    await page.show(element, true);
    await frame();
    expect(latest()).toBe(6);
    const before = renders.length;
    for (let at = 0; at < 100; at += 1) page.server.emit('a', '1');
    await frame();
    expect(latest()).toBe(106);
    // StrictMode renders twice.
    expect(renders.length - before).toBeLessThanOrEqual(2);
    expect(page.server.connections).toBe(1);
  });

  test('the reducer is that of the last render', async () => {
    let setStep: (step: number) => void = () => undefined;
    const { element, latest } = probe(() => {
      const [step, set] = useState(1);
      setStep = set;
      return useReducedStream('a', (sum: number) => sum + step, 0);
    });
    await page.show(element);
    page.server.emit('a', '');
    await frame();
    await act(async () => setStep(10));
    page.server.emit('a', '');
    await frame();
    expect(latest()).toBe(11);
  });

  test('a stream that begins anew begins the state anew', async () => {
    const { element, latest } = probe(() =>
      useReducedStream('a', (list: string[], { data }) => [...list, data], []));
    await page.show(element);
    page.server.emit('a', 'old');
    await frame();
    page.server.gap('epoch', ['a']);
    page.server.emit('a', 'new');
    await frame();
    expect(latest()).toEqual(['new']);
    page.server.gap('retention', ['a']);
    await frame();
    expect(latest()).toEqual(['new']);
  });

  test('a reducer that throws is reported, and the next event counts', async () => {
    const reported = vi.fn();
    vi.stubGlobal('reportError', reported);
    const { element, latest } = probe(() =>
      useReducedStream('a', (sum: number, { data }) => {
        if (data === 'bad') throw new Error('bad');
        return sum + 1;
      }, 0));
    await page.show(element);
    page.server.emit('a', 'bad');
    page.server.emit('a', 'good');
    await frame();
    vi.unstubAllGlobals();
    expect(latest()).toBe(1);
    expect(reported).toHaveBeenCalledTimes(1);
  });
});

test('a gap is shown, and events wait for resync', async () => {
  let settled: () => void = () => undefined;
  const resync = vi.fn(() => new Promise<void>((resolve) => (settled = resolve)));
  const { element, latest } = probe(() => useSubscription('a', { resync }));
  await page.show(createElement('div', undefined, element));
  page.server.gap('retention', ['a']);
  page.server.emit('a', 'after');
  await frame();
  expect(latest().gap?.reason).toBe('retention');
  expect(latest().events).toEqual([]);
  settled();
  await frame();
  expect(resync).toHaveBeenCalledTimes(1);
  expect(latest().events.map(({ data }) => data)).toEqual(['after']);
});
