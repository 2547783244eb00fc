// The records of a trace, newest first, as they come.

import { json, type TidingsEvent } from '@tidings/client';
import { useSubscription } from '@tidings/react';
import { memo, useEffect, useMemo, useState } from 'react';
import { useText } from '../../../src/i18n';
import { useFormat } from '../../../src/lib/format';
import { Button } from '../../../src/ui/button';
import { cx } from '../../../src/ui/cx';
import { Badge, Callout } from '../../../src/ui/surface';
import type { TraceRecord } from '../../data/types';
import { CurlLine } from '../../parts/curl';
import { HoldButtons, Missed, useHold } from '../../parts/hold';
import { Empty } from '../../parts/notes';
import { topicPath } from '../topic';
import type { Running } from '.';
import { traceTexts } from './text';

/** Records that are kept, the newest. */
const KEPT_MAX = 2_000;

/** Records that are drawn, the newest. */
const SHOWN_MAX = 300;

type Kind = keyof typeof tones;

const tones = {
  published: 'plain',
  subscribed: 'tide',
  resumed: 'replay',
  unsubscribed: 'plain',
  gap: 'cut',
  refused: 'cut',
  blocked: 'warn',
  scheduled: 'replay',
  answer: 'tide',
  'left-out': 'warn',
} as const;

/** The trace while it runs, and what it has shown after it is over. */
export function Records({ trace, onEnd }: { trace: Running; onEnd: () => void }) {
  const say = useText(traceTexts);
  const format = useFormat();
  const feed = useSubscription<TraceRecord>(trace.topic, {
    history: 'all',
    limit: KEPT_MAX,
    parse: json,
  });
  const hold = useHold(feed.events);
  const kept = hold.events;
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const left = useLeft(trace.until);
  const counts = useMemo(() => countTypes(kept), [kept]);
  const shown = useMemo(
    () => kept.filter(({ type }) => !hidden.has(type ?? '')).slice(-SHOWN_MAX).toReversed(),
    [kept, hidden],
  );
  const toggle = (type: string) =>
    setHidden((before) => {
      const after = new Set(before);
      if (!after.delete(type)) after.add(type);
      return after;
    });
  const over = left <= 0;
  return (
    <div>
      <div className="flex flex-wrap items-center gap-x-4 gap-y-2 border-b border-line px-4 py-3">
        <p className="min-w-0">
          <span className="font-medium">{say.running(trace.what)}</span>
          <span className="nums ml-3 text-[0.8125rem] text-faint">
            {over ? '' : say.left(format.span(left))}
          </span>
        </p>
        <span className="ml-auto flex gap-1.5">
          <HoldButtons hold={hold} />
          <Button small icon="stop" onClick={onEnd}>
            {over ? say.close : say.end}
          </Button>
        </span>
      </div>
      {over && (
        <div className="border-b border-line px-4 py-3">
          <Callout>{say.over}</Callout>
        </div>
      )}
      <div className="flex min-h-11 flex-wrap items-center gap-2 border-b border-line px-4 py-2">
        <p role="status" className="nums mr-2 text-[0.8125rem] text-faint">
          {say.shown(format.number(kept.length))}
          <Missed hold={hold} />
        </p>
        <div role="group" aria-label={say.only} className="flex flex-wrap gap-1.5">
          {counts.map(([type, count]) => (
            <button
              key={type}
              type="button"
              aria-pressed={!hidden.has(type)}
              onClick={() => toggle(type)}
              className={cx(
                'nums inline-flex min-h-7 items-center gap-1.5 rounded-full border px-2.5 text-xs',
                hidden.has(type)
                  ? 'border-line text-faint line-through'
                  : 'border-edge/70 text-ink hover:border-edge',
              )}
            >
              {say.types[type as Kind] ?? type}
              <span className="text-faint">{format.short(count)}</span>
            </button>
          ))}
        </div>
      </div>
      {shown.length > 0 ? (
        <ol
          aria-label={say.records}
          tabIndex={0}
          className="max-h-[max(20rem,calc(100dvh-20rem))] overflow-y-auto"
        >
          {shown.map((event) => (
            <Line key={event.id} event={event} />
          ))}
        </ol>
      ) : (
        <Empty icon="wire" title={say.waiting} line={say.waitingLine}>
          <CurlLine
            call={{ method: 'POST', path: topicPath(exampleOf(trace)), body: 'Hello' }}
          />
        </Empty>
      )}
    </div>
  );
}

/** A topic that the trace watches. */
const exampleOf = ({ by, what }: Running): string =>
  by === 'topic' ? what.replaceAll('**', 'hello').replaceAll('*', 'hello') : 'hello';

const Line = memo(function Line({ event }: { event: TidingsEvent<TraceRecord> }) {
  const say = useText(traceTexts);
  const format = useFormat();
  const { data } = event;
  const type = (event.type ?? '') as Kind;
  const facts = [
    data.type && `type ${data.type}`,
    data.id,
    data.bytes !== undefined && format.bytes(data.bytes),
    data.status !== undefined && String(data.status),
    data.subject,
    data.connection,
    data.peer,
  ].filter(Boolean);
  return (
    <li
      data-record={type}
      className="grid grid-cols-[minmax(0,1fr)_auto] items-baseline gap-x-3 gap-y-0.5 border-b border-line/70 px-4 py-1.5 text-[0.8125rem] sm:grid-cols-[6.25rem_6.5rem_minmax(0,1fr)]"
    >
      <span className="nums order-2 text-xs text-faint sm:order-none sm:text-[0.8125rem]">
        {format.clock(data.at ?? event.time, true)}
      </span>
      <span className="order-1 sm:order-none">
        <Badge tone={tones[type] ?? 'plain'}>{say.types[type] ?? type}</Badge>
      </span>
      <span className="order-3 col-span-2 min-w-0 sm:order-none sm:col-span-1">
        {type === 'left-out' ? (
          say.leftOut(format.number(data.records))
        ) : (
          <>
            <span className="font-mono">{data.topic}</span>
            {data.detail && <span className="ml-2">{data.detail}</span>}
            <span className="nums ml-2 text-xs text-faint">{facts.join(' · ')}</span>
          </>
        )}
      </span>
    </li>
  );
});

function countTypes(events: readonly TidingsEvent<TraceRecord>[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const { type = '' } of events) counts.set(type, (counts.get(type) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => a.localeCompare(b));
}

/** Milliseconds until then; looked at each second. */
function useLeft(until: string): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return Date.parse(until) - now;
}
