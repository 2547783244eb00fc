// All topics: search, a list of any length, and the way to each of them.

import { lazy, useMemo } from 'react';
import { useText } from '../../../src/i18n';
import { useFormat } from '../../../src/lib/format';
import { Button, buttonClass } from '../../../src/ui/button';
import { Badge, Card } from '../../../src/ui/surface';
import { Table, type Column } from '../../../src/ui/table';
import { topicsPath, useTopics } from '../../data/topics';
import type { Topic } from '../../data/types';
import { CopyCurl, CurlLine } from '../../parts/curl';
import { PageBody, PageHead } from '../../parts/head';
import { Filters, matches, useSearch } from '../../parts/filters';
import { Empty, Loading, PageFailure } from '../../parts/notes';
import { hrefOf } from '../../places';
import { useRetention } from '../topic/retention';
import { topicsTexts } from './text';

const One = lazy(() => import('../topic'));

export default function Topics({ rest }: { rest: string }) {
  return rest ? <One name={rest} /> : <List />;
}

function List() {
  const say = useText(topicsTexts);
  const format = useFormat();
  const search = useSearch();
  const { wanted } = search;
  const { topics, more, loaded, error, next, refresh } = useTopics(wanted !== '');
  const shown = useMemo(
    () => topics.filter(({ name }) => matches(wanted, [name])),
    [topics, wanted],
  );
  const all = format.number(topics.length);
  const columns = useColumns();
  return (
    <PageBody>
      <PageHead title={say.title} line={say.line} tools={<CopyCurl call={{ path: topicsPath() }} />} />
      <PageFailure error={error} onAgain={refresh} />
      <Card label={say.title} className="overflow-hidden">
        <Filters
          label={say.search}
          search={search}
          count={
            (wanted ? say.found(format.number(shown.length), all) : say.all(all)) +
            (more ? ` ${say.more}` : '')
          }
        />
        {!loaded && !error && <Loading />}
        {loaded && topics.length === 0 && (
          <Empty icon="topics" title={say.empty} line={say.emptyLine}>
            <CurlLine call={{ method: 'POST', path: '/topics/hello', body: 'Hello' }} />
          </Empty>
        )}
        {loaded && topics.length > 0 && shown.length === 0 && (
          <Empty icon="search" title={say.none} line={say.noneLine}>
            <a href={hrefOf('topics', search.typed.trim())} className={buttonClass()}>
              {say.open}
            </a>
          </Empty>
        )}
        {shown.length > 0 && (
          <Table
            label={say.title}
            columns={columns}
            rows={shown}
            keyOf={({ name }) => name}
            grid="grid-cols-[minmax(0,1fr)_4.5rem] md:grid-cols-[minmax(0,1fr)_5.5rem_5.5rem_8rem] xl:grid-cols-[minmax(0,1fr)_6rem_6rem_9rem_6rem_10rem]"
            onEnd={next}
          />
        )}
        {wanted && more && (
          <div className="border-t border-line px-4 py-3 text-center">
            <Button small onClick={next}>
              {say.furtherLabel}
            </Button>
          </div>
        )}
      </Card>
    </PageBody>
  );
}

function useColumns(): readonly Column<Topic>[] {
  const say = useText(topicsTexts);
  const format = useFormat();
  const retention = useRetention();
  return useMemo(
    () => [
      {
        key: 'name',
        label: say.name,
        cell: (topic) => (
          <span className="flex min-w-0 flex-wrap items-center gap-x-2 gap-y-1">
            <a
              href={hrefOf('topics', topic.name)}
              className="min-w-0 font-mono text-[0.8125rem] font-medium underline-offset-4 hover:text-tide hover:underline"
            >
              {topic.name}
            </a>
            {topic.closed && (
              <Badge tone={topic.closed === 'error' ? 'cut' : 'plain'}>
                {say.ended[topic.closed]}
              </Badge>
            )}
            {topic.forked_from && <Badge>{say.fork}</Badge>}
            {topic.own_policy && <Badge tone="replay">{say.own}</Badge>}
          </span>
        ),
      },
      {
        key: 'events',
        label: say.events,
        end: true,
        cell: (topic) => format.number(topic.events),
      },
      {
        key: 'bytes',
        label: say.bytes,
        end: true,
        room: 'hidden md:block',
        cell: (topic) => format.bytes(topic.bytes),
      },
      {
        key: 'keeps',
        label: say.keeps,
        room: 'hidden md:block pl-5 truncate text-soft',
        cell: (topic) => retention(topic.policy),
      },
      {
        key: 'durability',
        label: say.durability,
        room: 'hidden xl:block text-soft',
        cell: (topic) => topic.policy.durability,
      },
      {
        key: 'age',
        label: say.age,
        room: 'hidden xl:block nums text-soft',
        cell: (topic) => format.moment(topic.created),
      },
    ],
    [say, format, retention],
  );
}
