'use client';

// What the hooks that follow topics have in common.

import type { Gap, Parse, SubscribeOptions, TidingsEvent, WireEvent } from '@tidings/client';
import { useCallback, useInsertionEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { INITIAL, feedsOf, type FeedSnapshot, type FeedSpec, type Holder } from './feed.js';
import { useTidings } from './provider.js';

/** Names and patterns to follow; nothing, or false, follows nothing. */
export type Topics = string | readonly string[] | null | undefined | false;

/** Where following begins. */
export type Beginning = Pick<SubscribeOptions, 'history' | 'lastEventId' | 'since'>;

/** What hooks that follow topics can be told. */
export interface FollowOptions<T> extends Beginning {
  /**
   * Makes data of text, such as `json` of `@tidings/client`. Without it data is what the client's
   * own `parse` makes of it: the text, usually. The function may be written in place.
   */
  parse?: Parse<T>;
  /** Told of each gap. Events after the gap are held back until it settles. */
  resync?: (gap: Gap) => void | Promise<void>;
}

/** What is followed and its name: equal for equal topics and beginnings. */
export interface Followed {
  readonly name: string;
  readonly spec: FeedSpec;
}

/** The text as it is: hooks parse for themselves, what they show only. */
const asText = (data: string): string => data;

/** Names what is followed; undefined if nothing is. */
export function followed(
  topics: Topics,
  options: Beginning & { parse?: unknown },
): Followed | undefined {
  const list = typeof topics === 'string' ? [topics] : topics || [];
  if (list.length === 0) return undefined;
  const sorted = [...new Set(list)].sort();
  const { history, lastEventId } = options;
  const since = options.since instanceof Date ? options.since.toISOString() : options.since;
  const isRaw = options.parse !== undefined;
  const name = JSON.stringify([sorted, history, lastEventId, since, isRaw]);
  return {
    name,
    spec: {
      topics: sorted,
      options: {
        ...(history !== undefined && { history }),
        ...(lastEventId !== undefined && { lastEventId }),
        ...(since !== undefined && { since }),
        ...(isRaw && { parse: asText }),
      },
    },
  };
}

/** A value as it was when the last render was committed: what is called later is never stale. */
export function useLatestRef<V>(value: V): { readonly current: V } {
  const ref = useRef(value);
  useInsertionEffect(() => {
    ref.current = value;
  });
  return ref;
}

/**
 * Follows topics and shows a part of their snapshot. The component renders again when that part has
 * another identity.
 */
export function useFeed<V>(
  what: Followed | undefined,
  holder: Omit<Holder, 'notify'>,
  part: (snapshot: FeedSnapshot) => V,
): V {
  const feeds = feedsOf(useTidings());
  const latest = useLatestRef({ what, holder });
  const name = what?.name;
  const { limit } = holder;
  const hold = useCallback(
    (notify: () => void) => {
      const { what, holder } = latest.current;
      if (what === undefined || name === undefined) return () => undefined;
      return feeds.hold(name, what.spec, {
        notify,
        limit,
        event: (event) => latest.current.holder.event?.(event),
        gap: (gap) => latest.current.holder.gap?.(gap),
        ...(holder.resync !== undefined && {
          resync: (gap) => latest.current.holder.resync?.(gap),
        }),
      });
    },
    [feeds, name, limit, latest],
  );
  const feed = (): FeedSnapshot =>
    name === undefined ? INITIAL : (feeds.peek(name)?.snapshot ?? INITIAL);
  return useSyncExternalStore(hold, () => part(feed()), () => part(INITIAL));
}

/** An event whose data was parsed, or why it could not be. */
export type Parsed<T> = { readonly event: TidingsEvent<T> } | { readonly error: unknown };

/**
 * Parses events with the newest `parse`, each of them once: the result has the same identity for as
 * long as the event is there.
 */
export function useParser<T>(
  parse: Parse<T> | undefined,
): (event: TidingsEvent<unknown>) => Parsed<T> {
  const newest = useRef(parse);
  newest.current = parse;
  return useMemo(() => {
    const known = new WeakMap<object, Parsed<T>>();
    return (event) => {
      let parsed = known.get(event);
      if (parsed === undefined) {
        parsed = parseEvent(newest.current, event);
        known.set(event, parsed);
      }
      return parsed;
    };
  }, []);
}

/** Parses one event; without `parse` it stays what the client has made of it. */
export function parseEvent<T>(
  parse: Parse<T> | undefined,
  event: TidingsEvent<unknown>,
): Parsed<T> {
  if (parse === undefined) return { event: event as TidingsEvent<T> };
  try {
    const data = parse(String(event.data), wireOf(event));
    return { event: { ...event, data } };
  } catch (error) {
    return { error };
  }
}

function wireOf(event: TidingsEvent<unknown>): WireEvent {
  const { publisherId, bytes, alternates, data, ...rest } = event;
  void bytes;
  return {
    ...rest,
    data: String(data),
    ...(publisherId !== undefined && { publisher_id: publisherId }),
    ...(alternates !== undefined && { alternates: [...alternates] }),
  };
}
