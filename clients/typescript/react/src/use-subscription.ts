'use client';

// Topics in components: a list, the newest value, or a function that is called.

import {
  TidingsError, type ConnectionState, type End, type Gap, type TidingsEvent,
} from '@tidings/client';
import { useEffect, useMemo } from 'react';
import { feedsOf, type FeedSnapshot } from './feed.js';
import { useTidings } from './provider.js';
import { report } from './scheduler.js';
import {
  followed, parseEvent, useFeed, useLatestRef, useParser, type FollowOptions, type Parsed,
  type Topics,
} from './use-feed.js';

/** Events in the list unless another number is given. */
const LIMIT = 100;

/** How topics are followed. */
export interface UseSubscriptionOptions<T> extends FollowOptions<T> {
  /** Events in the list, the newest: 100. */
  limit?: number;
}

/** What is known of the topics; it changes identity only when something of it does. */
export interface SubscriptionResult<T> {
  /** The newest events, oldest first, at most `limit`. */
  readonly events: readonly TidingsEvent<T>[];
  /** The newest event. */
  readonly last: TidingsEvent<T> | undefined;
  readonly state: ConnectionState;
  /** Why it has failed, or that the newest event could not be parsed. */
  readonly error: TidingsError | undefined;
  /** The last gap that was told. */
  readonly gap: Gap | undefined;
  /** How a topic has ended, the last that did. */
  readonly end: End | undefined;
  /** The position that is shown; what is resumed after. */
  readonly lastEventId: string;
}

const whole = (snapshot: FeedSnapshot): FeedSnapshot => snapshot;
const newest = (snapshot: FeedSnapshot): TidingsEvent<unknown> | undefined => snapshot.last;

/**
 * Follows topics; the component renders at most once a frame, however many events come. Components
 * that follow the same topics share one subscription, and all of a client's share its connection.
 */
export function useSubscription<T = string>(
  topics: Topics,
  options: UseSubscriptionOptions<T> = {},
): SubscriptionResult<T> {
  const limit = Math.max(options.limit ?? LIMIT, 0);
  const { resync } = options;
  const holder = resync === undefined ? { limit } : { limit, resync };
  const snapshot = useFeed(followed(topics, options), holder, whole);
  const parse = useParser(options.parse);
  return useMemo(() => {
    const shown = limit === 0 ? [] : snapshot.events.slice(-limit);
    const { events, error } = parsedEvents(shown.map(parse));
    const last = snapshot.last === undefined ? undefined : parse(snapshot.last);
    return {
      events,
      last: last !== undefined && 'event' in last ? last.event : events.at(-1),
      state: snapshot.state,
      error: snapshot.error ?? error,
      gap: snapshot.gap,
      end: snapshot.end,
      lastEventId: snapshot.lastEventId,
    };
  }, [snapshot, limit, parse]);
}

function parsedEvents<T>(
  parsed: Parsed<T>[],
): { events: TidingsEvent<T>[]; error: TidingsError | undefined } {
  const events = parsed.flatMap((it) => ('event' in it ? [it.event] : []));
  const last = parsed.at(-1);
  if (last === undefined || 'event' in last) return { events, error: undefined };
  const error = new TidingsError('parse', 'an event could not be parsed', { cause: last.error });
  return { events, error };
}

/** How the newest value is followed. */
export interface UseLatestOptions<T> extends FollowOptions<T> {
  /** The value until there is one. */
  initial?: T;
}

/**
 * The data of a topic's newest event, the one that is kept already included (`history: 1` unless
 * something else is given). The component renders for new values only, at most once a frame.
 */
export function useLatest<T = string>(
  topic: Topics,
  options: UseLatestOptions<T> & { initial: T },
): T;
export function useLatest<T = string>(
  topic: Topics,
  options?: UseLatestOptions<T>,
): T | undefined;
export function useLatest<T = string>(
  topic: Topics,
  options: UseLatestOptions<T> = {},
): T | undefined {
  const { lastEventId, since, resync } = options;
  const isDefault = lastEventId === undefined && since === undefined;
  const history = options.history ?? (isDefault ? 1 : undefined);
  const beginning = history === undefined ? options : { ...options, history };
  const holder = resync === undefined ? { limit: 1 } : { limit: 1, resync };
  const last = useFeed(followed(topic, beginning), holder, newest);
  const parse = useParser(options.parse);
  if (last === undefined) return options.initial;
  const parsed = parse(last);
  return 'event' in parsed ? parsed.event.data : options.initial;
}

/** How events are heard of. */
export type UseEventOptions<T> = FollowOptions<T>;

/**
 * Calls `handler` with each event as it comes; the component does not render. It is always the
 * handler of the last render. What it throws is reported, and the next event comes all the same.
 */
export function useEvent<T = string>(
  topics: Topics,
  handler: (event: TidingsEvent<T>) => void,
  options: UseEventOptions<T> = {},
): void {
  const feeds = feedsOf(useTidings());
  const what = followed(topics, options);
  const latest = useLatestRef({ what, handler, options });
  // Who begins in the past must have a feed that begins there, not one that runs already.
  const { history, lastEventId, since } = options;
  const isLive = history === undefined && lastEventId === undefined && since === undefined;
  const own = useOwnName();
  const name = what && (isLive ? what.name : what.name + own);
  useEffect(() => {
    const { what, options } = latest.current;
    if (what === undefined || name === undefined) return undefined;
    return feeds.hold(name, what.spec, {
      limit: 0,
      event(event) {
        const { handler, options } = latest.current;
        const parsed = parseEvent(options.parse, event);
        if ('error' in parsed) report(parsed.error);
        else handler(parsed.event);
      },
      ...(options.resync !== undefined && {
        resync: (gap) => latest.current.options.resync?.(gap),
      }),
    });
  }, [feeds, name, latest]);
}

let owners = 0;

/** A name for what belongs to one component alone. */
export function useOwnName(): string {
  return useMemo(() => ` #${(owners += 1)}`, []);
}
