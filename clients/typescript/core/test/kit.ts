/** What the unit tests have in common. */

import { createClient, type Client, type ClientOptions, type Subscription } from '../src/index.js';
import { load } from '../src/lazy.js';
import { FakeClock, FakeServer } from '../src/testing.js';

// Clocks of tests stand still: what is loaded later has to be there at the beginning.
await load(undefined as never);

export interface Kit {
  server: FakeServer;
  clock: FakeClock;
  client: Client;
  /** The states of the client, in order. */
  states: string[];
}

export function kit(options: Partial<ClientOptions> = {}): Kit {
  const server = new FakeServer();
  const clock = new FakeClock();
  const client = createClient({ url: server.url, fetch: server.fetch, clock, ...options });
  const states: string[] = [];
  client.on('state', ({ state }) => states.push(state));
  return { server, clock, client, states };
}

/** What a subscription hands out, with its gaps and ends, in order. */
export function record(subscription: Subscription<unknown>): string[] {
  const seen: string[] = [];
  subscription.on('event', (event) => seen.push(String(event.data)));
  subscription.on('gap', (gap) => seen.push(`gap ${gap.reason}`));
  subscription.on('end', (end) => seen.push(`end ${end.reason}`));
  subscription.on('error', (error) => seen.push(`error ${error.code}`));
  return seen;
}

/** An event of a page of history. */
export const event = (id: string, data: string, topic = 't') => ({
  id, topic, data, time: '1970-01-01T00:00:00.000Z',
});

/** A page around the client: `globalThis` as a window, with a `document`. */
export function page() {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  const names = ['addEventListener', 'removeEventListener'] as const;
  for (const name of names) {
    Object.assign(globalThis, { [name]: window[name].bind(window) });
  }
  Object.assign(globalThis, { document });
  return {
    fire: (type: string) => window.dispatchEvent(new Event(type)),
    show: (visible: boolean) => {
      document.visibilityState = visible ? 'visible' : 'hidden';
      document.dispatchEvent(new Event('visibilitychange'));
    },
    remove: () => {
      for (const name of [...names, 'document']) Reflect.deleteProperty(globalThis, name);
    },
  };
}
