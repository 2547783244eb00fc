// Three scripted colleagues, so that a visitor who is alone has something to miss. They talk over a
// network of their own, which is never cut, as people elsewhere would.

import { connect } from '../../../src/lib/hub';
import { Network } from '../../../src/lib/network';
import { join, meOf } from '../../../src/lib/people';
import { PREFIX, rooms, type Body } from './hall';

/** How often one of them says something, in milliseconds. */
const PACE_MS = 1_400;

/** How long a word of typing holds, in milliseconds. */
const TYPING_MS = 3_000;

/** Old messages that are published at once when history is asked for. */
export const OLD = 2_000;

/** Messages of one request, the most that the server takes. */
const BATCH = 1_000;

const cast = [
  { id: 'script-a', name: 'Mira', hue: 25 },
  { id: 'script-b', name: 'Teo', hue: 210 },
  { id: 'script-c', name: '雅婷', hue: 310 },
] as const;

const lines = [
  'The ferry leaves at seven, not at half past.',
  '我把時刻表更新好了。',
  'Did anybody see the numbers from last night?',
  'They are in. Nothing was lost.',
  '訊號又斷了，等一下。',
  'Back again. What did I miss?',
  'Scroll up, it is all there.',
  'Who has the key of the boathouse?',
  '在我這裡。',
  'Tide is at its highest in ten minutes.',
  'I am in the tunnel now, so write what you like.',
  '午餐吃什麼？',
  'Soup. It is always soup.',
  'The second tab shows the same as the first.',
  '好，那就這樣決定。',
  'Good. Then we sail.',
] as const;

const body = (person: (typeof cast)[number], text: string, number: number): Body => ({
  author: person.id,
  name: person.name,
  hue: person.hue,
  text,
  key: '',
  number,
});

/** Lets them talk until the function that is returned is called. */
export function colleagues(): () => void {
  const client = connect(new Network());
  // A number of their own each time: two tabs may both have them.
  const run = crypto.randomUUID().slice(0, 4);
  const people = cast.map((person) => ({ ...person, id: `${person.id}-${run}` }));
  const leave = people.map((person) => join(client, 'rooms', person));
  const numbers = new Map<string, number>();
  const waiting = new Set<string>();
  let turn = Math.floor(Math.random() * lines.length);
  const timer = setInterval(() => {
    const person = people[turn % people.length];
    const name = rooms[turn % 5 === 3 ? 1 : turn % 7 === 5 ? 2 : 0];
    if (!person || !name) return;
    const key = `${name}/${person.id}`;
    const number = (numbers.get(key) ?? 0) + 1;
    const text = lines[turn % lines.length] ?? '';
    turn += 1;
    const next = people[turn % people.length];
    const data = { ...body(cast[0], text, number), ...pick(person) };
    // One at a time: a message that was not taken leaves no hole in its author's numbers, and one that
    // is taken late, after a crash of the server, does not come behind a higher number.
    if (!waiting.has(key)) {
      waiting.add(key);
      const sent = () => numbers.set(key, number);
      client
        .publish(PREFIX + name, data)
        .then(sent, () => undefined)
        .finally(() => waiting.delete(key));
    }
    if (next) {
      const word = { data: meOf(next).data, ttl: TYPING_MS };
      const options = { key: next.id, ttl: TYPING_MS };
      client.publish('typing/rooms/lobby', word, options).catch(() => undefined);
    }
  }, PACE_MS);
  return () => {
    clearInterval(timer);
    for (const go of leave) go();
    setTimeout(() => client.close(), 500);
  };
}

const pick = ({ id, name, hue }: { id: string; name: string; hue: number }) => ({
  author: id,
  name,
  hue,
});

/** Publishes a room's past in two requests. */
export async function fillHistory(name: string): Promise<void> {
  for (let from = 0; from < OLD; from += BATCH) {
    const events = Array.from({ length: BATCH }, (_, index) => {
      const at = from + index;
      const person = cast[at % cast.length] ?? cast[0];
      const text = `${lines[at % lines.length] ?? ''} (${at + 1})`;
      return JSON.stringify({ data: JSON.stringify(body(person, text, 0)) });
    });
    await fetch(`/topics/${PREFIX}${name}`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: events.join('\n'),
    });
  }
}
