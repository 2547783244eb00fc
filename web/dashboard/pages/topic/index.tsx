// One topic: what it keeps and how, its events from any point on, who reads it.

import { useState } from 'react';
import type { TidingsError } from '@tidings/client';
import { useText } from '../../../src/i18n';
import { NONE, useFormat } from '../../../src/lib/format';
import { Button, buttonClass } from '../../../src/ui/button';
import { Confirm } from '../../../src/ui/confirm';
import { Icon } from '../../../src/ui/icon';
import { Badge, Callout, Card } from '../../../src/ui/surface';
import { Tabs } from '../../../src/ui/tabs';
import { asTidingsError } from '../../data/failure';
import { useResource } from '../../data/resource';
import { useSession } from '../../data/session';
import type { Topic } from '../../data/types';
import { CopyCurl } from '../../parts/curl';
import { PageBody, PageHead } from '../../parts/head';
import { Failure, PageFailure } from '../../parts/notes';
import { hrefOf } from '../../places';
import { PolicyForm } from './policy';
import { Publish } from './publish';
import { Readers } from './readers';
import { useRetention } from './retention';
import { Tail } from './tail';
import { topicTexts } from './text';

/** How often what is known of the topic is read again, in milliseconds. */
const AGAIN_MS = 2_000;

type TabName = 'events' | 'publish' | 'readers' | 'policy';

/** The path of a topic; what parts its segments stays readable. */
export const topicPath = (name: string): string =>
  `/topics/${encodeURIComponent(name).replaceAll('%2F', '/').replaceAll('%24', '$')}`;

export default function TopicPage({ name }: { name: string }) {
  const say = useText(topicTexts);
  const path = `/topics?name=${encodeURIComponent(name)}`;
  const { data, error, refresh } = useResource<{ topics: Topic[] }>(path, AGAIN_MS);
  const topic = data?.topics[0];
  const internal = name.startsWith('$');
  return (
    <PageBody>
      <PageHead
        mono
        title={name}
        trail={
          <a href={hrefOf('topics')} className="underline-offset-4 hover:underline">
            {say.back}
          </a>
        }
        tools={
          <>
            <CopyCurl call={{ path }} />
            {!internal && (
              <a href={hrefOf('trace', name)} className={buttonClass('outline', true)}>
                <Icon name="wire" size={14} />
                {say.trace}
              </a>
            )}
            {topic && !internal && <Remove topic={topic} onDone={refresh} />}
          </>
        }
      />
      <PageFailure error={error} />
      {data && !topic && !internal && (
        <div className="mb-4">
          <Callout>{say.none}</Callout>
        </div>
      )}
      {topic && <Facts topic={topic} />}
      {name.startsWith('$answers/') ? (
        <Callout>
          {say.answer}{' '}
          <a
            href={hrefOf('generations', name.slice('$answers/'.length))}
            className="text-tide underline underline-offset-4"
          >
            {say.generations}
          </a>
        </Callout>
      ) : (
        <TopicTabs name={name} topic={topic} known={data !== undefined} onSaved={refresh} />
      )}
    </PageBody>
  );
}

function TopicTabs(props: {
  name: string;
  topic: Topic | undefined;
  known: boolean;
  onSaved: () => void;
}) {
  const { name, topic } = props;
  const say = useText(topicTexts);
  const [tab, setTab] = useState<TabName>('events');
  const tabs: TabName[] = name.startsWith('$')
    ? ['events', 'readers']
    : ['events', 'publish', 'readers', 'policy'];
  const icons = { events: 'wire', publish: 'send', readers: 'person', policy: 'sliders' } as const;
  return (
    <Card label={say.tabs} className="overflow-hidden">
      <Tabs
        label={say.tabs}
        value={tab}
        onChange={setTab}
        tabs={tabs.map((value) => ({ value, label: say.tab[value], icon: icons[value] }))}
      >
        {tab === 'events' && <Tail name={name} />}
        {tab === 'publish' && <Publish name={name} />}
        {tab === 'readers' && <Readers name={name} />}
        {tab === 'policy' && props.known && (
          <PolicyForm key={String(!!topic)} name={name} topic={topic} onSaved={props.onSaved} />
        )}
      </Tabs>
    </Card>
  );
}

function Facts({ topic }: { topic: Topic }) {
  const say = useText(topicTexts);
  const format = useFormat();
  const retention = useRetention();
  const facts = [
    [say.events, format.number(topic.events)],
    [say.size, format.bytes(topic.bytes)],
    [say.keeps, retention(topic.policy)],
    [say.created, format.moment(topic.created)],
    [say.oldest, topic.oldest ?? NONE],
    [say.newest, topic.newest ?? NONE],
  ] as const;
  const badges = topic.closed || topic.own_policy || topic.forked_from;
  return (
    <div className="mb-4">
      {badges && (
        <p className="mb-3 flex flex-wrap gap-2">
          {topic.closed && (
            <Badge tone={topic.closed === 'error' ? 'cut' : 'warn'}>{say.ended[topic.closed]}</Badge>
          )}
          {topic.own_policy && <Badge tone="replay">{say.own}</Badge>}
          {topic.forked_from && <Badge>{say.forkOf(topic.forked_from.topic)}</Badge>}
        </p>
      )}
      <dl className="grid grid-cols-2 gap-x-6 gap-y-3 sm:grid-cols-3 xl:grid-cols-6">
        {facts.map(([label, value]) => (
          <div key={label} className="min-w-0">
            <dt className="text-xs text-faint">{label}</dt>
            <dd className="nums truncate text-sm font-medium" title={value}>
              {value}
            </dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

function Remove({ topic, onDone }: { topic: Topic; onDone: () => void }) {
  const say = useText(topicTexts);
  const format = useFormat();
  const session = useSession();
  const [asking, setAsking] = useState(false);
  const [error, setError] = useState<TidingsError>();
  const remove = async () => {
    setAsking(false);
    try {
      await session.call({ method: 'DELETE', path: topicPath(topic.name) });
      setError(undefined);
      onDone();
    } catch (thrown) {
      setError(asTidingsError(thrown));
    }
  };
  return (
    <>
      <Button small onClick={() => setAsking(true)}>
        {say.remove}
      </Button>
      {error && <Failure error={error} />}
      {asking && (
        <Confirm
          title={say.removeTitle}
          action={say.removeDo}
          onCancel={() => setAsking(false)}
          onConfirm={() => void remove()}
        >
          <p className="mb-1 font-mono text-ink">{topic.name}</p>
          <p>{say.removeText(format.number(topic.events))}</p>
        </Confirm>
      )}
    </>
  );
}
