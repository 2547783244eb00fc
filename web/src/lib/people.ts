// Who one is in the demo, and who is there: presence as a topic whose events expire.
//
// A member says that he is there by an event with his id as its key and a time to live, and says it
// again before it expires; whoever leaves says so, and whoever cannot is gone when his last word
// expires. The server knows nothing of presence.

import type { Client } from '@tidings/client';
import { Signal } from './signal';

/** Somebody. */
export interface Person {
  id: string;
  name: string;
  /** Degrees on the colour wheel. */
  hue: number;
}

/** How long a word of presence holds, in milliseconds. */
const TTL_MS = 15_000;

/** How often it is said again. */
const RENEW_MS = 5_000;

/** How often those whose word has expired are looked for. */
const SWEEP_MS = 1_000;

const names = ['Otter', 'Heron', 'Plover', 'Seal', 'Tern', 'Curlew', 'Gannet', 'Eider', 'Puffin'];

/** Who this tab is; another tab is somebody else. */
export function me(): Person {
  const stored = sessionStorage.getItem('tidings-me');
  if (stored) return JSON.parse(stored) as Person;
  const roll = Math.floor(Math.random() * 1_000);
  const person = {
    id: crypto.randomUUID().slice(0, 8),
    name: names[roll % names.length] ?? 'Otter',
    hue: (roll * 47) % 360,
  };
  sessionStorage.setItem('tidings-me', JSON.stringify(person));
  return person;
}

interface Word {
  name: string;
  hue: number;
  /** False: he has left. */
  here: boolean;
}

/** Says that `person` is in `place`, until the function that is returned is called. */
export function beHere(client: Client, place: string, person: Person): () => void {
  const say = (here: boolean) =>
    client
      .publish(
        `presence/${place}`,
        { name: person.name, hue: person.hue, here } satisfies Word,
        { key: person.id, ttl: TTL_MS, keepalive: !here },
      )
      .catch(() => undefined);
  void say(true);
  const timer = setInterval(() => void say(true), RENEW_MS);
  const leave = () => void say(false);
  addEventListener('pagehide', leave);
  return () => {
    clearInterval(timer);
    removeEventListener('pagehide', leave);
    leave();
  };
}

/** Who is in `place`; `close` ends it. */
export function whoIsHere(
  client: Client,
  place: string,
): { people: Signal<readonly Person[]>; close: () => void } {
  const people = new Signal<readonly Person[]>([]);
  const known = new Map<string, { person: Person; until: number }>();
  const show = () => {
    const now = Date.now();
    for (const [id, { until }] of known) if (until < now) known.delete(id);
    const here = [...known.values()].map(({ person }) => person);
    here.sort((a, b) => (a.id < b.id ? -1 : 1));
    const before = people.get();
    const same = here.length === before.length && here.every((p, i) => p.id === before[i]?.id);
    if (!same) people.set(here);
  };
  const subscription = client.subscribe<Word>(`presence/${place}`, {
    history: 'all',
    parse: (text) => JSON.parse(text) as Word,
  });
  subscription.on('event', ({ key = '', data, time }) => {
    if (data.here) {
      const person = { id: key, name: data.name, hue: data.hue };
      known.set(key, { person, until: Date.parse(time) + TTL_MS });
    } else known.delete(key);
    show();
  });
  const timer = setInterval(show, SWEEP_MS);
  return {
    people,
    close: () => {
      clearInterval(timer);
      subscription.close();
    },
  };
}
