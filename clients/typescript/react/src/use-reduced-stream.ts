'use client';

// A state that is made of every event, however many come between two renders.

import type { Gap, TidingsEvent } from '@tidings/client';
import { useCallback, useState, useSyncExternalStore } from 'react';
import { feedsOf, type Feeds } from './feed.js';
import { useTidings } from './provider.js';
import { report } from './scheduler.js';
import {
  followed, parseEvent, useLatestRef, type FollowOptions, type Followed, type Topics,
} from './use-feed.js';

/** Makes the next state; it must not change the one it is given. */
export type StreamReducer<S, T> = (state: S, event: TidingsEvent<T>) => S;

/** How a stream is reduced. */
export interface UseReducedStreamOptions<S, T> extends FollowOptions<T> {
  /**
   * The state after a gap. Unless given, it is the initial one where the stream begins anew
   * (reasons `epoch` and `unknown-id`), because its events come once more, and else what it was.
   */
  onGap?: (state: S, gap: Gap) => S;
}

interface Latest<S, T> {
  what: Followed | undefined;
  reducer: StreamReducer<S, T>;
  init: S | (() => S);
  options: UseReducedStreamOptions<S, T>;
}

/** The state of one component's stream, outside of React. */
class Reduction<S, T> {
  shown: S;
  private state: S;
  /** The last event that is part of the state. */
  private lastEventId = '';
  private readonly listeners = new Set<() => void>();

  constructor(
    readonly name: string | undefined,
    readonly feeds: Feeds,
    private readonly own: string,
    init: S | (() => S),
  ) {
    this.shown = this.state = initial(init);
  }

  hold(latest: { readonly current: Latest<S, T> }, notify: () => void): () => void {
    const { what, options } = latest.current;
    if (what === undefined || this.name === undefined) return () => undefined;
    this.listeners.add(notify);
    const held = this.feeds.hold(this.name + this.own, this.resumed(what), {
      limit: 0,
      notify: () => {
        // An end or an error has come: nothing is held back any more.
        if (this.shown !== this.state) this.feeds.scheduler.flushNow(this.flush);
      },
      event: (event) => this.take(event, latest.current),
      gap: (gap) => this.gap(gap, latest.current),
      ...(options.resync !== undefined && {
        resync: (gap) => latest.current.options.resync?.(gap),
      }),
    });
    return () => {
      this.listeners.delete(notify);
      this.feeds.scheduler.unschedule(this.flush);
      held();
    };
  }

  /** Whoever comes back after the grace goes on where it was: no event counts twice. */
  private resumed(what: Followed): Followed['spec'] {
    if (this.lastEventId === '') return what.spec;
    const { parse } = what.spec.options;
    const lastEventId = this.lastEventId;
    return {
      topics: what.spec.topics,
      options: parse === undefined ? { lastEventId } : { lastEventId, parse },
    };
  }

  private take(event: TidingsEvent<unknown>, { reducer, options }: Latest<S, T>): void {
    this.lastEventId = event.id;
    const parsed = parseEvent(options.parse, event);
    if ('error' in parsed) {
      report(parsed.error);
      return;
    }
    this.become(reducer(this.state, parsed.event));
  }

  private gap(gap: Gap, { options, init }: Latest<S, T>): void {
    const beginsAnew = gap.reason === 'epoch' || gap.reason === 'unknown-id';
    if (options.onGap !== undefined) this.become(options.onGap(this.state, gap));
    else if (beginsAnew) this.become(initial(init));
  }

  private become(state: S): void {
    this.state = state;
    if (state !== this.shown) this.feeds.scheduler.schedule(this.flush);
  }

  private readonly flush = (): void => {
    if (this.shown === this.state) return;
    this.shown = this.state;
    for (const listener of [...this.listeners]) listener();
  };
}

function initial<S>(init: S | (() => S)): S {
  return typeof init === 'function' ? (init as () => S)() : init;
}

let reductions = 0;

function reduction<S, T>(
  name: string | undefined,
  feeds: Feeds,
  init: S | (() => S),
): Reduction<S, T> {
  return new Reduction<S, T>(name, feeds, ` #r${(reductions += 1)}`, init);
}

/**
 * Reduces every event of a topic to a state. The reducer is that of the last render and is called
 * for each event as it comes; the component renders at most once a frame. With `history: 'all'` the
 * state is made of all that is kept.
 */
export function useReducedStream<S, T = string>(
  topics: Topics,
  reducer: StreamReducer<S, T>,
  init: S | (() => S),
  options: UseReducedStreamOptions<S, T> = {},
): S {
  const feeds = feedsOf(useTidings());
  const what = followed(topics, options);
  const latest = useLatestRef<Latest<S, T>>({ what, reducer, init, options });
  const [held, setHeld] = useState(() => reduction<S, T>(what?.name, feeds, init));
  let current = held;
  if (held.name !== what?.name || held.feeds !== feeds) {
    current = reduction<S, T>(what?.name, feeds, init);
    setHeld(current);
  }
  const hold = useCallback(
    (notify: () => void) => current.hold(latest, notify),
    [current, latest],
  );
  const shown = (): S => current.shown;
  return useSyncExternalStore(hold, shown, shown);
}
