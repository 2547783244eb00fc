// What is looked at second: what the connections are made of, what was counted since the start,
// the log, and the answers of LLMs.

import type { ReactNode } from 'react';
import { useText } from '../../../src/i18n';
import { useFormat } from '../../../src/lib/format';
import { cx } from '../../../src/ui/cx';
import { Badge, Card } from '../../../src/ui/surface';
import type { Overview } from '../../data/types';
import { CurlLine } from '../../parts/curl';
import { hrefOf } from '../../places';
import { overviewTexts } from './text';

/** The cards below the charts. */
export function Details({ now }: { now: Overview | undefined }) {
  const say = useText(overviewTexts);
  const format = useFormat();
  if (!now) return null;
  const { connections, log, answers } = now;
  return (
    <div className="mt-4 grid gap-4 sm:grid-cols-2 xl:grid-cols-4">
      <Panel title={say.transports} href={hrefOf('connections')}>
        <Bar
          parts={[
            { label: say.sse, value: connections.sse, colour: 'bg-tide' },
            { label: say.websocket, value: connections.websocket, colour: 'bg-replay' },
            { label: say.longPoll, value: connections.long_poll, colour: 'bg-warn' },
          ]}
        />
        <div className="mt-4" />
        <Bar
          parts={[
            { label: say.http1, value: connections.http1, colour: 'bg-tide' },
            { label: say.http2, value: connections.http2, colour: 'bg-replay' },
          ]}
        />
        <Rows rows={[[say.tls, format.number(connections.tls)]]} />
      </Panel>
      <Panel title={say.since}>
        <Rows
          rows={[
            [say.published, format.number(now.events.in)],
            [say.delivered, format.number(now.events.out)],
            [say.resumes, format.number(now.resumes.total)],
            [say.gaps, format.number(now.gaps.total), now.gaps.total > 0 ? 'warn' : undefined],
            [say.refused, format.number(now.refused.total)],
          ]}
        />
      </Panel>
      <Panel
        title={say.log}
        aside={<Badge tone={log.healthy ? 'tide' : 'cut'}>{log.healthy ? say.healthy : say.broken}</Badge>}
      >
        <Rows
          rows={[
            [say.topics, format.number(now.topics)],
            [say.logEvents, format.number(log.events)],
            [say.logBytes, format.bytes(log.bytes)],
            [say.segments, format.number(log.segments)],
          ]}
        />
      </Panel>
      <Panel title={say.answers} href={hrefOf('generations')}>
        <Rows
          rows={[
            [say.live, format.number(answers.live)],
            [say.finished, format.number(answers.finished)],
            [say.failed, format.number(answers.failed), answers.failed ? 'warn' : undefined],
          ]}
        />
      </Panel>
      {connections.total <= 1 && (
        <div className="sm:col-span-2 xl:col-span-4">
          <p className="mb-2 text-sm text-faint">{say.nobody}</p>
          <CurlLine
            call={{ path: '/topics/hello', headers: { accept: 'text/event-stream' } }}
          />
        </div>
      )}
    </div>
  );
}

function Panel(props: { title: string; href?: string; aside?: ReactNode; children: ReactNode }) {
  return (
    <Card label={props.title} className="p-4">
      <div className="mb-3 flex min-h-6 items-center justify-between gap-2">
        <h2 className="text-sm font-semibold">
          {props.href ? (
            <a href={props.href} className="underline-offset-4 hover:underline">
              {props.title}
            </a>
          ) : (
            props.title
          )}
        </h2>
        {props.aside}
      </div>
      {props.children}
    </Card>
  );
}

function Rows({ rows }: { rows: readonly (readonly [string, string, ('warn' | undefined)?])[] }) {
  return (
    <dl className="grid gap-1.5 text-sm">
      {rows.map(([name, value, tone]) => (
        <div key={name} className="flex items-baseline justify-between gap-3">
          <dt className="text-soft first-letter:uppercase">{name}</dt>
          <dd className={cx('nums font-medium whitespace-nowrap', tone === 'warn' && 'text-warn')}>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Bar({ parts }: { parts: readonly { label: string; value: number; colour: string }[] }) {
  const format = useFormat();
  const total = parts.reduce((sum, part) => sum + part.value, 0);
  return (
    <div className="mb-1.5">
      <div aria-hidden className="flex h-2 gap-px overflow-hidden rounded-full bg-raised">
        {parts.map((part) =>
          part.value > 0 ? (
            <span
              key={part.label}
              className={cx('transition-[width] duration-500', part.colour)}
              style={{ width: `${(part.value / total) * 100}%` }}
            />
          ) : null,
        )}
      </div>
      <dl className="mt-2 grid gap-1 text-sm">
        {parts.map((part) => (
          <div key={part.label} className="flex items-baseline gap-2">
            <dt className="flex items-center gap-2 text-soft">
              <i aria-hidden className={cx('size-2 rounded-full', part.colour)} />
              {part.label}
            </dt>
            <dd className="nums ml-auto font-medium">{format.number(part.value)}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
