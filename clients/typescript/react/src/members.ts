// Who is there: a topic of its own whose events expire, and no state at the server.
//
// Whoever is there says so under a key of its own, again and again before its last word expires,
// and says when it leaves. Readers begin with the oldest that is kept and keep the newest of each
// key. When a word expires is counted from its arrival, so that no two clocks are compared: whoever
// vanished is shown for at most one time to live too long, and nobody too short.

import type { Client, TidingsEvent } from '@tidings/client';
import { GRACE_MS, feedsOf, type Feeds } from './feed.js';

/** Somebody who is there. */
export interface Member<D = unknown> {
  /** Who it is: the key of its events. */
  readonly id: string;
  /** What it says of itself. */
  readonly data: D;
}

/** How long a word counts, and where it is said. */
export interface MembersSpec {
  /** The topic of the words. */
  readonly topic: string;
  /** How long a word counts, in milliseconds. */
  readonly ttl: number;
  /** Whether those count who came before. */
  readonly history: boolean;
}

/** Members that are shown at most; further ones are not counted. */
const MEMBERS_MAX = 10_000;

/** The longest that a word may count, in milliseconds: others say how long theirs does. */
const MAX_TTL_MS = 3_600_000;

const NOBODY: readonly Member[] = Object.freeze([]);

/** The members of one topic, as one client sees them. */
export class Members {
  shown: readonly Member[] = NOBODY;
  private readonly known = new Map<string, { member: Member; until: number }>();
  private readonly listeners = new Set<() => void>();
  private readonly feeds: Feeds;
  private feed: (() => void) | undefined;
  private leaving: ReturnType<typeof setTimeout> | undefined;
  private sweeper: ReturnType<typeof setTimeout> | undefined;

  constructor(
    client: Client,
    private readonly spec: MembersSpec,
    private readonly onEnd: () => void,
  ) {
    this.feeds = feedsOf(client);
  }

  /** @returns what lets it go again */
  hold(notify: () => void): () => void {
    clearTimeout(this.leaving);
    this.leaving = undefined;
    this.listeners.add(notify);
    const { topic, history } = this.spec;
    this.feed ??= this.feeds.hold(
      `members ${topic}`,
      {
        topics: [topic],
        options: { parse: (data) => data, ...(history && { history: 'all' as const }) },
      },
      { limit: 0, event: (event) => this.take(event) },
    );
    return () => {
      if (!this.listeners.delete(notify) || this.listeners.size > 0) return;
      this.leaving = setTimeout(() => this.close(), GRACE_MS);
    };
  }

  private close(): void {
    this.feed?.();
    this.feed = undefined;
    clearTimeout(this.sweeper);
    this.feeds.scheduler.unschedule(this.flush);
    this.onEnd();
  }

  private take(event: TidingsEvent<unknown>): void {
    const { key, type } = event;
    if (key === undefined) return;
    if (type === 'leave') {
      if (!this.known.delete(key)) return;
    } else {
      const word = read(String(event.data));
      if (word === undefined) return;
      const known = this.known.get(key);
      const until = Date.now() + Math.min(word.ttl, MAX_TTL_MS);
      const isNews = known === undefined || JSON.stringify(known.member.data) !== word.text;
      if (known === undefined && this.known.size >= MEMBERS_MAX) return;
      const member = isNews ? { id: key, data: word.data } : known.member;
      this.known.set(key, { member, until });
      this.sweepAt(until);
      if (!isNews) return;
    }
    this.feeds.scheduler.schedule(this.flush);
  }

  private sweepAt(until: number): void {
    this.sweeper ??= setTimeout(this.sweep, Math.max(until - Date.now(), 0) + 1);
  }

  private readonly sweep = (): void => {
    this.sweeper = undefined;
    const now = Date.now();
    let next = Infinity;
    let isChanged = false;
    for (const [id, { until }] of this.known) {
      if (until > now) next = Math.min(next, until);
      else isChanged = this.known.delete(id) || isChanged;
    }
    if (next < Infinity) this.sweepAt(next);
    if (isChanged) this.feeds.scheduler.schedule(this.flush);
  };

  private readonly flush = (): void => {
    this.shown = [...this.known.values()]
      .map(({ member }) => member)
      .sort((one, other) => (one.id < other.id ? -1 : 1));
    for (const listener of [...this.listeners]) listener();
  };
}

