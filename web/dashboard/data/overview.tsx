// The server's figures, one a second, from its own topic: followed once for all pages.

import { json } from '@tidings/client';
import { useSubscription, type SubscriptionResult } from '@tidings/react';
import { createContext, useContext, useMemo, type ReactNode } from 'react';
import type { Overview } from './types';

/** The topic. */
export const OVERVIEW = '$tidings/overview';

/** Seconds that are kept, as the server keeps them. */
export const KEPT = 900;

/** Seconds without a figure after which a line is broken. */
const BREAK_S = 4;

const Context = createContext<SubscriptionResult<Overview> | null>(null);

/** Follows the topic for what is inside. */
export function OverviewFeed({ children }: { children: ReactNode }) {
  const feed = useSubscription<Overview>(OVERVIEW, { history: KEPT, limit: KEPT, parse: json });
  return <Context value={feed}>{children}</Context>;
}

/** The feed. */
export function useOverview(): SubscriptionResult<Overview> {
  const feed = useContext(Context);
  if (!feed) throw new Error('There is no OverviewFeed above this component.');
  return feed;
}

/** The newest figures; none before the first. */
export const useNow = (): Overview | undefined => useOverview().last?.data;

/** Figures over time: a list for each value, broken where nothing was written. */
export interface Track {
  /** Seconds since 1970. */
  times: number[];
  points: (Overview | null)[];
}

/** What is shown of the last `span` seconds. */
export function useTrack(span: number): Track {
  const { events } = useOverview();
  return useMemo(() => {
    const times: number[] = [];
    const points: (Overview | null)[] = [];
    const end = Date.parse(events.at(-1)?.data.at ?? '') / 1_000;
    for (const { data } of events) {
      const at = Date.parse(data.at) / 1_000;
      const before = times.at(-1);
      if (Number.isNaN(at) || at < end - span || (before !== undefined && at <= before)) continue;
      if (before !== undefined && at - before > BREAK_S) {
        times.push(before + 1);
        points.push(null);
      }
      times.push(at);
      points.push(data);
    }
    return { times, points };
  }, [events, span]);
}
