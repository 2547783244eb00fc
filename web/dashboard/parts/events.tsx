// Events as they come, newest first: one line each, and everything about one that is opened.

import type { TidingsEvent } from '@tidings/client';
import { memo, useState } from 'react';
import { texts, useText } from '../../src/i18n';
import { useFormat } from '../../src/lib/format';
import { Code } from '../../src/ui/code';
import { cx } from '../../src/ui/cx';
import { Icon } from '../../src/ui/icon';
import { Badge } from '../../src/ui/surface';

/** Characters of the data that one line shows. */
const LINE_CHARS = 240;

const words = texts(
  {
    empty: 'no data',
    binary: (n: string) => `${n} bytes that are no text`,
    data: 'Data',
    event: 'The whole event',
    ends: 'ends the topic',
  },
  {
    empty: '沒有資料',
    binary: (n: string) => `${n} 位元組，非文字`,
    data: '資料',
    event: '完整事件',
    ends: '結束主題',
  },
);

/** A list of events, oldest first as they are given, shown newest first. */
export function Events(props: {
  label: string;
  events: readonly TidingsEvent[];
  /** Whether each line says its topic. */
  topics?: boolean;
}) {
  return (
    <ol
      aria-label={props.label}
      tabIndex={0}
      className="max-h-[max(20rem,calc(100dvh-24rem))] overflow-y-auto"
    >
      {props.events.toReversed().map((event) => (
        <Line key={event.id} event={event} topic={!!props.topics} />
      ))}
    </ol>
  );
}

const Line = memo(function Line({ event, topic }: { event: TidingsEvent; topic: boolean }) {
  const say = useText(words);
  const format = useFormat();
  const [open, setOpen] = useState(false);
  const text = event.bytes
    ? say.binary(format.number(event.bytes.length))
    : event.data.slice(0, LINE_CHARS);
  return (
    <li data-event={event.id} className="border-b border-line/70 [contain-intrinsic-height:2.25rem] [content-visibility:auto]">
      <button
        type="button"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        className="grid min-h-9 w-full grid-cols-[auto_minmax(0,1fr)] items-center gap-x-3 px-4 py-1 text-left text-[0.8125rem] hover:bg-sunken focus-visible:-outline-offset-2 sm:grid-cols-[auto_6.25rem_minmax(0,1fr)_auto]"
      >
        <span className={cx('text-faint transition-transform', open && 'rotate-90')}>
          <Icon name="right" size={12} />
        </span>
        <span className="nums hidden text-faint sm:block">{format.clock(event.time, true)}</span>
        <span className="flex min-w-0 items-center gap-2">
          {topic && <span className="shrink-0 font-mono text-faint">{event.topic}</span>}
          {event.type && <Badge tone="tide">{event.type}</Badge>}
          {event.key && <Badge>{event.key}</Badge>}
          {event.end && <Badge tone="warn">{say.ends}</Badge>}
          <span className={cx('truncate font-mono', event.data || event.bytes ? '' : 'text-faint')}>
            {text || say.empty}
          </span>
        </span>
        <span className="nums hidden text-xs text-faint sm:block">{event.id}</span>
      </button>
      {open && (
        <div className="grid gap-px border-t border-line/70 bg-line/70 lg:grid-cols-2">
          <Listing label={say.data} text={pretty(event.data)} />
          <Listing label={say.event} text={whole(event)} />
        </div>
      )}
    </li>
  );
});

function Listing({ label, text }: { label: string; text: string }) {
  return (
    <div className="min-w-0 bg-sunken">
      <p className="px-4 pt-2 text-xs text-faint">{label}</p>
      <div className="max-h-72 overflow-auto">
        <Code text={text} label={label} />
      </div>
    </div>
  );
}

/** JSON with its structure; another text as it is. */
export function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function whole({ bytes, data, ...event }: TidingsEvent): string {
  return JSON.stringify(bytes ? { ...event, bytes: bytes.length } : { ...event, data }, null, 2);
}
