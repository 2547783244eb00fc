// A table of connections, for all of them and for those of one topic.

import type { TidingsError } from '@tidings/client';
import { useCallback, useMemo, useState } from 'react';
import { useText } from '../../src/i18n';
import { NONE, useFormat } from '../../src/lib/format';
import { Button } from '../../src/ui/button';
import { Confirm } from '../../src/ui/confirm';
import { Badge } from '../../src/ui/surface';
import { ordered, Table, type Column, type Order } from '../../src/ui/table';
import { asTidingsError } from '../data/failure';
import { useSession, type Call } from '../data/session';
import type { Connection } from '../data/types';
import { connectionsTexts } from '../pages/connections/text';
import { hrefOf } from '../places';
import { CopyCurl } from './curl';
import { Failure } from './notes';

/** Topics that one row names. */
const NAMED = 1;

const values: Record<string, (row: Connection) => string | number> = {
  name: (row) => Number(row.id.replace(/\D/g, '')) || row.id,
  peer: (row) => row.peer,
  follows: (row) => followsOf(row)[0] ?? '',
  subject: (row) => row.subject ?? '',
  transport: (row) => `${row.transport} ${row.protocol}`,
  lag: (row) => row.lag,
  events: (row) => row.events,
  bytes: (row) => row.bytes ?? 0,
  since: (row) => -Date.parse(row.since),
};

/** All that it follows. */
export const followsOf = (row: Connection): string[] => [...row.topics, ...row.patterns];

const closing = (id: string): Call => ({
  method: 'DELETE',
  path: `/connections/${encodeURIComponent(id)}`,
});

/** The table; `onChange` is called after one was closed. */
export function ConnectionTable(props: {
  connections: readonly Connection[];
  onChange: () => void;
}) {
  const say = useText(connectionsTexts);
  const session = useSession();
  const [order, setOrder] = useState<Order>({ key: 'name', down: false });
  const [asked, setAsked] = useState<Connection | null>(null);
  const [error, setError] = useState<TidingsError>();
  const rows = useMemo(
    () => ordered(props.connections, order, values),
    [props.connections, order],
  );
  const columns = useColumns(setAsked);
  const close = async (id: string) => {
    setAsked(null);
    try {
      await session.call(closing(id));
      setError(undefined);
    } catch (thrown) {
      setError(asTidingsError(thrown));
    }
    props.onChange();
  };
  return (
    <>
      {error && (
        <div className="border-b border-line p-4">
          <Failure error={error} />
        </div>
      )}
      <Table
        label={say.title}
        columns={columns}
        rows={rows}
        keyOf={({ id }) => id}
        order={order}
        onOrder={setOrder}
        marked={(row) => row.state !== 'live'}
        rowHeight={52}
        grid="grid-cols-[minmax(0,1fr)_3.5rem_2.5rem] md:grid-cols-[minmax(0,1.2fr)_minmax(0,1fr)_7rem_4rem_2.5rem] xl:grid-cols-[minmax(11.5rem,1.1fr)_minmax(0,1fr)_6rem_6rem_3.5rem_4.75rem_4rem_2rem] 2xl:grid-cols-[minmax(12rem,1.1fr)_minmax(0,1.2fr)_minmax(6rem,0.7fr)_7rem_4.5rem_5rem_5rem_5rem_2rem]"
      />
      {asked && (
        <Confirm
          title={say.closeTitle}
          action={say.close}
          onCancel={() => setAsked(null)}
          onConfirm={() => void close(asked.id)}
        >
          <p className="mb-1 font-mono text-ink">
            {asked.id} · {asked.peer}
          </p>
          <p className="mb-3">{say.closeText}</p>
          <CopyCurl call={closing(asked.id)} />
        </Confirm>
      )}
    </>
  );
}

