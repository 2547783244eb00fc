// One answer: its figures in a line, and its text when it is opened.

import type { TidingsError } from '@tidings/client';
import { useEffect, useRef, useState, type FormEvent } from 'react';
import { useText } from '../../../src/i18n';
import { useFormat } from '../../../src/lib/format';
import { Button } from '../../../src/ui/button';
import { Confirm } from '../../../src/ui/confirm';
import { TextField } from '../../../src/ui/controls';
import { Badge } from '../../../src/ui/surface';
import { asTidingsError } from '../../data/failure';
import { useResource } from '../../data/resource';
import { useSession, type Call } from '../../data/session';
import type { Answer } from '../../data/types';
import { CopyCurl } from '../../parts/curl';
import { Failure, Loading } from '../../parts/notes';
import { generationsTexts } from './text';

/** How often the text of a running answer is read, in milliseconds. */
const AGAIN_MS = 700;

const tones = { streaming: 'tide', finished: 'plain', stopped: 'warn', failed: 'cut' } as const;

/** An answer in the list. */
export function AnswerItem(props: {
  answer: Answer;
  open: boolean;
  onOpen: (open: boolean) => void;
  onChange: () => void;
}) {
  const { answer, open } = props;
  const say = useText(generationsTexts);
  const format = useFormat();
  const session = useSession();
  const [asking, setAsking] = useState(false);
  const [error, setError] = useState<TidingsError>();
  const running = answer.state === 'streaming';
  const end = answer.ended ? Date.parse(answer.ended) : Date.now();
  const path = `/answers/${encodeURIComponent(answer.id)}`;
  const stopping: Call = { method: 'POST', path: `${path}/stop` };
  const stop = async () => {
    setAsking(false);
    try {
      await session.call(stopping);
      setError(undefined);
    } catch (thrown) {
      setError(asTidingsError(thrown));
    }
    props.onChange();
  };
  const figures = [
    [say.tokens, format.number(answer.tokens)],
    [say.pace, answer.tokens_s ? format.number(answer.tokens_s, answer.tokens_s < 10 ? 1 : 0) : '–'],
    [say.readers, format.number(answer.readers)],
    [say.size, format.bytes(answer.bytes)],
    [say.took, format.span(end - Date.parse(answer.started))],
  ] as const;
  return (
    <li data-answer={answer.state} className="border-b border-line/70 last:border-b-0">
      <div className="flex flex-wrap items-center gap-x-6 gap-y-2 px-4 py-3">
        <div className="min-w-0 basis-56 grow">
          <p className="flex flex-wrap items-center gap-x-2 gap-y-1">
            <span className="font-medium">{answer.model ?? say.unknown}</span>
            <Badge tone={tones[answer.state]}>
              {running && <i aria-hidden className="size-1.5 animate-breathe rounded-full bg-current" />}
              {say.states[answer.state]}
            </Badge>
          </p>
          <p className="nums mt-0.5 truncate text-xs text-faint">
            {format.clock(answer.started)} · {answer.route} ·{' '}
            <span className="font-mono">{answer.topic}</span>
          </p>
        </div>
        <dl className="grid grid-cols-[repeat(3,5rem)] gap-x-4 gap-y-1 sm:grid-cols-[repeat(5,4.5rem)]">
          {figures.map(([label, value]) => (
            <div key={label} className="min-w-0">
              <dt className="truncate text-xs text-faint">{label}</dt>
              <dd className="nums truncate text-sm font-medium">{value}</dd>
            </div>
          ))}
        </dl>
        <div className="ml-auto flex w-44 justify-end gap-1.5">
          <Button small aria-expanded={open} onClick={() => props.onOpen(!open)}>
            {open ? say.shut : say.open}
          </Button>
          {running && (
            <Button small icon="stop" onClick={() => setAsking(true)}>
              {say.stop}
            </Button>
          )}
          <CopyCurl
            brief
            call={running ? stopping : { path }}
            about={`${running ? say.stop : say.open} ${answer.id}`}
          />
        </div>
      </div>
      {error && (
        <div className="px-4 pb-3">
          <Failure error={error} />
        </div>
      )}
      {open && <Text path={path} running={running} />}
      {asking && (
        <Confirm
          title={say.stopTitle}
          action={say.stopDo}
          onCancel={() => setAsking(false)}
          onConfirm={() => void stop()}
        >
          <p className="mb-1 text-ink">{answer.model ?? say.unknown}</p>
          <p>{say.stopText}</p>
        </Confirm>
      )}
    </li>
  );
}

interface Described {
  snapshot?: { text?: string; reasoning?: string };
}

function Text({ path, running }: { path: string; running: boolean }) {
  const say = useText(generationsTexts);
  const [bearer, setBearer] = useState('');
  const every = running ? AGAIN_MS : 0;
  const { data, error, refresh } = useResource<Described>(path, every, bearer);
  const box = useRef<HTMLDivElement>(null);
  const text = data?.snapshot?.text ?? '';
  useEffect(() => {
    const element = box.current;
    if (element && running) element.scrollTop = element.scrollHeight;
  }, [text, running]);
  return (
    <div className="border-t border-line/70 bg-sunken px-4 py-3">
      {error && !data && isRefusal(error) && <Ask onToken={setBearer} />}
      {error && !data && !isRefusal(error) && <Failure error={error} onAgain={refresh} />}
      {!data && !error && <Loading />}
      {data && (
        <div
          ref={box}
          tabIndex={0}
          role="region"
          aria-label={say.text}
          className="max-h-80 overflow-y-auto text-sm leading-relaxed whitespace-pre-wrap"
        >
          {text || <span className="text-faint">{data.snapshot ? say.noText : say.gone}</span>}
        </div>
      )}
    </div>
  );
}

const isRefusal = ({ status }: TidingsError) => status === 401 || status === 403;

/** Asks for the token that came with the answer; a link that has it will do. */
function Ask({ onToken }: { onToken: (token: string) => void }) {
  const say = useText(generationsTexts);
  const [given, setGiven] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onToken(/[?&]token=([^&>"\s]+)/.exec(given)?.[1] ?? given.trim());
  };
  return (
    <form onSubmit={submit} data-ask className="grid gap-3">
      <p className="max-w-[75ch] text-sm leading-relaxed text-soft">{say.closed}</p>
      <div className="flex max-w-xl gap-2">
        <TextField
          label={say.token}
          placeholder={say.token}
          autoComplete="off"
          spellCheck={false}
          value={given}
          onChange={(event) => setGiven(event.target.value)}
          className="font-mono text-sm"
        />
        <Button type="submit" disabled={!given.trim()}>
          {say.read}
        </Button>
      </div>
    </form>
  );
}
