// The client of a page: `@tidings/client` over a network that can be cut.

import { createClient, type Client, type ConnectionState } from '@tidings/client';
import type { Network } from './network';

/** A client of the server that this page came from. */
export function connect(network: Network): Client {
  return createClient({
    url: location.origin,
    fetch: network.fetch,
    // The server is next door: a long wait would only hide what is to be seen.
    retry: { min: 200, max: 2_000 },
    // A page that is left for another of the demo is gone for good.
    visibility: 'keep',
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
