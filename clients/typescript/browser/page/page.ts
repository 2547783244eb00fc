// What the tests drive in each tab: clients and subscriptions that note what they are handed.

import { createClient, UnauthorizedError } from '@tidings/client';
import type { Client, ClientOptions, Gap, Subscription } from '@tidings/client';
import { EventSource as TidingsEventSource } from '@tidings/client/eventsource';
import { Parser } from '@tidings/client/parser';
import { tabs } from '@tidings/client/shared';

/** What a test asks for. */
export interface Wish {
  url: string;
  topics: string[];
  /** Share the connection with other tabs. */
  share?: boolean;
  user?: string;
  history?: 'none' | number | 'all';
  lastEventId?: string;
  /** Ask the test for a token; it is told how often. */
  token?: boolean;
  options?: Pick<ClientOptions, 'heartbeatTimeout' | 'openTimeout' | 'retry' | 'visibility'>;
  /** Keep only how many came, not what: for hours of events. */
  count?: boolean;
}

export interface Noted {
  id: string;
  topic: string;
  n: number;
}

interface Follow {
  subscription: Subscription;
  seen: Noted[];
  gaps: Gap[];
  errors: string[];
  states: string[];
  count: number;
  disorder: string | undefined;
  /** When the last event came, and the longest time between two, in milliseconds. */
  at: number;
  longest: number;
}

const clients = new Map<string, Client>();
const follows = new Map<string, Follow>();
let tokens = 0;

declare global {
  interface Window {
    tab: typeof tab;
    giveToken?: (reason: string) => Promise<string>;
  }
}

function client(wish: Wish): Client {
  const key = JSON.stringify([wish.url, wish.share, wish.user, wish.options]);
  let known = clients.get(key);
  if (known === undefined) {
    const options: ClientOptions = { url: wish.url, retry: { min: 50, max: 500 }, ...wish.options };
    if (wish.share) options.share = tabs(wish.user === undefined ? {} : { user: wish.user });
    if (wish.token) {
      options.getToken = async ({ reason }) => {
        tokens += 1;
        const token = await window.giveToken?.(reason);
        if (token === undefined) throw new UnauthorizedError('no token');
        return token;
      };
    }
    known = createClient(options);
    clients.set(key, known);
  }
  return known;
}

function follow(name: string, wish: Wish): void {
  const { topics, history, lastEventId } = wish;
  const subscription = client(wish).subscribe(topics, {
    ...(history === undefined ? {} : { history }),
    ...(lastEventId === undefined ? {} : { lastEventId }),
  });
  const noted: Follow = {
    subscription,
    seen: [],
    gaps: [],
    errors: [],
    states: [],
    count: 0,
    disorder: undefined,
    at: performance.now(),
    longest: 0,
  };
  follows.set(name, noted);
  const next = new Map<string, number>();
  subscription.on('event', ({ id, topic, data }) => {
    const { n } = JSON.parse(data) as { n: number };
    noted.count += 1;
    const now = performance.now();
    noted.longest = Math.max(noted.longest, now - noted.at);
    noted.at = now;
    const expected = next.get(topic) ?? n;
    if (n !== expected) noted.disorder ??= `${topic}: ${n} where ${expected} belongs`;
    next.set(topic, n + 1);
    if (!wish.count) noted.seen.push({ id, topic, n });
  });
  subscription.on('gap', (gap) => noted.gaps.push(gap));
  subscription.on('error', (error) => noted.errors.push(String(error)));
  subscription.on('state', ({ state }) => noted.states.push(state));
}

function known(name: string): Follow {
  const found = follows.get(name);
  if (found === undefined) throw new Error(`nothing is followed as ${name}`);
  return found;
}

/** What our decoder makes of a body, for each way in which it is cut: sizes of chunks, repeated. */
function parse(body: string, cuts: number[][]): unknown[] {
  const all = Uint8Array.from(atob(body), (char) => char.charCodeAt(0));
  return cuts.map((sizes) => {
    const events: unknown[] = [];
    const parser = new Parser({
      onEvent: ({ type, data, lastEventId }) => events.push({ type, data, id: lastEventId }),
    });
    for (let at = 0, turn = 0; at < all.length; turn += 1) {
      const size = sizes[turn % sizes.length] ?? all.length;
      parser.feed(all.subarray(at, at + size));
      at += size;
    }
    parser.reset();
    return { events, last_event_id: parser.lastEventId, retry: parser.reconnectionTime };
  });
}

/** What our `EventSource`, or the browser's, makes of a stream; it listens for these types. */
async function source(url: string, types: string[], native: boolean): Promise<unknown> {
  const events: unknown[] = [];
  const source = native ? new EventSource(url) : new TidingsEventSource(url);
  for (const type of new Set(['message', ...types])) {
    source.addEventListener(type, (event) => {
      // The browser's own error event has no data.
      if (!(event instanceof MessageEvent)) return;
      events.push({ type, data: event.data as string, id: event.lastEventId });
    });
  }
  await new Promise<void>((done) => {
    source.addEventListener('error', (event) => {
      if (!(event instanceof MessageEvent)) done();
    });
  });
  source.close();
  return { events };
}

const tab = {
  follow,
  parse,
  source,
  seen: (name: string) => known(name).seen,
  count: (name: string) => known(name).count,
  about(name: string) {
    const { subscription, gaps, errors, states, count, disorder } = known(name);
    const { state, shared, lastEventId } = subscription;
    return { state, shared, lastEventId, gaps, errors, states, count, disorder };
  },
  /** The longest silence between two events since this was asked for last, in milliseconds. */
  silence(name: string): number {
    const noted = known(name);
    const { longest } = noted;
    noted.longest = 0;
    return longest;
  },
  change: (name: string, topics: string[]) => known(name).subscription.change(topics),
  close: (name: string) => known(name).subscription.close(),
  tokens: () => tokens,
};
window.tab = tab;
