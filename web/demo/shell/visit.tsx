// What every scenario has: a network of its own that can be cut, the tape of what came over it, and
// the steps that were done. Made when the page is shown and given up when it is left.

import type { Client } from '@tidings/client';
import { TidingsProvider } from '@tidings/react';
import { useEffect, useState, type ComponentType } from 'react';
import { Network, type NetworkState } from '../../src/lib/network';
import { useSignal } from '../../src/lib/signal';
import { Tape } from '../../src/lib/tape';
import type { PageName } from '../routes';
import { useDone } from './done';

/** How long a cut lasts, in milliseconds. */
export const CUT_MS = 4_000;

/** What a page builds on its network. With a `client`, the hooks of @tidings/react take that one. */
interface Own {
  readonly client?: Client;
  close(): void;
}

/** A visit of a page: its network, and what it has built on it. */
export interface Session<T> {
  name: PageName;
  network: Network;
  tape: Tape;
  state: NetworkState;
  own: T;
  /** The steps that were done, and how to say that one was. */
  done: ReadonlySet<number>;
  add: (step: number) => void;
}

/** A scenario: `make` builds its things once per visit, `view` shows them, at its end they close. */
export function Visit<T extends Own>(props: {
  name: PageName;
  make: (network: Network, tape: Tape) => T;
  view: ComponentType<{ session: Session<T> }>;
}) {
  const { name, make, view: View } = props;
  const [done, add] = useDone(name);
  const [made, setMade] = useState<Pick<Session<T>, 'network' | 'tape' | 'own'> | null>(null);
  useEffect(() => {
    const network = new Network();
    const tape = new Tape();
    const off = network.state.subscribe(() => tape.cut(network.state.get().cut));
    const own = make(network, tape);
    setMade({ network, tape, own });
    return () => {
      off();
      own.close();
      network.close();
    };
    // Made once: what it depends on does not change while the page is shown.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);
  const state = useSignal(made?.network.state ?? idle);
  if (!made) return null;
  const page = <View session={{ name, ...made, state, done, add }} />;
  const { client } = made.own;
  return client ? <TidingsProvider client={client}>{page}</TidingsProvider> : page;
}

const idle = new Network().state;
