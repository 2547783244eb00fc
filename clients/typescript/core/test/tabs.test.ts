// A tab's own position: what it makes of what leaders say, when it is in step, behind, or ahead.

import { describe, expect, test } from 'vitest';
import type { Joined, LinkHandler } from '../src/link.js';
import { identity } from '../src/tabs/group.js';
import type { Downward, Item } from '../src/tabs/messages.js';
import { Reader, RECENT } from '../src/tabs/reader.js';

type Items = Extract<Downward, { kind: 'items' }>;
type Welcome = Extract<Downward, { kind: 'welcome' }>;

/** A reader that wants these topics, and what it was told. */
function reader(...topics: string[]) {
  const told: unknown[] = [];
  const events: string[] = [];
  const joins: Joined[] = [];
  const handler: LinkHandler = {
    joined: (joined) => joins.push(joined),
    event: ({ id }) => events.push(id),
    gap: (gap) => told.push({ gap }),
    end: (end) => told.push({ end }),
    state: () => {},
    refused: (refused) => told.push({ refused }),
    failed: () => told.push('failed'),
    done: (done) => told.push({ done }),
  };
  const made = new Reader(handler);
  made.want(new Set(topics));
  return { reader: made, told, events, joins };
}

function welcome(number: number, id: string, ...joined: string[]): Welcome {
  return { kind: 'welcome', tab: 't', number, id, joined, state: { state: 'open' } };
}

/** A message with these events: `a1` is an event of the topic `a` with the id `1`. */
function items(number: number, ...events: string[]): Items {
  const list: Item[] = events.map((event) => {
    return { event: { id: event.slice(1), topic: event.slice(0, 1), time: '' } };
  });
  const id = events.at(-1)?.slice(1) ?? '';
  return { kind: 'items', number, bytes: 0, id, items: list };
}

