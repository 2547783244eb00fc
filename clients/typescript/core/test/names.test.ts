/** `conformance/names`, and how a request says them. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkTopic, checkTopics, covers, matches } from '../src/names.js';

type Text = string | (string | { repeat: string; times: number })[];

const folder = new URL('../../../../conformance/names/', import.meta.url);
const load = (name: string) => JSON.parse(readFileSync(new URL(name, folder), 'utf8'));

const text = (value: Text): string => typeof value === 'string' ? value
  : value.map((part) => (typeof part === 'string' ? part : part.repeat.repeat(part.times)))
    .join('');

describe('conformance/names', () => {
  it('topics', () => {
    const { valid, invalid } = load('topics.json') as { valid: Text[]; invalid: { text: Text }[] };
    expect(valid.length + invalid.length).toBeGreaterThan(40);
    for (const name of valid) expect(checkTopic(text(name))).toBe(text(name));
    for (const { text: name } of invalid) {
      expect(() => checkTopic(text(name)), JSON.stringify(name)).toThrow();
    }
  });

  it('patterns', () => {
    const { valid, invalid, matches: all } = load('patterns.json') as {
      valid: Text[];
      invalid: { text: Text }[];
      matches: { pattern: string; yes: string[]; no: string[] }[];
    };
    expect(valid.length + invalid.length + all.length).toBeGreaterThan(30);
    for (const pattern of valid) checkTopics(text(pattern));
    for (const { text: pattern } of invalid) {
      expect(() => checkTopics(text(pattern)), JSON.stringify(pattern)).toThrow();
    }
    for (const { pattern, yes, no } of all) {
      for (const topic of yes) expect(matches(pattern, topic), `${pattern} ${topic}`).toBe(true);
      for (const topic of no) expect(matches(pattern, topic), `${pattern} ${topic}`).toBe(false);
    }
  });

  it('an event is covered by its alternates too', () => {
    const event = { topic: 'a', alternates: ['b/c'] };
    expect([['a'], ['b/c'], ['b/*'], ['*/*'], ['c'], ['b']].map((set) => covers(set, event)))
      .toEqual([true, true, true, true, false, false]);
  });
});
