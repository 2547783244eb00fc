// Everybody who is connected: search, sort, and the way to close one.

import { useMemo, useState } from 'react';
import { useText } from '../../../src/i18n';
import { useFormat } from '../../../src/lib/format';
import { Segments } from '../../../src/ui/controls';
import { Card } from '../../../src/ui/surface';
import { useResource } from '../../data/resource';
import type { Connection } from '../../data/types';
import { ConnectionTable, followsOf } from '../../parts/connections';
import { CopyCurl, CurlLine } from '../../parts/curl';
import { PageBody, PageHead } from '../../parts/head';
import { Filters, matches, useSearch } from '../../parts/filters';
import { Empty, Loading, PageFailure } from '../../parts/notes';
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
  const [state, setState] = useState<(typeof STATES)[number]>('all');
  const [long, setLong] = useState(false);
  const search = useSearch();
  const path = `/connections?limit=${LISTED_MAX}`;
  const { data, error, refresh } = useResource<Listed>(path, long ? AGAIN_LONG_MS : AGAIN_MS);
  if (data && data.connections.length > LONG !== long) setLong(!long);
  const shown = useMemo(
    () =>
      (data?.connections ?? []).filter(
        (row) =>
          (state === 'all' || row.state === state) &&
          matches(search.wanted, [row.id, row.peer, row.subject ?? '', ...followsOf(row)]),
      ),
    [data, state, search.wanted],
  );
  const count = ({ total }: Listed) =>
    say.shown(format.number(shown.length), format.number(total)) +
    (total > LISTED_MAX ? ` ${say.first(format.number(LISTED_MAX))}` : '');
  return (
    <PageBody>
      <PageHead title={say.title} line={say.line} tools={<CopyCurl call={{ path }} />} />
      <PageFailure error={error} onAgain={refresh} />
      <Card label={say.title} className="overflow-hidden">
        <Filters label={say.search} search={search} count={data && count(data)}>
          <Segments
            label={say.state}
            value={state}
            onChange={setState}
            options={STATES.map((value) => ({ value, label: say.states[value] }))}
          />
        </Filters>
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
