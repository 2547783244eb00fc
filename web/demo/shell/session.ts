// What every scenario has: a network of its own that can be cut, and the tape of what came over it.
// Made when the page is shown and given up when it is left.

import { useEffect, useState } from 'react';
import { Network, type NetworkState } from '../../src/lib/network';
import { useSignal } from '../../src/lib/signal';
import { Tape } from '../../src/lib/tape';

/** How long a cut lasts, in milliseconds. */
export const CUT_MS = 4_000;

/** A page's own network, with what `make` builds on it. */
export interface Session<T> {
  network: Network;
  tape: Tape;
  state: NetworkState;
  own: T;
}

/**
 * Builds the page's things once per visit; `make` returns them with how to give them up. Null until
 * the first effect has run.
 */
export function useSession<T>(
  make: (network: Network, tape: Tape) => [T, () => void],
): Session<T> | null {
  const [session, setSession] = useState<Omit<Session<T>, 'state'> | null>(null);
  useEffect(() => {
    const network = new Network();
    const tape = new Tape();
    const off = network.state.subscribe(() => tape.cut(network.state.get().cut));
    const [own, close] = make(network, tape);
    setSession({ network, tape, own });
    return () => {
      off();
      close();
      network.close();
    };
    // Made once: what it depends on does not change while the page is shown.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);
  const state = useSignal(session?.network.state ?? idle);
  return session && { ...session, state };
}

const idle = new Network().state;
