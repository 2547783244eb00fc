// Who follows this topic, and how far behind each of them is.

import { useText } from '../../../src/i18n';
import { useResource } from '../../data/resource';
import type { Connection } from '../../data/types';
import { ConnectionTable } from '../../parts/connections';
import { CopyCurl, CurlLine } from '../../parts/curl';
import { Empty, Failure, Loading } from '../../parts/notes';
import { connectionsTexts } from '../connections/text';
import { topicPath } from '.';

const AGAIN_MS = 1_500;

/** The tab. */
export function Readers({ name }: { name: string }) {
  const say = useText(connectionsTexts);
  const path = `/connections?topic=${encodeURIComponent(name)}&limit=10000`;
  const { data, error, refresh } = useResource<{ connections: Connection[] }>(path, AGAIN_MS);
  const readers = data?.connections;
  return (
    <div>
      <div className="flex justify-end border-b border-line px-4 py-2">
        <CopyCurl call={{ path }} />
      </div>
      {error && (
        <div className="p-4">
          <Failure error={error} onAgain={refresh} />
        </div>
      )}
      {!data && !error && <Loading />}
      {readers && readers.length > 0 && (
        <ConnectionTable connections={readers} onChange={refresh} />
      )}
      {readers?.length === 0 && (
        <Empty icon="person" title={say.noReaders} line={say.noReadersLine}>
          <CurlLine
            call={{ path: topicPath(name), headers: { accept: 'text/event-stream' } }}
          />
        </Empty>
      )}
    </div>
  );
}