describe('a reader', () => {
  test('hands on what is of its topics, from where it was welcomed', () => {
    const { reader: tab, events, joins } = reader('a');
    expect(tab.read(1, items(1, 'a1'))).toBe(true);
    tab.welcome(1, welcome(1, '1', 'a', 'b'));
    tab.read(1, items(2, 'a2', 'b3', 'a4'));
    expect(events).toEqual(['2', '4']);
    expect(joins).toEqual([{ topics: ['a'], after: '1', direct: false }]);
    expect(tab.place).toEqual({ term: 1, number: 2, id: '4' });
  });

  test('goes on without a word after a hand-over at its own position', () => {
    const { reader: tab, events, joins } = reader('a');
    tab.welcome(1, welcome(0, '1', 'a'));
    tab.read(1, items(1, 'a2'));
    tab.break();
    tab.welcome(2, welcome(5, '2', 'a'));
    tab.read(2, items(6, 'a3'));
    expect(events).toEqual(['2', '3']);
    expect(joins).toHaveLength(1);
  });

  test('says up to where it has a topic if the new leader is elsewhere', () => {
    const { reader: tab, joins } = reader('a', 'b');
    tab.welcome(1, welcome(0, '1', 'a', 'b'));
    tab.read(1, items(1, 'a2'));
    tab.break();
    tab.welcome(2, welcome(0, '9', 'a', 'b'));
    expect(joins.slice(1)).toEqual([{ topics: ['a', 'b'], after: '9', direct: false, since: '2' }]);
  });

  test('passes over what it has had if it is ahead of the new leader', () => {
    const { reader: tab, events, joins } = reader('a');
    tab.welcome(1, welcome(0, '1', 'a'));
    tab.read(1, items(1, 'a2', 'b3', 'a4'));
    tab.break();
    tab.welcome(2, welcome(0, '2', 'a'));
    expect(tab.place.id).toBe('4');
    tab.read(2, items(1, 'b3', 'a4'));
    tab.read(2, items(2, 'a5'));
    expect(events).toEqual(['2', '4', '5']);
    expect(joins).toHaveLength(1);
    expect(tab.place).toEqual({ term: 2, number: 2, id: '5' });
  });

  test('notices a message that it has missed, and reads nothing until it is welcomed', () => {
    const { reader: tab, events, joins } = reader('a');
    tab.welcome(1, welcome(0, '1', 'a'));
    tab.read(1, items(1, 'a2'));
    expect(tab.read(1, items(3, 'a4'))).toBe(false);
    expect(tab.read(1, items(4, 'a5'))).toBe(true);
    tab.welcome(1, welcome(4, '5', 'a'));
    tab.read(1, items(5, 'a6'));
    expect(events).toEqual(['2', '6']);
    expect(joins.slice(1)).toEqual([{ topics: ['a'], after: '5', direct: false, since: '2' }]);
  });

  test('keeps for each topic where it was broken off', () => {
    const { reader: tab, joins } = reader('a', 'b');
    tab.welcome(1, welcome(0, '1', 'a', 'b'));
    tab.read(1, items(1, 'a2'));
    tab.break();
    // The new leader has not joined the second topic yet.
    tab.welcome(2, welcome(0, '2', 'a'));
    tab.read(2, items(1, 'a3'));
    const joined = { topics: ['b'], after: '7', direct: false };
    tab.read(2, { ...items(2), id: '8', items: [{ joined }] });
    expect(joins.slice(1)).toEqual([{ topics: ['b'], after: '7', direct: false, since: '2' }]);
  });

  test('does not join a topic before its own position while it is ahead', () => {
    const { reader: tab, joins } = reader('a');
    tab.welcome(1, welcome(0, '1', 'a'));
    tab.read(1, items(1, 'a2', 'b3'));
    tab.break();
    tab.want(new Set(['a', 'b']));
    tab.welcome(2, welcome(0, '2', 'a', 'b'));
    expect(joins.slice(1)).toEqual([{ topics: ['b'], after: '3', direct: false }]);
  });

  test('takes ids again after a gap', () => {
    const { reader: tab, events, told } = reader('a');
    tab.welcome(1, welcome(0, '1', 'a'));
    tab.read(1, items(1, 'a2', 'a3'));
    tab.break();
    tab.welcome(2, welcome(0, '2', 'a'));
    const gap = { reason: 'unknown-id', resumes: '1', topics: [] };
    tab.read(2, { ...items(1), id: '1', items: [{ gap }] });
    tab.read(2, items(2, 'a2', 'a3'));
    expect(told).toEqual([{ gap }]);
    expect(events).toEqual(['2', '3', '2', '3']);
  });

  test('remembers a bounded number of ids', () => {
    const { reader: tab, joins } = reader('a');
    tab.welcome(1, welcome(0, 'first', 'a'));
    for (let number = 1; number <= RECENT; number += 1) tab.read(1, items(number, `a${number}`));
    tab.break();
    tab.welcome(2, welcome(0, 'first', 'a'));
    expect(joins.at(-1)?.since).toBe(String(RECENT));
  });

  test('tells only of what is its own', () => {
    const { reader: tab, told } = reader('a');
    tab.welcome(1, welcome(0, '1', 'a'));
    const end = { id: '2', topic: 'b', reason: 'done' as const };
    const mine = { id: '3', topic: 'a', reason: 'done' as const };
    const list: Item[] = [{ end }, { done: ['b'] }, { end: mine }, { done: ['a', 'b'] }];
    tab.read(1, { ...items(1), id: '3', items: list });
    expect(told).toEqual([{ end: mine }, { done: ['a'] }]);
  });

  test('hears that a topic is over also before it was welcomed, and reads what came before', () => {
    const { reader: tab, told, joins } = reader('a');
    tab.read(1, { ...items(1), items: [{ done: ['a'] }] });
    expect(joins).toEqual([{ topics: ['a'], after: '', direct: false }]);
    expect(told).toEqual([{ done: ['a'] }]);
  });
});

describe('who is who', () => {
  const token = (claims: object) => `e30.${btoa(JSON.stringify(claims))}.signature`;

  test('a token that was renewed is of the same user', () => {
    const one = identity(token({ sub: 'ann', exp: 1, jti: 'x' }));
    expect(identity(token({ jti: 'y', exp: 2, sub: 'ann' }))).toEqual(one);
    expect(identity(token({ sub: 'bob', exp: 1, jti: 'x' }))).not.toEqual(one);
    expect(identity(token({ sub: 'ann', admin: true }))).not.toEqual(one);
  });

  test('a token that says nothing counts as a whole', () => {
    expect(identity('secret')).toBe('secret');
    expect(identity('a.b.c')).toBe('a.b.c');
    expect(identity(undefined)).toBeNull();
  });
});
