// Publishes an event, as a test or in earnest.

import { type TidingsError } from '@tidings/client';
import { useId, useState, type FormEvent, type KeyboardEvent } from 'react';
import { useText } from '../../../src/i18n';
import { useFormat } from '../../../src/lib/format';
import { Button } from '../../../src/ui/button';
import { asTidingsError } from '../../data/failure';
import { useSession, type Call } from '../../data/session';
import { CopyCurl } from '../../parts/curl';
import { Field } from '../../parts/field';
import { Failure } from '../../parts/notes';
import { topicPath } from '.';
import { publishTexts } from './text';

/** Receipts that are shown. */
const SHOWN_MAX = 8;

interface Receipt {
  id?: string;
  schedule?: string;
}

/** The tab. */
export function Publish({ name }: { name: string }) {
  const say = useText(publishTexts);
  const format = useFormat();
  const session = useSession();
  const id = useId();
  const [data, setData] = useState(say.sample);
  const [options, setOptions] = useState({ type: '', key: '', ttl: '', delay: '' });
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<TidingsError>();
  const [receipts, setReceipts] = useState<readonly (Receipt & { at: number })[]>([]);
  const given = Object.entries(options).filter(([, value]) => value.trim() !== '');
  const query = given.map(([key, value]) => `${key}=${encodeURIComponent(value.trim())}`).join('&');
  const call: Call = {
    method: 'POST',
    path: topicPath(name) + (query ? `?${query}` : ''),
    body: data,
    headers: { 'content-type': 'text/plain' },
  };
  const send = async () => {
    if (busy) return;
    setBusy(true);
    try {
      const receipt = await session.call<Receipt>(call);
      setReceipts((before) => [{ ...receipt, at: Date.now() }, ...before].slice(0, SHOWN_MAX));
      setError(undefined);
    } catch (thrown) {
      setError(asTidingsError(thrown));
    }
    setBusy(false);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void send();
  };
  const keys = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void send();
  };
  const set = (key: keyof typeof options) => (value: string) =>
    setOptions((before) => ({ ...before, [key]: value }));
  return (
    <form onSubmit={submit} onKeyDown={keys} className="grid gap-4 p-4 lg:grid-cols-[minmax(0,1fr)_17rem]">
      <div className="min-w-0">
        <label htmlFor={`${id}-data`} className="block text-sm font-medium">
          {say.data}
        </label>
        <textarea
          id={`${id}-data`}
          value={data}
          rows={9}
          spellCheck={false}
          onChange={(event) => setData(event.target.value)}
          className="mt-1.5 block w-full resize-y rounded-control border border-edge/70 bg-surface px-3 py-2.5 font-mono text-[0.8125rem] leading-relaxed text-ink hover:border-edge"
        />
        <div className="mt-3 flex flex-wrap items-center gap-2">
          <Button look="solid" icon="send" type="submit" disabled={busy}>
            {say.send}
          </Button>
          <CopyCurl call={call} />
          <p className="text-[0.8125rem] text-faint">{say.hint}</p>
        </div>
        {error && (
          <div className="mt-3">
            <Failure error={error} />
          </div>
        )}
        <ol aria-label={say.log} aria-live="polite" className="mt-3 grid gap-1">
          {receipts.map(({ id, schedule, at }) => (
            <li
              key={`${id}${schedule}`}
              data-receipt
              className="nums flex animate-rise gap-3 text-[0.8125rem] text-soft"
            >
              <span className="text-faint">{format.clock(at)}</span>
              {schedule ? say.planned(schedule) : say.stored(id ?? '')}
            </li>
          ))}
        </ol>
      </div>
      <div className="grid content-start gap-3">
        <Field label={say.type} hint={say.optional} value={options.type} onChange={set('type')} />
        <Field label={say.key} hint={say.optional} value={options.key} onChange={set('key')} />
        <Field label={say.ttl} hint={say.duration} value={options.ttl} onChange={set('ttl')} />
        <Field
          label={say.delay}
          hint={say.duration}
          value={options.delay}
          onChange={set('delay')}
        />
      </div>
    </form>
  );
}
