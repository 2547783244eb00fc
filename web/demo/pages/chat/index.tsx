// AI chat: a scenario.

import { useEffect, useRef, useState, type FormEvent } from 'react';
import { useLanguage, useNumber, useText } from '../../../src/i18n';
import { Signal, useSignal } from '../../../src/lib/signal';
import { Button } from '../../../src/ui/button';
import { Segments, TextField } from '../../../src/ui/controls';
import { Badge, Card, Figure, Figures } from '../../../src/ui/surface';
import type { Condition } from '../../../src/ui/pill';
import { Scenario } from '../../shell/scenario';
import { TapeView } from '../../shell/tape';
import { CUT_MS, Visit, type Session } from '../../shell/visit';
import type { Answer, Resume, View } from './answer';
import { chatCode } from './code';
import { Conversation } from './conversation';
import { Markdown } from './markdown';
import { chatTexts } from './text';

const STORY = 'scripted-story';
const FAST = 'scripted-story-fast';

export default function Chat() {
  return (
    <Visit
      name="chat"
      make={(network, tape) => new Conversation(network, tape)}
      view={Loaded}
    />
  );
}

const nobody = new Signal<View | null>(null);

function Loaded({ session }: { session: Session<Conversation> }) {
  const { network, tape, state, add, own: conversation } = session;
  const say = useText(chatTexts);
  const answers = useSignal(conversation.answers);
  const latest = answers.at(-1);
  const view = useSignal<View | null>((latest?.view ?? nobody) as Signal<View | null>);
  const models = useModels(network.fetch);
  const scripted = !models || models.includes(STORY);
  const [fast, setFast] = useState(false);
  const running = view !== null && ['asking', 'streaming', 'waiting'].includes(view.phase);
  useReloadStep(add);

  const ask = (question: string) => {
    const model = scripted ? (fast ? FAST : STORY) : (models?.[0] ?? 'default');
    conversation.ask(question, model);
    add(0);
  };
  const cut = () => {
    network.cut(CUT_MS);
    if (running) add(1);
  };
  const second = () => {
    window.open(location.href, '_blank');
    if (answers.length) add(2);
  };
  const condition: Condition = state.cut
    ? 'cut'
    : view?.phase === 'streaming'
      ? 'live'
      : view?.phase === 'waiting'
        ? 'waiting'
        : view?.phase === 'asking'
          ? 'connecting'
          : 'idle';
  return (
    <Scenario session={session} claim={say} condition={condition} code={chatCode}>
      <div className="grid gap-5 lg:grid-cols-[minmax(0,1fr)_19rem]">
        <Card label={say.stage} className="flex h-[36rem] flex-col overflow-hidden">
          <div className="flex flex-wrap items-center justify-between gap-2 border-b border-line px-4 py-2.5">
            <Badge tone={scripted ? 'warn' : 'tide'}>
              {scripted ? say.scripted : say.real(models?.[0] ?? '')}
            </Badge>
            {answers.length > 0 && (
              <Button small look="quiet" icon="plus" onClick={() => conversation.clear()}>
                {say.clear}
              </Button>
            )}
          </div>
          <Turns answers={answers} onPrompt={ask} />
          <div className="flex gap-2 border-t border-line px-3 pt-2.5 lg:hidden">
            <Button small look="cut" icon="cut" disabled={state.cut} onClick={cut}>
              {say.cutShort}
            </Button>
            <Button small icon="reload" onClick={() => location.reload()}>
              {say.reloadShort}
            </Button>
            <Button small icon="tab" aria-label={say.tab} onClick={second} />
          </div>
          <Composer busy={running} onAsk={ask} onStop={() => void latest?.stop()} />
          <TapeView tape={tape} />
        </Card>
        <div className="grid content-start gap-5">
          <Card className="grid gap-2.5 p-4" label={say.breakIt}>
            <h2 className="text-sm font-semibold">{say.breakIt}</h2>
            <Button look="cut" icon="cut" disabled={state.cut} onClick={cut}>
              {say.cut(String(CUT_MS / 1000))}
            </Button>
            <Button icon="reload" onClick={() => location.reload()}>
              {say.reload}
            </Button>
            <Button icon="tab" onClick={second}>
              {say.tab}
            </Button>
            <Button icon="stop" disabled={!running} onClick={() => void latest?.stop()}>
              {say.stop}
            </Button>
            {scripted && (
              <Segments
                label={say.speed}
                value={fast ? 'fast' : 'slow'}
                onChange={(value) => setFast(value === 'fast')}
                options={[
                  { value: 'slow', label: say.pace('40') },
                  { value: 'fast', label: say.pace('200') },
                ]}
              />
            )}
            <p className="text-[0.8125rem] leading-relaxed text-faint">{say.honest}</p>
          </Card>
          <Counts view={view} />
        </div>
      </div>
    </Scenario>
  );
}

