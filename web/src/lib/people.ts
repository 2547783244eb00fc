// Who one is in the demo, and who is there: presence is a topic whose events expire.

import type { Client } from '@tidings/client';
import { presence } from '@tidings/client/presence';
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

/** Says that `person` is in `place`, and tells who else is; `close` leaves. */
export function join(
  client: Client,
  place: string,
  person: Person,
): { people: Signal<readonly Person[]>; close: () => void } {
  const people = new Signal<readonly Person[]>([]);
  const { close } = presence<Omit<Person, 'id'>>(client, place, {
    id: person.id,
    data: { name: person.name, hue: person.hue },
    ttl: TTL_MS,
    onChange: (members) => people.set(members.map(({ id, data }) => ({ id, ...data }))),
  });
  return { people, close };
}
