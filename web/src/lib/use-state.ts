// The state of a client, for components.

import type { Client, ConnectionState } from '@tidings/client';
import { useSyncExternalStore } from 'react';

/** The state of the moment. */
export const useClientState = (client: Client): ConnectionState =>
  useSyncExternalStore(
    (changed) => client.on('state', changed),
    () => client.state,
    () => 'idle',
  );