/** The models behind the relay; null until they are known. */
function useModels(fetch: typeof globalThis.fetch): readonly string[] | null {
  const [models, setModels] = useState<readonly string[] | null>(null);
  useEffect(() => {
    let gone = false;
    fetch('/v1/models')
      .then((response) => response.json() as Promise<{ data: { id: string }[] }>)
      .then((list) => !gone && setModels(list.data.map((model) => model.id)))
      .catch(() => undefined);
    return () => {
      gone = true;
    };
  }, [fetch]);
  return models;
}

/** A page that was reloaded with a conversation in it has done the third step. */
function useReloadStep(add: (step: number) => void): void {
  useEffect(() => {
    const [entry] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
    if (entry?.type === 'reload' && localStorage.getItem('tidings-chat')?.includes('link')) add(2);
  }, [add]);
}

function Turns({
  answers,
  onPrompt,
}: {
  answers: readonly Answer[];
  onPrompt: (prompt: string) => void;
}) {
  const say = useText(chatTexts);
  const box = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new MutationObserver(() => {
      if (follows.current) element.scrollTop = element.scrollHeight;
    });
    observer.observe(element, { childList: true, subtree: true, characterData: true });
    return () => observer.disconnect();
  }, []);
  return (
    <div
      ref={box}
      tabIndex={0}
      role="log"
      aria-label={say.stage}
      aria-live="off"
      onScroll={({ currentTarget: at }) => {
        follows.current = at.scrollHeight - at.scrollTop - at.clientHeight < 60;
      }}
      className="min-h-0 flex-1 overflow-y-auto px-4 py-4 sm:px-5"
    >
      {answers.length === 0 ? (
        <div className="flex h-full flex-col items-center justify-center gap-4 text-center">
          <p className="max-w-[36ch] text-soft">{say.empty}</p>
          <div className="flex flex-wrap justify-center gap-2">
            {say.prompts.map((prompt) => (
              <Button key={prompt} onClick={() => onPrompt(prompt)}>
                {prompt}
              </Button>
            ))}
          </div>
        </div>
      ) : (
        <div className="grid gap-5">
          {answers.map((answer) => (
            <Exchange key={answer.turn.key} answer={answer} />
          ))}
        </div>
      )}
    </div>
  );
}

function Exchange({ answer }: { answer: Answer }) {
  const say = useText(chatTexts);
  const number = useNumber();
  const view = useSignal(answer.view);
  const mark = (resume: Resume) =>
    resume.replayed ? say.resumed(number(resume.replayed)) : say.resumedNothing;
  const restored = view.resumes.find(({ after }) => !after);
  return (
    <article data-phase={view.phase} className="grid animate-rise gap-3">
      <p className="ml-auto max-w-[85%] rounded-card rounded-br-chip bg-tide-wash px-3.5 py-2 whitespace-pre-wrap">
        <span className="sr-only">{say.you}: </span>
        {answer.turn.question}
      </p>
      <div className="min-w-0">
        <span className="sr-only">{say.model}: </span>
        {restored && (
          <p className="mb-2 text-xs font-medium text-replay">
            {say.restored(number(restored.replayed))}
          </p>
        )}
        <Markdown
          text={view.text}
          growing={view.phase === 'streaming'}
          resumes={view.resumes}
          mark={mark}
        />
        <Standing view={view} />
      </div>
    </article>
  );
}

