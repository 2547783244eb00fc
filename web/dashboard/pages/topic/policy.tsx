// The policy of a topic as a form. What is saved is the whole policy, and the topic's own.

import { type TidingsError } from '@tidings/client';
import { useState, type FormEvent, type ReactNode } from 'react';
import { useText } from '../../../src/i18n';
import { Button } from '../../../src/ui/button';
import { Segments, Switch } from '../../../src/ui/controls';
import { Callout } from '../../../src/ui/surface';
import { asTidingsError } from '../../data/failure';
import { useSession, type Call } from '../../data/session';
import type { Policy, Topic } from '../../data/types';
import { readBytes, readDuration, writeBytes, writeDuration } from '../../data/units';
import { CopyCurl } from '../../parts/curl';
import { Field } from '../../parts/field';
import { Failure } from '../../parts/notes';
import { topicPath } from '.';
import { policyTexts } from './text';

/** The form: numbers as they are written by hand. */
interface Draft {
  durability: Policy['durability'];
  count: string;
  age: string;
  bytes: string;
  conflate: boolean;
  private: boolean;
  end_by: Policy['end_by'];
  media: string;
  ttl: string;
  mode: 'fixed' | 'sliding';
}

const draftOf = (policy: Policy | undefined): Draft => ({
  durability: policy?.durability ?? 'written',
  count: policy?.retain.count == null ? '' : String(policy.retain.count),
  age: policy?.retain.age_ms == null ? '' : writeDuration(policy.retain.age_ms),
  bytes: policy?.retain.bytes == null ? '' : writeBytes(policy.retain.bytes),
  conflate: policy?.conflate ?? false,
  private: policy?.private ?? false,
  end_by: policy?.end_by ?? 'publisher',
  media: policy?.content_type ?? '',
  ttl: policy?.ttl ? writeDuration(policy.ttl.ms) : '',
  mode: policy?.ttl?.mode ?? 'sliding',
});

type Bound = 'count' | 'age' | 'bytes' | 'ttl';

const readers: Record<Bound, (text: string) => number | undefined> = {
  count: (text) => (/^\d+$/.test(text.trim()) ? Number(text) : undefined),
  age: readDuration,
  bytes: readBytes,
  ttl: readDuration,
};

/** What the server is sent, and what cannot be read of it. */
function policyOf(draft: Draft): { policy: Policy; wrong: Bound[] } {
  const wrong: Bound[] = [];
  const bound = (name: Bound) => {
    const text = draft[name].trim();
    if (!text) return undefined;
    const value = readers[name](text);
    if (value === undefined) wrong.push(name);
    return value;
  };
  const [count, age_ms, bytes, ttl] = [bound('count'), bound('age'), bound('bytes'), bound('ttl')];
  const policy: Policy = {
    durability: draft.durability,
    retain: {
      ...(count !== undefined && { count }),
      ...(age_ms !== undefined && { age_ms }),
      ...(bytes !== undefined && { bytes }),
    },
    conflate: draft.conflate,
    private: draft.private,
    end_by: draft.end_by,
    content_type: draft.media.trim() || null,
    ttl: ttl === undefined ? null : { ms: ttl, mode: draft.mode },
  };
  return { policy, wrong };
}

