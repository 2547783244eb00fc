// Everybody who is connected: search, sort, and the way to close one.

import { useDeferredValue, useMemo, useState } from 'react';
import { useText } from '../../../src/i18n';
import { useFormat } from '../../../src/lib/format';
import { Segments, TextField } from '../../../src/ui/controls';
import { Card } from '../../../src/ui/surface';
import { useResource } from '../../data/resource';
import type { Connection } from '../../data/types';
import { ConnectionTable, followsOf } from '../../parts/connections';
import { CopyCurl, CurlLine } from '../../parts/curl';
import { PageBody, PageHead } from '../../parts/head';
import { Empty, Failure, Loading } from '../../parts/notes';
import { connectionsTexts } from './text';

/** As many as the server lists. */
const LISTED_MAX = 10_000;

/** How often the list is read, in milliseconds; a long one less often. */
const AGAIN_MS = 1_500;
const AGAIN_LONG_MS = 6_000;

/** From how many on it is a long list. */
const LONG = 1_000;

const STATES = ['all', 'live', 'catching-up', 'blocked'] as const;

interface Listed {
  connections: Connection[];
  total: number;
}

export default function Connections() {
  const say = useText(connectionsTexts);
  const format = useFormat();
  const [wanted, setWanted] = useState('');
  const [state, setState] = useState<(typeof STATES)[number]>('all');
  const [long, setLong] = useState(false);
  const search = useDeferredValue(wanted.trim().toLowerCase());
  const path = `/connections?limit=${LISTED_MAX}`;
  const { data, error, refresh } = useResource<Listed>(path, long ? AGAIN_LONG_MS : AGAIN_MS);
  if (data && data.connections.length > LONG !== long) setLong(!long);
  const shown = useMemo(
    () =>
      (data?.connections ?? []).filter(
        (row) =>
          (state === 'all' || row.state === state) &&
          (!search ||
            [row.id, row.peer, row.subject ?? '', ...followsOf(row)].some((text) =>
              text.toLowerCase().includes(search),
            )),
      ),
    [data, state, search],
  );
  return (
    <PageBody>
      <PageHead title={say.title} line={say.line} tools={<CopyCurl call={{ path }} />} />
      {error && (
        <div className="mb-4">
          <Failure error={error} onAgain={refresh} />
        </div>
      )}
      <Card label={say.title} className="overflow-hidden">
        <div className="flex flex-wrap items-center gap-3 border-b border-line px-4 py-3">
          <TextField
            type="search"
            label={say.search}
            placeholder={say.search}
            value={wanted}
            onChange={(event) => setWanted(event.target.value)}
            className="sm:max-w-80"
          />
          <Segments
            label={say.state}
            value={state}
            onChange={setState}
            options={STATES.map((value) => ({ value, label: say.states[value] }))}
          />
          {data && (
            <p role="status" className="nums ml-auto text-[0.8125rem] text-faint">
              {say.shown(format.number(shown.length), format.number(data.total))}
              {data.total > LISTED_MAX && ` ${say.first(format.number(LISTED_MAX))}`}
            </p>
          )}
        </div>
        {!data && !error && <Loading />}
        {shown.length > 0 && <ConnectionTable connections={shown} onChange={refresh} />}
        {data && data.connections.length === 0 && (
          <Empty icon="compare" title={say.empty} line={say.emptyLine}>
            <CurlLine call={{ path: '/topics/hello', headers: { accept: 'text/event-stream' } }} />
          </Empty>
        )}
        {data && data.connections.length > 0 && shown.length === 0 && (
          <Empty icon="search" title={say.none} line={say.noneLine} />
        )}
      </Card>
    </PageBody>
  );
}