/** What there is to say besides the text. */
function Standing({ view }: { view: View }) {
  const say = useText(chatTexts);
  const number = useNumber();
  const note = 'mt-2 text-[0.8125rem]';
  if (view.phase === 'asking') {
    return (
      <p className="flex items-center gap-2 text-sm text-faint">
        <span className="size-2 animate-breathe rounded-full bg-tide" />
        {say.phases.asking}
      </p>
    );
  }
  if (view.phase === 'waiting') return <p className={`${note} text-cut`}>{say.phases.waiting}</p>;
  if (view.phase === 'cancelled') {
    return <p className={`${note} text-faint`}>{say.phases.cancelled}</p>;
  }
  if (view.phase === 'error' || view.phase === 'gone') {
    return (
      <p className={`${note} text-cut`}>
        {say.phases[view.phase]} {view.phase === 'error' && view.problem}
      </p>
    );
  }
  if (view.phase === 'done' && view.lost >= 0) {
    return (
      <p data-verdict className={`${note} ${view.lost ? 'text-cut' : 'text-tide'}`}>
        {view.lost
          ? say.event.differs(number(view.lost))
          : say.event.identical(number(view.text.length))}
      </p>
    );
  }
  return null;
}

function Composer(props: { busy: boolean; onAsk: (question: string) => void; onStop: () => void }) {
  const say = useText(chatTexts);
  const [text, setText] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!text.trim() || props.busy) return;
    props.onAsk(text.trim());
    setText('');
  };
  return (
    <form onSubmit={submit} className="flex gap-2 p-3 lg:border-t lg:border-line">
      <TextField
        label={say.placeholder}
        placeholder={say.placeholder}
        value={text}
        onChange={(event) => setText(event.target.value)}
        autoComplete="off"
        maxLength={2_000}
      />
      {props.busy ? (
        <Button icon="stop" onClick={props.onStop} aria-label={say.stop} />
      ) : (
        <Button type="submit" look="solid" icon="send" aria-label={say.send} />
      )}
    </form>
  );
}

function Counts({ view }: { view: View | null }) {
  const say = useText(chatTexts);
  const { language } = useLanguage();
  const number = useNumber();
  const replayed = view?.resumes.reduce((sum, resume) => sum + resume.replayed, 0) ?? 0;
  const compared = view !== null && view.lost >= 0;
  const last = view?.resumes.at(-1);
  return (
    <Card className="p-4" label={say.log}>
      <Figures>
        <Figure id="pieces" label={say.tokens} value={number(view?.pieces ?? 0)} />
        <Figure id="pace" label={say.rate} value={view?.pace ? number(view.pace) : '–'} />
        <Figure
          id="first"
          label={say.first}
          value={view?.first ? number(view.first) : '–'}
          unit={view?.first ? (language === 'zh' ? '毫秒' : 'ms') : undefined}
        />
        <Figure id="replayed" label={say.replayed} value={number(replayed)} tone="replay" />
        <Figure
          id="lost"
          label={say.lost}
          value={compared ? number(view.lost) : '–'}
          unit={compared || !view ? undefined : say.pending}
          tone={compared && view.lost ? 'cut' : 'tide'}
        />
        <Figure
          id="twice"
          label={say.twice}
          value={number(view?.twice ?? 0)}
          tone={view?.twice ? 'cut' : 'tide'}
        />
      </Figures>
      {last && (
        <p className="mt-4 rounded-control bg-replay-wash px-3 py-2 text-[0.8125rem] leading-relaxed">
          {last.after
            ? say.event.resumed(last.after, number(last.replayed))
            : say.event.restored(number(last.replayed))}
        </p>
      )}
    </Card>
  );
}
