// A trace: started here, read here, ended here. Which one runs is remembered by the tab, so that a
// reload finds it again.

import type { TidingsError } from '@tidings/client';
import { useEffect, useState, type FormEvent } from 'react';
import { useText } from '../../../src/i18n';
import { Button } from '../../../src/ui/button';
import { Segments, TextField } from '../../../src/ui/controls';
import { Callout, Card } from '../../../src/ui/surface';
import { asTidingsError } from '../../data/failure';
import { useSession, type Call } from '../../data/session';
import type { Trace } from '../../data/types';
import { CopyCurl, CurlLine } from '../../parts/curl';
import { PageBody, PageHead } from '../../parts/head';
import { Empty, Failure } from '../../parts/notes';
import { Records } from './records';
import { traceTexts } from './text';

const STORED = 'tidings-trace';

/** A trace that was started here. */
export interface Running extends Trace {
  /** What it watches. */
  what: string;
  by: 'topic' | 'subject';
}

function stored(): Running | null {
  try {
    return JSON.parse(sessionStorage.getItem(STORED) ?? 'null') as Running | null;
  } catch {
    return null;
  }
}

export default function TracePage({ rest }: { rest: string }) {
  const say = useText(traceTexts);
  const session = useSession();
  const [by, setBy] = useState<'topic' | 'subject'>('topic');
  const [what, setWhat] = useState(rest);
  const [running, setRunning] = useState<Running | null>(stored);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<TidingsError>();
  const call: Call = { method: 'POST', path: '/traces', body: { [by]: what.trim() || '**' } };
  useEffect(() => {
    try {
      if (running) sessionStorage.setItem(STORED, JSON.stringify(running));
      else sessionStorage.removeItem(STORED);
    } catch {
      // Known until the page is left.
    }
  }, [running]);
  const start = async (event: FormEvent) => {
    event.preventDefault();
    if (!what.trim() || busy) return;
    setBusy(true);
    try {
      const trace = await session.call<Trace>(call);
      setRunning({ ...trace, what: what.trim(), by });
      setError(undefined);
    } catch (thrown) {
      setError(asTidingsError(thrown));
    }
    setBusy(false);
  };
  const end = async () => {
    if (!running) return;
    try {
      await session.call({ method: 'DELETE', path: `/traces/${encodeURIComponent(running.id)}` });
    } catch (thrown) {
      const failure = asTidingsError(thrown);
      // One that is over already is as good as ended.
      if (failure.status !== 404) {
        setError(failure);
        return;
      }
    }
    setError(undefined);
    setRunning(null);
  };
  const follow = {
    path: `/topics/${running?.topic ?? ''}?from=earliest`,
    headers: { accept: 'text/event-stream' },
  };
  return (
    <PageBody>
      <PageHead
        title={say.title}
        line={say.line}
        tools={<CopyCurl call={running ? follow : call} />}
      />
      {error && (
        <div className="mb-4">
          {error.status === 429 ? (
            <div role="alert">
              <Callout tone="warn">{say.many}</Callout>
            </div>
          ) : (
            <Failure error={error} />
          )}
        </div>
      )}
      <Card label={say.title} className="overflow-hidden">
        {running ? (
          <Records key={running.id} trace={running} onEnd={() => void end()} />
        ) : (
          <>
            <form
              onSubmit={(event) => void start(event)}
              className="flex flex-wrap items-center gap-2 border-b border-line px-4 py-3"
            >
              <Segments
                label={say.by}
                value={by}
                onChange={setBy}
                options={[
                  { value: 'topic', label: say.topic },
                  { value: 'subject', label: say.subject },
                ]}
              />
              <TextField
                label={say[by]}
                placeholder={by === 'topic' ? say.topicHint : say.subjectHint}
                value={what}
                spellCheck={false}
                onChange={(event) => setWhat(event.target.value)}
                className="font-mono text-sm sm:max-w-72"
              />
              <Button look="solid" icon="play" type="submit" disabled={!what.trim() || busy}>
                {say.start}
              </Button>
            </form>
            <Empty icon="wire" title={say.empty} line={say.emptyLine}>
              <CurlLine call={call} />
            </Empty>
          </>
        )}
      </Card>
    </PageBody>
  );
}
