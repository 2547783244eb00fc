// Topics as React can read them: a store outside of it, whose snapshots change identity only when
// they are flushed, shared by all components that follow the same topics in the same way.
//
// A feed begins with its first holder and ends a moment after its last, so that StrictMode, hot
// reload and a remount find it again and the server notices nothing. Nothing is begun while
// rendering, so a render that React throws away leaves nothing behind.

import type {
  Client, ConnectionState, End, Gap, Subscription, SubscribeOptions, TidingsError, TidingsEvent,
} from '@tidings/client';
import { Scheduler, report } from './scheduler.js';

/** How long a feed outlives its last holder, in milliseconds. */
export const GRACE_MS = 100;

/** What is known of the topics at one moment. */
export interface FeedSnapshot {
  readonly events: readonly TidingsEvent<unknown>[];
  readonly last: TidingsEvent<unknown> | undefined;
  readonly state: ConnectionState;
  readonly error: TidingsError | undefined;
  readonly gap: Gap | undefined;
  readonly end: End | undefined;
  readonly lastEventId: string;
}

/** Before anything has come, and on the server. */
export const INITIAL: FeedSnapshot = Object.freeze({
  events: Object.freeze([]),
  last: undefined,
  state: 'idle',
  error: undefined,
  gap: undefined,
  end: undefined,
  lastEventId: '',
});

/** Somebody who follows a feed. */
export interface Holder {
  /** Called after each flush that has changed something. */
  readonly notify?: () => void;
  /** Events that it wants to see in the list. */
  readonly limit: number;
  /** Called with each event as it comes. */
  readonly event?: (event: TidingsEvent<unknown>) => void;
  /** Called with each gap as it comes. */
  readonly gap?: (gap: Gap) => void;
  /** Events after a gap are held back until it settles. */
  readonly resync?: (gap: Gap) => void | Promise<void>;
}

/** What a feed follows. */
export interface FeedSpec {
  readonly topics: readonly string[];
  readonly options: Pick<SubscribeOptions<unknown>, 'history' | 'lastEventId' | 'since' | 'parse'>;
}

/** Topics that are followed by at least one holder, or were until just now. */
export class Feed {
  snapshot: FeedSnapshot = INITIAL;
  private readonly holders = new Set<Holder>();
  private subscription: Subscription<unknown> | undefined;
  private leaving: ReturnType<typeof setTimeout> | undefined;
  /** What came since the last flush; never more than twice what somebody wants to see. */
  private pending: TidingsEvent<unknown>[] = [];
  private next: FeedSnapshot = INITIAL;
  /** The most events that a holder wants to see, or wanted until just now. */
  private limit = 0;

  constructor(
    private readonly client: Client,
    private readonly spec: FeedSpec,
    private readonly scheduler: Scheduler,
    private readonly onEnd: () => void,
  ) {}

  /** @returns what lets it go again */
  hold(holder: Holder): () => void {
    clearTimeout(this.leaving);
    this.leaving = undefined;
    this.holders.add(holder);
    this.measure();
    if (this.subscription === undefined || this.snapshot.state === 'failed') this.open();
    return () => {
      if (!this.holders.delete(holder)) return;
      // While nobody holds it the limit stays: whoever comes back has what came meanwhile.
      if (this.holders.size > 0) return this.measure();
      this.leaving = setTimeout(() => this.close(), GRACE_MS);
    };
  }

  private measure(): void {
    this.limit = Math.max(...[...this.holders].map(({ limit }) => limit));
  }