/** The tab. */
export function PolicyForm(props: { name: string; topic: Topic | undefined; onSaved: () => void }) {
  const say = useText(policyTexts);
  const session = useSession();
  const { name, topic } = props;
  const [draft, setDraft] = useState(() => draftOf(topic?.policy));
  const [said, setSaid] = useState<TidingsError | 'saved' | null>(null);
  const [busy, setBusy] = useState(false);
  const { policy, wrong } = policyOf(draft);
  const call: Call = { method: 'PUT', path: topicPath(name), body: policy };
  const set = (part: Partial<Draft>) => {
    setDraft((before) => ({ ...before, ...part }));
    setSaid(null);
  };
  const save = async (event: FormEvent) => {
    event.preventDefault();
    if (wrong.length || busy) return;
    setBusy(true);
    try {
      const saved = await session.call<Topic>(call);
      setDraft(draftOf(saved.policy));
      setSaid('saved');
      props.onSaved();
    } catch (thrown) {
      setSaid(asTidingsError(thrown));
    }
    setBusy(false);
  };
  const labels: Record<Bound, string> = {
    count: say.count,
    age: say.age,
    bytes: say.bytes,
    ttl: say.ttl,
  };
  return (
    <form onSubmit={(event) => void save(event)} className="p-4">
      {topic && (
        <p className="mb-4 text-[0.8125rem] text-faint">{topic.own_policy ? say.own : say.rule}</p>
      )}
      <div className="grid gap-x-10 gap-y-6 lg:grid-cols-2">
        <Group title={say.durability}>
          <Choices
            label={say.durability}
            values={['memory', 'written', 'synced'] as const}
            names={say.durabilities}
            value={draft.durability}
            onChange={(durability) => set({ durability })}
          />
        </Group>
        <Group title={say.retain}>
          <div className="grid gap-3 sm:grid-cols-3">
            <Field
              label={say.count}
              value={draft.count}
              wrong={wrong.includes('count')}
              onChange={(count) => set({ count })}
            />
            <Field
              label={say.age}
              value={draft.age}
              wrong={wrong.includes('age')}
              onChange={(age) => set({ age })}
            />
            <Field
              label={say.bytes}
              value={draft.bytes}
              wrong={wrong.includes('bytes')}
              onChange={(bytes) => set({ bytes })}
            />
          </div>
          <p className="mt-1.5 text-xs text-faint">
            {say.ageHint}
            <br />
            {say.bytesHint}
          </p>
        </Group>
        <div className="grid content-start gap-4">
          <Switch
            label={say.conflate}
            hint={say.conflateHint}
            checked={draft.conflate}
            onChange={(conflate) => set({ conflate })}
          />
          <Switch
            label={say.private}
            hint={say.privateHint}
            checked={draft.private}
            onChange={(value) => set({ private: value })}
          />
        </div>
        <div className="grid content-start gap-4">
          <Group title={say.endBy}>
            <Segments
              label={say.endBy}
              value={draft.end_by}
              onChange={(end_by) => set({ end_by })}
              options={(['publisher', 'operator'] as const).map((value) => ({
                value,
                label: say.endBys[value],
              }))}
            />
          </Group>
          <Field
            label={say.media}
            hint={say.mediaHint}
            value={draft.media}
            onChange={(media) => set({ media })}
          />
          <Field
            label={say.ttl}
            hint={say.ttlHint}
            value={draft.ttl}
            wrong={wrong.includes('ttl')}
            onChange={(ttl) => set({ ttl })}
          />
          {draft.ttl.trim() && (
            <Group title={say.ttlMode}>
              <Segments
                label={say.ttlMode}
                value={draft.mode}
                onChange={(mode) => set({ mode })}
                options={(['sliding', 'fixed'] as const).map((value) => ({
                  value,
                  label: say.ttlModes[value],
                }))}
              />
            </Group>
          )}
        </div>
      </div>
      <div className="mt-6 grid gap-3 border-t border-line pt-4">
        {wrong.map((bound) => (
          <Callout key={bound} tone="cut">
            {say.wrong(labels[bound])}
          </Callout>
        ))}
        {said instanceof Error && <Failure error={said} />}
        <div className="flex flex-wrap items-center gap-2">
          <Button look="solid" type="submit" icon="check" disabled={busy || wrong.length > 0}>
            {topic ? say.save : say.make}
          </Button>
          <CopyCurl call={call} />
          <Button look="quiet" onClick={() => set(draftOf(topic?.policy))}>
            {say.reset}
          </Button>
          <span role="status" className="text-sm text-tide">
            {said === 'saved' && say.saved}
          </span>
        </div>
      </div>
    </form>
  );
}

function Group({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="min-w-0">
      <p className="mb-2 text-sm font-medium">{title}</p>
      {children}
    </div>
  );
}

function Choices<T extends string>(props: {
  label: string;
  values: readonly T[];
  names: Readonly<Record<T, string>>;
  value: T;
  onChange: (value: T) => void;
}) {
  return (
    <fieldset className="grid gap-1.5">
      <legend className="sr-only">{props.label}</legend>
      {props.values.map((value) => (
        <label key={value} className="flex cursor-pointer items-center gap-2.5 text-sm">
          <input
            type="radio"
            name="durability"
            checked={value === props.value}
            onChange={() => props.onChange(value)}
            className="size-4 accent-tide"
          />
          <code className="w-16 shrink-0">{value}</code>
          <span className="text-soft">{props.names[value]}</span>
        </label>
      ))}
    </fieldset>
  );
}
