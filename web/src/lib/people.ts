// Who one is in the demo, and who is there: presence is a topic whose events expire.

import type { Client } from '@tidings/client';
import { presence } from '@tidings/client/presence';

/** Somebody. */
export interface Person {
  id: string;
  name: string;
  /** Degrees on the colour wheel. */
  hue: number;
}

/** How long a word of presence holds, in milliseconds. */
export const TTL_MS = 15_000;

/** How long a client outlives its page, in milliseconds: the farewell goes first. */
export const LEAVE_MS = 500;

/** What somebody says of himself in the rooms and at the document. */
export type About = Omit<Person, 'id'>;

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

/** A person as `usePresence` and `useTyping` want one. */
export const meOf = ({ id, name, hue }: Person): { id: string; data: About } => ({
  id,
  data: { name, hue },
});

/** Says that `person` is in `place`, outside of React; the function that is returned leaves. */
export function join(client: Client, place: string, person: Person): () => void {
  return presence<About>(client, place, { ...meOf(person), ttl: TTL_MS }).close;
}
