// Which steps of a scenario were done, remembered over a reload of the tab.

import { useCallback, useState } from 'react';

/** The steps that were done, and how to say that one was. */
export function useDone(page: string): [ReadonlySet<number>, (step: number) => void] {
  const name = `tidings-steps-${page}`;
  const [done, setDone] = useState<ReadonlySet<number>>(() => {
    try {
      return new Set(JSON.parse(sessionStorage.getItem(name) ?? '[]') as number[]);
    } catch {
      return new Set();
    }
  });
  const add = useCallback(
    (step: number) =>
      setDone((before) => {
        if (before.has(step)) return before;
        const after = new Set(before).add(step);
        try {
          sessionStorage.setItem(name, JSON.stringify([...after]));
        } catch {
          // Remembered until the page is left.
        }
        return after;
      }),
    [name],
  );
  return [done, add];
}
