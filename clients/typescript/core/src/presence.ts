/**
 * Who is there: a topic whose events expire. There is nothing on the server but the topic.
 *
 * The members of a topic `T` publish to `presence/T`, each under a key of its own, and renew it at
 * a third of its time to live; they publish a `leave` when they go, also as their page is put away.
 * Readers begin with what is kept, know the newest of each key, and drop what has expired by the
 * time that the server gave it.
 */

import { guarded } from './emitter.js';
import type { Client, Subscription, TidingsEvent } from './types.js';

/** A member, as readers see it. */
export interface Member<T> {
  readonly id: string;
  /** What the member says of itself. */
  readonly data: T;
  /** When it was last heard of: RFC 3339. */
  readonly time: string;
}

/** How to take part. */
export interface PresenceOptions<T> {
  /**
   * One's own id; made up unless given. Without `data` it is not announced. With a token that
   * grants `presence` and not `publish` it must be the token's subject, or begin with it and `/`.
   */
  id?: string;
  /** What is announced; absent: only reads. Must be what JSON has. */
  data?: T;
  /** How long a member counts as present without renewing, in milliseconds: 30,000. */
  ttl?: number;
  /** Called whenever the members have changed. */
  onChange?: (members: readonly Member<T>[]) => void;
}

/** Taking part. */
export interface Presence<T> {
  /** One's own id. */
  readonly id: string;
  /** Who is there, in the order of their ids. The array is a new one after each change. */
  readonly members: readonly Member<T>[];
  readonly subscription: Subscription;
  /** Announces something else of oneself. */
  update(data: T): void;
  /** Leaves; idempotent. */
  close(): void;
}

/** Time to live unless another is given, in milliseconds. */
const TTL = 30_000;

/** How often the expired are looked for at least, in milliseconds. */
const SWEEP = 1_000;

/** Clocks of servers and clients differ: how much longer a member is kept than it says, in ms. */
const GRACE = 5_000;

/** What is published. */
interface Said {
  ttl: number;
  data: unknown;
}

/** Joins the members of `topic`, or only watches them. */
export function presence<T>(
  client: Client,
  topic: string,
  options: PresenceOptions<T> = {},
): Presence<T> {
  const { ttl = TTL, onChange } = options;
  const name = `presence/${topic}`;
  const id = options.id ?? Math.random().toString(36).slice(2);
  const known = new Map<string, Member<T> & { until: number }>();
  let members: readonly Member<T>[] = [];
  let said = options.data;
  let renewal: ReturnType<typeof setInterval> | undefined;
  let closed = false;

  const changed = () => {
    members = [...known.values()]
      .map(({ id, data, time }) => ({ id, data, time }))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
    if (onChange) guarded(() => onChange(members));
  };

  const hear = ({ key, type, time, data }: TidingsEvent) => {
    if (key === undefined || closed) return;
    let body: Said | undefined;
    try {
      body = type === 'leave' ? undefined : (JSON.parse(data) as Said);
    } catch {
      // Not ours.
      return;
    }
    const until = body ? Date.parse(time) + body.ttl + GRACE : 0;
    const old = known.get(key);
    if (until <= Date.now()) {
      if (known.delete(key)) changed();
      return;
    }
    known.set(key, { id: key, data: body?.data as T, time, until });
    if (!old || JSON.stringify(old.data) !== JSON.stringify(body?.data)) changed();
  };

  const subscription = client.subscribe(name, { history: 'all', parse: (data) => data });
  subscription.on('event', hear);
  // What was missed is told anew within a third of its time to live.
  const sweep = setInterval(() => {
    const now = Date.now();
    let gone = false;
    for (const [key, { until }] of known) gone = (until <= now && known.delete(key)) || gone;
    if (gone) changed();
  }, Math.min(SWEEP, ttl));

  const announce = () => {
    if (said === undefined) return;
    const body: Said = { ttl, data: said };
    // The next renewal makes up for one that fails.
    client.publish(name, body, { key: id, ttl }).catch(() => {});
  };
  const begin = () => {
    clearInterval(renewal);
    announce();
    renewal = setInterval(announce, ttl / 3);
  };
  const leave = () => {
    clearInterval(renewal);
    if (said === undefined) return;
    client.publish(name, '', { key: id, type: 'leave', ttl, keepalive: true }).catch(() => {});
  };
  if (said !== undefined) begin();
  const back = () => {
    if (said !== undefined && !closed) begin();
  };
  globalThis.addEventListener?.('pagehide', leave);
  globalThis.addEventListener?.('pageshow', back);

  return {
    id,
    subscription,
    get members() {
      return members;
    },
    update(data) {
      said = data;
      if (!closed) begin();
    },
    close() {
      if (closed) return;
      closed = true;
      leave();
      clearInterval(sweep);
      globalThis.removeEventListener?.('pagehide', leave);
      globalThis.removeEventListener?.('pageshow', back);
      subscription.close();
    },
  };
}
