// A list that goes on by itself can be held still to be read, and emptied: what comes while it is
// held is counted, and shown when it goes on.

import type { TidingsEvent } from '@tidings/client';
import { useMemo, useState } from 'react';
import { texts, useText } from '../../src/i18n';
import { useFormat } from '../../src/lib/format';
import { Button } from '../../src/ui/button';

const words = texts(
  {
    pause: 'Pause',
    resume: 'Go on',
    clear: 'Clear',
    missed: (n: string) => `${n} more have come`,
  },
  {
    pause: '暫停',
    resume: '繼續',
    clear: '清除',
    missed: (n: string) => `又來了 ${n} 筆`,
  },
);

/** A list that can be held. */
export interface Hold<T> {
  /** What is to be shown. */
  events: readonly TidingsEvent<T>[];
  isHeld: boolean;
  /** How many have come since it is held. */
  missed: number;
  /** Holds it, or lets it go on. */
  toggle: () => void;
  /** Takes away what is shown. */
  clear: () => void;
}

/** Holds a list of events of which the oldest may go at any time. */
export function useHold<T>(live: readonly TidingsEvent<T>[]): Hold<T> {
  const [held, setHeld] = useState<readonly TidingsEvent<T>[] | null>(null);
  const [cleared, setCleared] = useState<string>();
  const all = held ?? live;
  const events = useMemo(() => after(all, cleared), [all, cleared]);
  return {
    events,
    isHeld: held !== null,
    missed: held ? after(live, held.at(-1)?.id).length : 0,
    toggle: () => setHeld(held ? null : live),
    clear: () => setCleared(all.at(-1)?.id),
  };
}

/** What came after an event; all, if that one has gone. */
function after<T>(
  events: readonly TidingsEvent<T>[],
  id: string | undefined,
): readonly TidingsEvent<T>[] {
  return events.slice(events.findIndex((event) => event.id === id) + 1);
}

/** The buttons. */
export function HoldButtons({ hold }: { hold: Hold<unknown> }) {
  const say = useText(words);
  return (
    <>
      <Button small icon={hold.isHeld ? 'play' : 'pause'} onClick={hold.toggle}>
        {hold.isHeld ? say.resume : say.pause}
      </Button>
      <Button small look="quiet" onClick={hold.clear}>
        {say.clear}
      </Button>
    </>
  );
}

/** How many have come meanwhile, if any; beside how many are shown. */
export function Missed({ hold }: { hold: Hold<unknown> }) {
  const say = useText(words);
  const format = useFormat();
  if (hold.missed === 0) return null;
  return (
    <span className="ml-2 text-warn" data-held={hold.missed}>
      {say.missed(format.number(hold.missed))}
    </span>
  );
}