function read(text: string): { data: unknown; text: string; ttl: number } | undefined {
  try {
    const { data = null, ttl } = JSON.parse(text) as { data?: unknown; ttl?: unknown };
    if (typeof ttl !== 'number' || !(ttl > 0)) return undefined;
    return { data, text: JSON.stringify(data), ttl };
  } catch {
    return undefined;
  }
}

/** Somebody of this page who is there. */
export class Presence {
  private holders = 0;
  private data = 'null';
  private renewal: ReturnType<typeof setTimeout> | undefined;
  private leaving: ReturnType<typeof setTimeout> | undefined;
  private isThere = false;

  constructor(
    private readonly client: Client,
    private readonly spec: MembersSpec,
    private readonly id: string,
    private readonly onEnd: () => void,
  ) {}

  /** It is there. @returns what ends that, unless somebody else says so as well */
  hold(): () => void {
    clearTimeout(this.leaving);
    this.leaving = undefined;
    this.holders += 1;
    if (!this.isThere) this.come();
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.holders -= 1;
      if (this.holders === 0) this.leaving = setTimeout(this.close, GRACE_MS);
    };
  }

  /** What it says of itself. */
  say(data: unknown): void {
    const text = JSON.stringify(data ?? null);
    if (text === this.data) return;
    this.data = text;
    if (this.isThere) this.renew();
  }

  /** It is there for one time to live, without renewal. */
  once(): void {
    this.publish();
  }

  private come(): void {
    this.isThere = true;
    this.renew();
    if (typeof addEventListener !== 'function') return;
    addEventListener('pagehide', this.leave);
    addEventListener('pageshow', this.again);
  }

  private readonly again = (): void => {
    if (!this.isThere) this.come();
  };

  private readonly leave = (): void => {
    if (!this.isThere) return;
    this.isThere = false;
    clearTimeout(this.renewal);
    this.gone();
  };

  /** Says that it has left, also if it never renewed. */
  gone(): void {
    const { topic, ttl } = this.spec;
    // As long as the last word may be kept: whoever comes meanwhile reads both.
    const options = { type: 'leave', key: this.id, ttl, keepalive: true };
    this.client.publish(topic, '{}', options).catch(lost);
  }

  private readonly close = (): void => {
    this.leave();
    if (typeof removeEventListener === 'function') {
      removeEventListener('pagehide', this.leave);
      removeEventListener('pageshow', this.again);
    }
    this.onEnd();
  };

  private renew(): void {
    clearTimeout(this.renewal);
    this.publish();
    this.renewal = setTimeout(() => this.renew(), this.spec.ttl / 3);
  }

  private publish(): void {
    const { topic, ttl } = this.spec;
    const data = `{"data":${this.data},"ttl":${ttl}}`;
    this.client.publish(topic, data, { key: this.id, ttl }).catch(lost);
  }
}

/** The next renewal says the same; a leave that is lost is an expiry. */
const lost = (): void => undefined;

class Rooms {
  readonly members = new Map<string, Members>();
  readonly own = new Map<string, Presence>();
}

const roomsOf = new WeakMap<Client, Rooms>();

function rooms(client: Client): Rooms {
  let known = roomsOf.get(client);
  if (known === undefined) roomsOf.set(client, (known = new Rooms()));
  return known;
}

/** The members of a topic, one store for all components; not begun if it is not there. */
export function peekMembers(client: Client, topic: string): readonly Member[] {
  return roomsOf.get(client)?.members.get(topic)?.shown ?? NOBODY;
}

/** @returns what lets it go again */
export function holdMembers(client: Client, spec: MembersSpec, notify: () => void): () => void {
  const { members } = rooms(client);
  let found = members.get(spec.topic);
  if (found === undefined) {
    found = new Members(client, spec, () => members.delete(spec.topic));
    members.set(spec.topic, found);
  }
  return found.hold(notify);
}

/** Somebody of this page, one for all components. */
export function presenceOf(client: Client, spec: MembersSpec, id: string): Presence {
  const { own } = rooms(client);
  const name = JSON.stringify([spec.topic, id]);
  let found = own.get(name);
  if (found === undefined) {
    found = new Presence(client, spec, id, () => own.delete(name));
    own.set(name, found);
  }
  return found;
}