  private open(): void {
    const { topics, options } = this.spec;
    this.subscription?.close();
    this.change({ error: undefined });
    try {
      const resync = (gap: Gap): Promise<void> => this.resync(gap);
      const subscription = this.client.subscribe<unknown>(topics, { ...options, resync });
      this.subscription = subscription;
      const mine = <V>(take: (value: V) => void) => (value: V): void => {
        if (this.subscription === subscription) take(value);
      };
      subscription.on('event', mine((event) => this.take(event)));
      subscription.on('state', mine(({ state, error }) => this.state(state, error)));
      subscription.on('gap', mine((gap) => this.gap(gap)));
      subscription.on('end', mine((end) => this.change({ end }, true)));
      subscription.on('error', mine((error) => this.change({ error }, true)));
      this.state(subscription.state, subscription.error);
    } catch (error) {
      this.change({ state: 'failed', error: error as TidingsError }, true);
    }
  }

  private close(): void {
    const subscription = this.subscription;
    this.subscription = undefined;
    this.scheduler.unschedule(this.flush);
    subscription?.close();
    this.onEnd();
  }

  private take(event: TidingsEvent<unknown>): void {
    const limit = Math.max(this.limit, 1);
    this.pending.push(event);
    // Trimmed now and then, so that each event is moved at most once on average.
    if (this.pending.length >= limit * 2) this.pending.splice(0, this.pending.length - limit);
    for (const holder of this.holders) call(holder.event, event);
    this.scheduler.schedule(this.flush);
  }

  private gap(gap: Gap): void {
    for (const holder of this.holders) call(holder.gap, gap);
    this.change({ gap });
  }

  private async resync(gap: Gap): Promise<void> {
    await Promise.all([...this.holders].map((holder) => holder.resync?.(gap)));
  }

  private state(state: ConnectionState, error: TidingsError | undefined): void {
    const isUrgent = state === 'failed' || state === 'closed';
    const isOver = error !== undefined && isUrgent;
    this.change(isOver ? { state, error } : { state }, isUrgent);
  }

  private change(change: Partial<FeedSnapshot>, isUrgent = false): void {
    this.next = { ...this.next, ...change };
    if (isUrgent) this.scheduler.flushNow(this.flush);
    else this.scheduler.schedule(this.flush);
  }

  private readonly flush = (): void => {
    const before = this.snapshot;
    const { pending } = this;
    let { events, last } = before;
    if (pending.length > 0) {
      const { limit } = this;
      events = limit > 0 ? [...events, ...pending].slice(-limit) : INITIAL.events;
      last = pending.at(-1);
      this.pending = [];
    }
    const lastEventId = this.subscription?.lastEventId || (last?.id ?? '');
    const after: FeedSnapshot = { ...this.next, events, last, lastEventId };
    if (isSame(before, after)) return;
    this.snapshot = this.next = after;
    for (const holder of [...this.holders]) holder.notify?.();
  };
}

function call<V>(take: ((value: V) => void) | undefined, value: V): void {
  try {
    take?.(value);
  } catch (error) {
    report(error);
  }
}

function isSame(one: FeedSnapshot, other: FeedSnapshot): boolean {
  for (const name of Object.keys(INITIAL) as (keyof FeedSnapshot)[]) {
    if (one[name] !== other[name]) return false;
  }
  return true;
}

/** The feeds of one client. */
export class Feeds {
  readonly scheduler = new Scheduler();
  private readonly feeds = new Map<string, Feed>();

  constructor(private readonly client: Client) {}

  /** The feed of this name, if somebody holds it or did until just now. */
  peek(name: string): Feed | undefined {
    return this.feeds.get(name);
  }

  /** @returns what lets it go again */
  hold(name: string, spec: FeedSpec, holder: Holder): () => void {
    let feed = this.feeds.get(name);
    if (feed === undefined) {
      feed = new Feed(this.client, spec, this.scheduler, () => this.feeds.delete(name));
      this.feeds.set(name, feed);
    }
    return feed.hold(holder);
  }
}

const feedsOfClient = new WeakMap<Client, Feeds>();

/** The feeds of a client: one set of them, however many providers give it. */
export function feedsOf(client: Client): Feeds {
  let feeds = feedsOfClient.get(client);
  if (feeds === undefined) {
    feeds = new Feeds(client);
    feedsOfClient.set(client, feeds);
  }
  return feeds;
}
