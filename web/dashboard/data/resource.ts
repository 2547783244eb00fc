// Something that is read from the server and read again: its last value stays while the server is
// away, and it is asked for at once when the server is back or the page is looked at again.

import { asTidingsError } from './failure';
import type { TidingsError } from '@tidings/client';
import { useTidings } from '@tidings/react';
import { useCallback, useEffect, useRef, useState } from 'react';
import { useSession } from './session';

/** Wait after a failure, in milliseconds. */
const RETRY_MS = 3_000;

/** What is known of it. */
export interface Resource<T> {
  data: T | undefined;
  /** Why the last attempt failed; none after a success. */
  error: TidingsError | undefined;
  /** Milliseconds since 1970 of the last success; 0: none yet. */
  at: number;
  refresh(): void;
}

interface Known<T> {
  path: string | null;
  data: T | undefined;
  error: TidingsError | undefined;
  at: number;
}

/**
 * Reads `path` now, and again `every` so many milliseconds; null reads nothing. What needs a token of
 * its own is read with that `bearer`.
 */
export function useResource<T>(path: string | null, every = 0, bearer = ''): Resource<T> {
  const session = useSession();
  const client = useTidings();
  const none = { path, data: undefined, error: undefined, at: 0 };
  const [known, setKnown] = useState<Known<T>>(none);
  const again = useRef<() => void>(() => undefined);
  useEffect(() => {
    if (path === null) return;
    const left = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let running = false;
    const read = async () => {
      clearTimeout(timer);
      if (running || left.signal.aborted) return;
      running = true;
      let wait = every;
      try {
        const headers = bearer ? { authorization: `Bearer ${bearer}` } : {};
        const data = await session.call<T>({ path, headers, signal: left.signal });
        if (!left.signal.aborted) setKnown({ path, data, error: undefined, at: Date.now() });
      } catch (thrown) {
        const error = asTidingsError(thrown);
        wait = error.retryable ? RETRY_MS : every;
        if (!left.signal.aborted) {
          setKnown((before) => ({ ...(before.path === path ? before : none), path, error }));
        }
      }
      running = false;
      if (wait && !left.signal.aborted && !document.hidden) timer = setTimeout(read, wait);
    };
    again.current = () => void read();
    void read();
    const seen = () => {
      if (!document.hidden) void read();
    };
    document.addEventListener('visibilitychange', seen);
    const off = client.on('state', ({ state }) => {
      if (state === 'open') void read();
    });
    return () => {
      left.abort();
      clearTimeout(timer);
      off();
      document.removeEventListener('visibilitychange', seen);
    };
    // `none` is made of `path` alone.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [session, client, path, every, bearer]);
  const refresh = useCallback(() => again.current(), []);
  const { data, error, at } = known.path === path ? known : none;
  return { data, error, at, refresh };
}