function useColumns(onClose: (row: Connection) => void): readonly Column<Connection>[] {
  const say = useText(connectionsTexts);
  const format = useFormat();
  const transport = useTransport();
  return useMemo(
    () => [
      {
        key: 'peer',
        label: say.peer,
        sorts: true,
        cell: (row) => <Peer row={row} />,
      },
      {
        key: 'follows',
        label: say.follows,
        sorts: true,
        room: 'hidden md:block',
        cell: (row) => <Follows row={row} />,
      },
      {
        key: 'subject',
        label: say.subject,
        sorts: true,
        room: 'hidden xl:block truncate',
        cell: (row) =>
          row.subject ? (
            <span title={row.subject}>{row.subject}</span>
          ) : (
            <span className="text-faint">{say.anonymous}</span>
          ),
      },
      {
        key: 'transport',
        label: say.transport,
        sorts: true,
        room: 'hidden md:block',
        cell: (row) => (
          <span className="block leading-tight">
            {transport(row)}
            <span className="block text-xs text-faint">
              {[row.protocol?.toUpperCase().replace('H2', 'HTTP/2'), row.tls && say.secure]
                .filter(Boolean)
                .join(', ')}
            </span>
          </span>
        ),
      },
      {
        key: 'lag',
        label: say.lag,
        sorts: true,
        end: true,
        cell: (row) => (
          <span className={row.lag > 0 ? 'font-semibold text-warn' : 'text-faint'}>
            {format.short(row.lag)}
          </span>
        ),
      },
      {
        key: 'events',
        label: say.events,
        sorts: true,
        end: true,
        room: 'hidden 2xl:block',
        cell: (row) => format.short(row.events),
      },
      {
        key: 'bytes',
        label: say.bytes,
        sorts: true,
        end: true,
        room: 'hidden xl:block',
        cell: (row) => (row.bytes === undefined ? NONE : format.bytes(row.bytes)),
      },
      {
        key: 'since',
        label: say.since,
        sorts: true,
        end: true,
        room: 'hidden xl:block text-soft',
        cell: (row) => format.span(Date.now() - Date.parse(row.since)).split(' ', 2).join(' '),
      },
      {
        key: 'actions',
        label: say.actions,
        quiet: true,
        end: true,
        cell: (row) => (
          <span className="-mr-2 flex justify-end">
            <Button
              small
              look="quiet"
              icon="close"
              aria-label={`${say.close}: ${row.id}`}
              title={say.close}
              onClick={() => onClose(row)}
            />
          </span>
        ),
      },
    ],
    [say, format, transport, onClose],
  );
}

function Peer({ row }: { row: Connection }) {
  const say = useText(connectionsTexts);
  const transport = useTransport();
  const state = say.states[row.state as 'live'] ?? row.state;
  return (
    <span className="block min-w-0 leading-tight" data-connection={row.id}>
      <span className="nums block truncate font-medium">{row.peer}</span>
      <span className="block truncate text-xs text-faint">
        {row.id}
        {row.state !== 'live' && (
          <b className={row.state === 'blocked' ? 'font-semibold text-cut' : 'font-semibold text-warn'}>
            {' · '}
            {state}
          </b>
        )}
        {row.subject && (
          <span className="xl:hidden">
            {' · '}
            {row.subject}
          </span>
        )}
        <span className="md:hidden">
          {' · '}
          {transport(row)}
          {' · '}
          {followsOf(row).join(', ')}
        </span>
      </span>
    </span>
  );
}

function Follows({ row }: { row: Connection }) {
  const say = useText(connectionsTexts);
  const all = followsOf(row);
  return (
    <span className="flex min-w-0 items-center gap-2 font-mono text-[0.8125rem]" title={all.join('\n')}>
      {all.slice(0, NAMED).map((name) =>
        name.includes('*') ? (
          <span key={name} className="truncate">
            {name}
          </span>
        ) : (
          <a
            key={name}
            href={hrefOf('topics', name)}
            className="truncate underline-offset-4 hover:text-tide hover:underline"
          >
            {name}
          </a>
        ),
      )}
      {all.length > NAMED && <Badge>{say.more(String(all.length - NAMED))}</Badge>}
    </span>
  );
}

function useTransport(): (row: Connection) => string {
  const say = useText(connectionsTexts);
  return useCallback(
    ({ transport }) =>
      transport === undefined ? NONE : (say.transports[transport as 'sse'] ?? transport),
    [say],
  );
}
