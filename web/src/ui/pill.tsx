// How the connection is, in one word. A blip is not worth a word: what heals within a moment is not
// shown, but a cut that the visitor made himself is shown at once.

import { useEffect, useState } from 'react';
import { texts, useText } from '../i18n';
import { cx } from './cx';

/** What a connection can be for a visitor. */
export type Condition = 'idle' | 'connecting' | 'live' | 'waiting' | 'cut' | 'done' | 'failed';

const words = texts(
  {
    idle: 'Idle',
    connecting: 'Connecting',
    live: 'Live',
    waiting: 'Reconnecting',
    cut: 'Network cut',
    done: 'Complete',
    failed: 'Failed',
    seconds: (s: string) => `${s} s`,
  },
  {
    idle: '待命',
    connecting: '連線中',
    live: '即時',
    waiting: '重新連線中',
    cut: '網路已切斷',
    done: '已完成',
    failed: '失敗',
    seconds: (s: string) => `${s} 秒`,
  },
);

const looks: Record<Condition, string> = {
  idle: 'bg-raised text-soft',
  connecting: 'bg-raised text-soft',
  live: 'bg-tide-wash text-tide',
  waiting: 'bg-warn-wash text-warn',
  cut: 'bg-cut-wash text-cut',
  done: 'bg-raised text-soft',
  failed: 'bg-cut-wash text-cut',
};

/** The pill; `until` counts down to a time in milliseconds since 1970. */
export function Pill({ condition, until = 0 }: { condition: Condition; until?: number }) {
  const say = useText(words);
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (until <= Date.now()) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 100);
    return () => clearInterval(timer);
  }, [until]);
  const left = Math.max(0, until - now) / 1000;
  const busy = condition === 'connecting' || condition === 'waiting';
  return (
    <span
      role="status"
      data-condition={condition}
      className={cx(
        'nums inline-flex h-7 shrink-0 items-center gap-2 rounded-full px-3 text-[0.8125rem]',
        'font-medium whitespace-nowrap transition-colors duration-200',
        looks[condition],
      )}
    >
      <span
        aria-hidden
        className={cx(
          'size-2 rounded-full bg-current',
          (busy || condition === 'live') && 'animate-breathe',
        )}
      />
      {say[condition]}
      {left > 0 && (
        <span aria-hidden className="opacity-80">
          {say.seconds(left.toFixed(1))}
        </span>
      )}
    </span>
  );
}
