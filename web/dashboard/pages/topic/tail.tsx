// The events of a topic from wherever one wants to begin, then live.

import { useSubscription, type UseSubscriptionOptions } from '@tidings/react';
import { useState, type FormEvent } from 'react';
import { useText } from '../../../src/i18n';
import { useFormat } from '../../../src/lib/format';
import { Button } from '../../../src/ui/button';
import { Segments, TextField } from '../../../src/ui/controls';
import { Callout } from '../../../src/ui/surface';
import { CopyCurl, CurlLine } from '../../parts/curl';
import { Events } from '../../parts/events';
import { HoldButtons, Missed, useHold } from '../../parts/hold';
import { Empty, Failure } from '../../parts/notes';
import { topicPath } from '.';
import { topicTexts } from './text';

/** Events that are shown, the newest. */
const SHOWN_MAX = 500;

type Kind = 'live' | 'last' | 'since' | 'after' | 'all';

/** Where to begin. */
interface Begin {
  kind: Kind;
  value: string;
}

const KINDS: readonly Kind[] = ['live', 'last', 'since', 'after', 'all'];
const FIRST: Record<Kind, string> = { live: '', last: '50', since: '5m', after: '', all: '' };

/** The tab. */
export function Tail({ name }: { name: string }) {
  const say = useText(topicTexts);
  const [kind, setKind] = useState<Kind>('last');
  const [value, setValue] = useState(FIRST.last);
  const [begin, setBegin] = useState<Begin & { turn: number }>({
    kind: 'last',
    value: FIRST.last,
    turn: 0,
  });
  const start = (kind: Kind, value: string) => {
    if (kind === 'after' && !value.trim()) return;
    setBegin((before) => ({ kind, value: value.trim(), turn: before.turn + 1 }));
  };
  const choose = (next: Kind) => {
    setKind(next);
    setValue(FIRST[next]);
    if (next !== 'after') start(next, FIRST[next]);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    start(kind, value);
  };
  const asks = kind === 'last' || kind === 'since' || kind === 'after';
  const labels = { last: say.count, since: say.ago, after: say.id, live: '', all: '' };
  return (
    <div>
      <form
        onSubmit={submit}
        className="flex flex-wrap items-center gap-2 border-b border-line px-4 py-2.5"
      >
        <Segments
          label={say.begin.label}
          value={kind}
          onChange={choose}
          options={KINDS.map((value) => ({ value, label: say.begin[value] }))}
        />
        {asks && (
          <>
            <TextField
              label={labels[kind]}
              placeholder={labels[kind]}
              title={labels[kind]}
              value={value}
              inputMode={kind === 'last' ? 'numeric' : 'text'}
              onChange={(event) => setValue(event.target.value)}
              className={
                kind === 'after'
                  ? 'max-w-52 font-mono text-[0.8125rem] [min-height:2.125rem]!'
                  : 'max-w-20 text-sm [min-height:2.125rem]!'
              }
            />
            <Button small type="submit" icon="play">
              {say.go}
            </Button>
          </>
        )}
        <span className="ml-auto">
          <CopyCurl call={{ path: pathOf(name, begin), headers: { accept: 'text/event-stream' } }} />
        </span>
      </form>
      <Followed key={begin.turn} name={name} begin={begin} />
    </div>
  );
}

/** What the server is asked with. */
function pathOf(name: string, { kind, value }: Begin): string {
  const query = {
    live: '',
    last: `?last=${encodeURIComponent(value)}`,
    since: `?since=${encodeURIComponent(value)}`,
    after: `?lastEventId=${encodeURIComponent(value)}`,
    all: '?from=earliest',
  }[kind];
  return topicPath(name) + query;
}

function optionsOf({ kind, value }: Begin): UseSubscriptionOptions<string> {
  switch (kind) {
    case 'last':
      return { history: Math.min(10_000, Math.max(0, Math.trunc(Number(value)) || 0)) };
    case 'since':
      return { since: value };
    case 'after':
      return { lastEventId: value };
    case 'all':
      return { history: 'all' };
    case 'live':
      return { history: 'none' };
  }
}

function Followed({ name, begin }: { name: string; begin: Begin }) {
  const say = useText(topicTexts);
  const format = useFormat();
  const feed = useSubscription<string>(name, { ...optionsOf(begin), limit: SHOWN_MAX });
  const hold = useHold(feed.events);
  const { events } = hold;
  return (
    <div>
      <div className="flex min-h-11 flex-wrap items-center gap-x-4 gap-y-1 border-b border-line px-4 py-1.5">
        <p role="status" className="nums text-[0.8125rem] text-faint">
          {say.shown(format.number(events.length))}
          <Missed hold={hold} />
        </p>
        <span className="ml-auto flex gap-1.5">
          <HoldButtons hold={hold} />
        </span>
      </div>
      {(feed.error ?? feed.gap ?? feed.end) && (
        <div className="grid gap-2 border-b border-line px-4 py-3">
          {feed.error && <Failure error={feed.error} />}
          {feed.gap && <Callout tone="warn">{say.gap(feed.gap.reason)}</Callout>}
          {feed.end && <Callout>{say.ends}</Callout>}
        </div>
      )}
      {events.length > 0 ? (
        <Events label={say.list} events={events} />
      ) : (
        !feed.error && (
          <Empty icon="wire" title={say.listening} line={say.listeningLine}>
            <CurlLine call={{ method: 'POST', path: topicPath(name), body: 'Hello' }} />
          </Empty>
        )
      )}
    </div>
  );
}
