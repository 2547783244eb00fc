// The inspector: what went over the wire, as it was. It follows the end unless somebody scrolls.

import { useLayoutEffect, useRef, useState } from 'react';
import { texts, useNumber, useText } from '../../src/i18n';
import type { Network, WireEntry } from '../../src/lib/network';
import { useSignal } from '../../src/lib/signal';
import { Button } from '../../src/ui/button';
import { cx } from '../../src/ui/cx';

/** Entries that are drawn. */
const SHOWN_MAX = 60;

const words = texts(
  {
    name: 'Raw frames',
    empty: 'Nothing has gone over the wire yet.',
    note: 'Every byte of the streams of this page, unprocessed.',
    pause: 'Pause',
    resume: 'Go on',
    clear: 'Clear',
    ended: 'the answer has ended',
    cut: 'cut off here',
    bytes: (n: string) => `${n} bytes`,
  },
  {
    name: '原始訊框',
    empty: '還沒有任何資料經過。',
    note: '這一頁串流的每一個位元組，未經處理。',
    pause: '暫停',
    resume: '繼續',
    clear: '清除',
    ended: '回應結束',
    cut: '在這裡中斷',
    bytes: (n: string) => `${n} 位元組`,
  },
);

/** The inspector of a network. */
export function Wire({ network }: { network: Network }) {
  const say = useText(words);
  const live = useSignal(network.entries);
  const [held, setHeld] = useState<readonly WireEntry[] | null>(null);
  const entries = held ?? live;
  const box = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  useLayoutEffect(() => {
    const element = box.current;
    if (element && follows.current) element.scrollTop = element.scrollHeight;
  }, [entries]);
  const scrolled = () => {
    const element = box.current;
    if (!element) return;
    follows.current = element.scrollHeight - element.scrollTop - element.clientHeight < 40;
  };
  return (
    <div>
      <div className="flex flex-wrap items-center justify-between gap-2 px-4 py-2">
        <p className="text-[0.8125rem] text-faint">{say.note}</p>
        <div className="flex gap-1.5">
          <Button small onClick={() => setHeld(held ? null : live)}>
            {held ? say.resume : say.pause}
          </Button>
          <Button small look="quiet" onClick={() => network.clear()}>
            {say.clear}
          </Button>
        </div>
      </div>
      <div
        ref={box}
        onScroll={scrolled}
        tabIndex={0}
        role="region"
        aria-label={say.name}
        className="h-72 overflow-y-auto border-t border-line bg-sunken px-4 py-3 font-mono"
      >
        {entries.length === 0 && <p className="text-[0.8125rem] text-faint">{say.empty}</p>}
        {entries.slice(-SHOWN_MAX).map((entry) => (
          <Entry key={entry.key} entry={entry} />
        ))}
      </div>
    </div>
  );
}

function Entry({ entry }: { entry: WireEntry }) {
  const say = useText(words);
  const number = useNumber();
  const time = new Date(entry.at).toISOString().slice(11, 23);
  const marks = { request: '↑', response: '↓', data: '↓', end: '■' };
  const text =
    entry.kind === 'end'
      ? entry.text === 'cut'
        ? say.cut
        : entry.text || say.ended
      : entry.text.replace(/\n+$/, '');
  return (
    <div className="flex gap-3 py-0.5 text-[0.78125rem] leading-relaxed">
      <span className="hidden shrink-0 text-faint select-none sm:inline">{time}</span>
      <span
        aria-hidden
        className={cx(
          'shrink-0 select-none',
          entry.kind === 'request' && 'text-replay',
          entry.kind === 'end' && (entry.broken ? 'text-cut' : 'text-faint'),
          (entry.kind === 'response' || entry.kind === 'data') && 'text-tide',
        )}
      >
        {marks[entry.kind]}
        <span className="ml-1 text-faint">{entry.request}</span>
      </span>
      <pre
        className={cx(
          'min-w-0 flex-1 text-[1em] break-all whitespace-pre-wrap',
          entry.kind === 'request' && 'text-ink',
          entry.kind === 'end' && (entry.broken ? 'font-medium text-cut' : 'text-faint'),
          entry.kind === 'response' && 'text-faint',
          entry.kind === 'data' && 'text-soft',
        )}
      >
        {text}
      </pre>
      {entry.kind === 'data' && (
        <span className="hidden shrink-0 text-faint md:inline">
          {say.bytes(number(entry.bytes))}
        </span>
      )}
    </div>
  );
}
