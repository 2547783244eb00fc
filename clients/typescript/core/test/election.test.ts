// Who leads: by the lock, and by silence; with locks as the Web Locks API has them, and a clock
// that the test moves.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BEAT_MS, Election, LOOK_MS, QUESTIONS, SILENCE_MS } from '../src/tabs/election.js';

interface Request {
  granted: (lock: null) => Promise<unknown> | undefined;
  settle: { resolve(value: unknown): void; reject(error: unknown): void };
}

/** One lock of the Web Locks API, as far as elections use it. */
class Locks {
  holder: Request | undefined;
  readonly queue: Request[] = [];
  failing: Error | undefined;

  request(_name: string, options: LockOptions, granted: Request['granted']): Promise<unknown> {
    if (this.failing !== undefined) return Promise.reject(this.failing);
    return new Promise((resolve, reject) => {
      const asked: Request = { granted, settle: { resolve, reject } };
      options.signal?.addEventListener('abort', () => {
        const at = this.queue.indexOf(asked);
        if (at >= 0) this.queue.splice(at, 1);
        if (at >= 0) reject(new DOMException('left the queue', 'AbortError'));
      });
      if (options.steal) {
        this.holder?.settle.reject(new DOMException('stolen', 'AbortError'));
        this.#grant(asked);
      } else {
        this.queue.push(asked);
        this.#next();
      }
    });
  }

  #next(): void {
    const next = this.holder === undefined ? this.queue.shift() : undefined;
    if (next !== undefined) this.#grant(next);
  }

  #grant(asked: Request): void {
    this.holder = asked;
    void Promise.resolve()
      .then(() => asked.granted(null))
      .then((value) => {
        asked.settle.resolve(value);
        if (this.holder === asked) this.holder = undefined;
        this.#next();
      });
  }
}

/** A tab that takes part; what is said reaches the other tabs unless it is stopped. */
class Tab {
  static all: Tab[] = [];
  readonly said: string[] = [];
  readonly terms: number[] = [];
  stopped = false;
  readonly election: Election;

  constructor(locks: Locks) {
    Tab.all.push(this);
    this.election = new Election({
      name: 'group',
      locks: locks as unknown as LockManager,
      lead: (term) => {
        this.terms.push(term);
        this.#beat();
      },
      lost: () => this.said.push('lost'),
      ask: () => {
        this.said.push('ask');
        for (const tab of Tab.all) if (tab !== this && tab.election.leading) tab.#beat();
      },
      beat: () => this.#beat(),
      failed: () => this.said.push('failed'),
    });
  }

  #beat(): void {
    if (this.stopped) return;
    this.said.push('beat');
    for (const tab of Tab.all) if (tab !== this) tab.election.heard(this.election.term);
  }
}

beforeEach(() => {
  Tab.all = [];
  vi.useFakeTimers();
});
afterEach(() => {
  for (const tab of Tab.all) tab.election.leave();
  vi.useRealTimers();
});

/** Lets time pass for all tabs but the stopped ones. */
async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

const leaders = () => Tab.all.filter((tab) => tab.election.leading);

async function group(count: number): Promise<{ locks: Locks; tabs: Tab[] }> {
  const locks = new Locks();
  const tabs = Array.from({ length: count }, () => new Tab(locks));
  for (const tab of tabs) tab.election.enter();
  await pass(0);
  return { locks, tabs };
}

test('the first in the queue leads, and the next one when it leaves, at once', async () => {
  const { tabs } = await group(3);
  expect(leaders()).toEqual([tabs[0]]);
  tabs[0]?.election.leave();
  await pass(0);
  expect(leaders()).toEqual([tabs[1]]);
  expect(tabs[1]?.terms[0]).toBeGreaterThan(tabs[0]?.terms[0] ?? Infinity);
  expect(tabs.flatMap((tab) => tab.said)).not.toContain('ask');
});

test('who left the queue is not given the lock', async () => {
  const { tabs } = await group(3);
  tabs[1]?.election.leave();
  tabs[0]?.election.leave();
  await pass(0);
  expect(leaders()).toEqual([tabs[2]]);
  tabs[1]?.election.enter();
  tabs[2]?.election.leave();
  await pass(0);
  expect(leaders()).toEqual([tabs[1]]);
});

test('a leader that beats is not asked', async () => {
  const { tabs } = await group(2);
  await pass(20 * SILENCE_MS);
  expect(leaders()).toEqual([tabs[0]]);
  expect(tabs[1]?.said).toEqual([]);
  const beats = tabs[0]?.said.filter((what) => what === 'beat').length;
  expect(beats).toBeGreaterThanOrEqual((15 * SILENCE_MS) / BEAT_MS);
});

test('a stopped leader is asked, and one of the others takes over', async () => {
  const { tabs } = await group(4);
  const [first] = tabs;
  if (first === undefined) throw new Error('no tab');
  first.stopped = true;
  // Nothing reaches the stopped tab either, so it still believes that it leads.
  vi.spyOn(first.election, 'heard').mockReturnValue(false);
  await pass(SILENCE_MS + (QUESTIONS + 2) * LOOK_MS + 500);
  const next = tabs.slice(1).filter((tab) => tab.election.leading);
  expect(next).toHaveLength(1);
  expect(next[0]?.said.filter((what) => what === 'ask')).toHaveLength(QUESTIONS);
  expect(first.said.at(-1)).toBe('lost');
  expect(first.election.leading).toBe(false);
});

test('who slept asks before it judges', async () => {
  const { tabs } = await group(2);
  vi.setSystemTime(Date.now() + 8 * 3_600_000);
  await pass(10 * LOOK_MS);
  expect(leaders()).toEqual([tabs[0]]);
  expect(tabs[1]?.terms).toEqual([]);
});

test('of two leaders the one with the smaller term steps down; the lock decides', async () => {
  const { tabs } = await group(1);
  const [tab] = tabs;
  if (tab === undefined) throw new Error('no tab');
  const term = tab.election.term;
  expect(tab.election.heard(term - 1)).toBe(false);
  expect(tab.election.leading).toBe(true);
  expect(tab.election.heard(term + 5)).toBe(true);
  expect(tab.said.at(-1)).toBe('lost');
  await pass(0);
  expect(tab.election.leading).toBe(true);
  expect(tab.election.term).toBeGreaterThan(term + 5);
});

test('without locks nobody is elected', async () => {
  const locks = new Locks();
  locks.failing = new DOMException('an opaque origin', 'SecurityError');
  const tab = new Tab(locks);
  tab.election.enter();
  await pass(10 * SILENCE_MS);
  expect(tab.said).toEqual(['failed']);
});
