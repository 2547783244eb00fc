// The effective configuration: every setting with its value and its source.

import { useMemo, useState } from 'react';
import { useText } from '../../../src/i18n';
import { useFormat } from '../../../src/lib/format';
import { Code } from '../../../src/ui/code';
import { Segments } from '../../../src/ui/controls';
import { cx } from '../../../src/ui/cx';
import { Badge, Card } from '../../../src/ui/surface';
import { useResource } from '../../data/resource';
import type { Setting } from '../../data/types';
import { CopyCurl } from '../../parts/curl';
import { PageBody, PageHead } from '../../parts/head';
import { Filters, matches, useSearch } from '../../parts/filters';
import { Empty, Loading, PageFailure } from '../../parts/notes';
import { configurationTexts } from './text';

/** How a variable changes a setting. */
const EXAMPLE = 'TIDINGS_SERVER__HEARTBEAT=30s tidings serve --config tidings.toml';

/** Settings whose names have no point. */
const GENERAL = '';

export default function Configuration() {
  const say = useText(configurationTexts);
  const format = useFormat();
  const [which, setWhich] = useState<'all' | 'changed'>('all');
  const search = useSearch();
  const path = '/configuration';
  const { data, error, refresh } = useResource<{ settings: Setting[] }>(path);
  const changed = useMemo(
    () => (data?.settings ?? []).filter(({ source }) => source !== 'default'),
    [data],
  );
  const shown = useMemo(
    () =>
      (which === 'all' ? (data?.settings ?? []) : changed).filter((setting) =>
        matches(search.wanted, [setting.name, setting.help, setting.where ?? '']),
      ),
    [data, changed, which, search.wanted],
  );
  const groups = useMemo(() => grouped(shown), [shown]);
  return (
    <PageBody>
      <PageHead title={say.title} line={say.line} tools={<CopyCurl call={{ path }} />} />
      <PageFailure error={error} onAgain={refresh} />
      {!data && !error && <Loading />}
      {data && (
        <Card label={say.title} className="overflow-hidden">
          <Filters
            label={say.search}
            search={search}
            count={say.shown(format.number(shown.length), format.number(data.settings.length))}
          >
            <Segments
              label={say.which}
              value={which}
              onChange={setWhich}
              options={[
                { value: 'all', label: say.all },
                { value: 'changed', label: `${say.changed} ${changed.length}` },
              ]}
            />
          </Filters>
          {groups.map(([name, settings]) => (
            <Group key={name} name={name} settings={settings} />
          ))}
          {shown.length === 0 &&
            (which === 'changed' && changed.length === 0 ? (
              <Empty icon="sliders" title={say.untouched} line={say.untouchedLine}>
                <div className="rounded-control border border-line bg-sunken text-left">
                  <Code label={say.untouched} text={EXAMPLE} wrap />
                </div>
              </Empty>
            ) : (
              <Empty icon="search" title={say.none} line={say.noneLine} />
            ))}
          <p className="px-4 py-3 text-xs text-faint">{say.secret}</p>
        </Card>
      )}
    </PageBody>
  );
}

/** By what is before the first point, in the order in which they come. */
function grouped(settings: readonly Setting[]): [string, Setting[]][] {
  const groups = new Map<string, Setting[]>();
  for (const setting of settings) {
    const name = setting.name.includes('.') ? (setting.name.split('.')[0] ?? GENERAL) : GENERAL;
    groups.set(name, [...(groups.get(name) ?? []), setting]);
  }
  return [...groups].sort(([a], [b]) => Number(b === GENERAL) - Number(a === GENERAL));
}

function Group({ name, settings }: { name: string; settings: readonly Setting[] }) {
  return (
    <section aria-label={name || undefined}>
      {name && (
        <h2 className="border-b border-line/70 bg-sunken px-4 py-1.5 font-mono text-xs font-semibold text-faint">
          {name}
        </h2>
      )}
      <dl>
        {settings.map((setting) => (
          <Row key={setting.name} setting={setting} />
        ))}
      </dl>
    </section>
  );
}

const tones = { default: 'plain', file: 'replay', environment: 'warn', flag: 'tide' } as const;

function Row({ setting }: { setting: Setting }) {
  const say = useText(configurationTexts);
  const changed = setting.source !== 'default';
  return (
    <div
      data-setting={setting.name}
      className="grid gap-x-6 gap-y-1 border-b border-line/70 px-4 py-2.5 sm:grid-cols-[minmax(0,1fr)_minmax(0,1fr)] lg:grid-cols-[minmax(0,1.3fr)_minmax(0,1fr)_11rem]"
    >
      <dt className="min-w-0">
        <span className="block font-mono text-[0.8125rem] leading-6 font-medium">{setting.name}</span>
        <span lang="en" className="block text-[0.8125rem] leading-snug text-faint">
          <Ticked text={setting.help} />
        </span>
      </dt>
      <dd
        className={cx(
          'min-w-0 font-mono text-[0.8125rem] leading-6 [overflow-wrap:anywhere]',
          changed ? 'font-semibold text-ink' : 'text-soft',
        )}
      >
        <Value setting={setting} />
      </dd>
      <dd className="flex min-w-0 flex-wrap items-baseline gap-x-2 sm:col-start-2 lg:col-start-3 lg:justify-end lg:text-right">
        <Badge tone={tones[setting.source]}>{say.sources[setting.source]}</Badge>
        {setting.where && (
          <span className="font-mono text-xs text-faint [overflow-wrap:anywhere]">
            {setting.where}
          </span>
        )}
      </dd>
    </div>
  );
}

/** Text in which code stands between backticks. */
function Ticked({ text }: { text: string }) {
  return text
    .split('`')
    .map((part, index) => (index % 2 ? <code key={index}>{part}</code> : part));
}

function Value({ setting }: { setting: Setting }) {
  const say = useText(configurationTexts);
  const { value, secret } = setting;
  if (secret) return <>{value === '(set)' ? `•••••• ${say.set}` : say.unset}</>;
  if (value === null || value === undefined || value === '') return <>{say.nothing}</>;
  if (Array.isArray(value) && value.length === 0) return <>{say.nothing}</>;
  if (typeof value === 'boolean') return <>{value ? say.yes : say.no}</>;
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object')) {
    return <>{value.join(', ')}</>;
  }
  if (typeof value === 'object') {
    return <pre className="text-[1em] whitespace-pre-wrap">{JSON.stringify(value, null, 2)}</pre>;
  }
  return <>{String(value)}</>;
}
