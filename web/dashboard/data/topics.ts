// The list of topics, page by page in the order of their names, and once more from time to time.

import { useCallback, useEffect, useRef, useState } from 'react';
import type { TidingsError } from '@tidings/client';
import { asTidingsError } from './failure';
import { useSession } from './session';
import type { Topic } from './types';

/** Topics of one page: as many as the server gives. */
const PAGE = 500;

/** Topics after which reading on is left to the operator. */
const TOPICS_MAX = 20_000;

/** How often what is shown is read again, in milliseconds, while it is one page. */
const AGAIN_MS = 4_000;

interface TopicPage {
  topics: Topic[];
  more: boolean;
}

/** What is known of the topics. */
export interface TopicList {
  topics: readonly Topic[];
  /** Whether there are more than those. */
  more: boolean;
  loaded: boolean;
  error: TidingsError | undefined;
  /** Reads the next page. */
  next(): void;
  refresh(): void;
}

/** The address of a page. */
export const topicsPath = (after?: string): string =>
  `/topics?limit=${PAGE}${after ? `&after=${encodeURIComponent(after)}` : ''}`;

/** Reads topics; with `all` it reads on by itself, up to a limit. */
export function useTopics(all: boolean): TopicList {
  const session = useSession();
  const [topics, setTopics] = useState<readonly Topic[]>([]);
  const [more, setMore] = useState(false);
  const [loaded, setLoaded] = useState(false);
  const [error, setError] = useState<TidingsError | undefined>();
  const busy = useRef(false);
  const latest = useRef({ topics, more });
  latest.current = { topics, more };
  const read = useCallback(
    async (onwards: boolean) => {
      if (busy.current) return;
      const { topics: known, more: isMore } = latest.current;
      if (onwards && !isMore) return;
      busy.current = true;
      try {
        const after = onwards ? known.at(-1)?.name : undefined;
        const page = await session.call<TopicPage>({ path: topicsPath(after) });
        setTopics(onwards ? [...known, ...page.topics] : page.topics);
        setMore(page.more);
        setLoaded(true);
        setError(undefined);
      } catch (thrown) {
        setError(asTidingsError(thrown));
      }
      busy.current = false;
    },
    [session],
  );
  useEffect(() => {
    void read(false);
    const timer = setInterval(() => {
      if (!document.hidden && latest.current.topics.length <= PAGE) void read(false);
    }, AGAIN_MS);
    return () => clearInterval(timer);
  }, [read]);
  useEffect(() => {
    if (all && more && topics.length < TOPICS_MAX) void read(true);
  }, [all, more, topics, read]);
  const next = useCallback(() => void read(true), [read]);
  const refresh = useCallback(() => void read(false), [read]);
  return { topics, more, loaded, error, next, refresh };
}
