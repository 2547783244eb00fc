// The client of a page: `@tidings/client` over a network that can be cut.

import { createClient, type Client, type ConnectionState } from '@tidings/client';
import type { Network } from './network';

/**
 * A client of the server that this page came from. Browsers keep six connections to a server over
 * HTTP/1.1, for all tabs together: what nobody looks at can `pause` while its tab is hidden.
 */
export function connect(network: Network, visibility: 'keep' | 'pause' = 'keep'): Client {
  return createClient({
    url: location.origin,
    fetch: network.fetch,
    // The server is next door: a long wait would only hide what is to be seen.
    retry: { min: 200, max: 2_000 },
    visibility,
  });
}

/** What a visitor calls the state of a client. */
export function conditionOf(
  state: ConnectionState,
  cut: boolean,
): 'idle' | 'connecting' | 'live' | 'waiting' | 'cut' | 'failed' {
  if (cut) return 'cut';
  switch (state) {
    case 'open':
      return 'live';
    case 'connecting':
      return 'connecting';
    case 'waiting':
    case 'stale':
      return 'waiting';
    case 'failed':
      return 'failed';
    default:
      return 'idle';
  }
}

/**
 * Runs something in one tab at a time, until the function that is returned is called: scripted
 * company is for the visitor, not for each of his tabs.
 */
export function inOneTab(name: string, run: () => () => void): () => void {
  const left = new AbortController();
  const hold = () =>
    new Promise<void>((resolve) => {
      const stop = run();
      left.signal.addEventListener('abort', () => {
        stop();
        resolve();
      });
    });
  const options = { signal: left.signal };
  navigator.locks
    .request(`tidings-${name}`, options, () => (left.signal.aborted ? undefined : hold()))
    .catch(() => undefined);
  return () => left.abort();
}
