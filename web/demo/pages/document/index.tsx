// A shared document: a scenario.

import { usePresence } from '@tidings/react';
import { useEffect, useLayoutEffect, useRef, useState, type FormEvent } from 'react';
import { useNumber, useText } from '../../../src/i18n';
import { inOneTab } from '../../../src/lib/hub';
import type { Network } from '../../../src/lib/network';
import { TTL_MS, meOf, type About } from '../../../src/lib/people';
import { useSignal } from '../../../src/lib/signal';
import type { Tape } from '../../../src/lib/tape';
import { Avatar } from '../../../src/ui/avatar';
import { Button } from '../../../src/ui/button';
import { Segments, Switch, TextField } from '../../../src/ui/controls';
import { cx } from '../../../src/ui/cx';
import { Icon } from '../../../src/ui/icon';
import { Card, Figure, Figures } from '../../../src/ui/surface';
import { Scenario, useCondition } from '../../shell/scenario';
import { TapeView } from '../../shell/tape';
import { Visit, type Session } from '../../shell/visit';
import { AlsoWhenClosed } from './also-closed';
import { Closed } from './closed';
import { documentCode } from './code';
import { Desk, colleague, type Notice } from './desk';
import { documentTexts } from './text';

/** How long one steps away, in milliseconds. */
const AWAY_MS = 12_000;

/** After how long a reminder may come, in seconds. */
const DELAYS = ['5', '10', '30'] as const;

/** The desk, and the reminders that come also when the page is closed. */
function build(network: Network, tape: Tape) {
  const desk = new Desk(network, tape);
  desk.follow();
  const has = (id: string) => desk.notices.get().some((notice) => notice.id === id);
  const closed = new Closed(desk.client, network, has);
  const close = () => {
    closed.close();
    desk.close();
  };
  return { desk, closed, client: desk.client, close };
}

export default function Document() {
  return <Visit name="document" make={build} view={Loaded} />;
}

function Loaded({ session }: { session: Session<ReturnType<typeof build>> }) {
  const { network, tape, state, add } = session;
  const { desk, closed } = session.own;
  const say = useText(documentTexts);
  const number = useNumber();
  const [company, setCompany] = useState(true);
  const condition = useCondition(session);
  const notices = useSignal(desk.notices);
  const shown = useSignal(closed.shown);
  const caughtUp = useSignal(desk.caughtUp);
  const text = useSignal(desk.shown);
  useEffect(
    () => (company ? inOneTab('document', () => colleague(say.name)) : undefined),
    [company, say.name],
  );
  useEffect(() => {
    if (shown) void desk.recall(shown).catch(() => undefined);
  }, [desk, shown]);
  const missed = notices.filter((notice) => notice.away);
  const reminded = missed.some((notice) => notice.kind === 'reminder');
  useEffect(() => {
    if (reminded) add(2);
  }, [reminded, add]);
  return (
    <Scenario session={session} claim={say} condition={condition} code={documentCode}>
      <div className="grid gap-5 lg:grid-cols-[minmax(0,1fr)_21rem]">
        <Card label={say.stage} className="flex min-h-[30rem] flex-col overflow-hidden">
          <div className="flex flex-wrap items-center justify-between gap-2 border-b border-line px-4 py-2.5">
            <People desk={desk} />
            <div className="flex flex-wrap gap-2">
              <Button
                small
                icon="tab"
                onClick={() => window.open(location.href, '_blank', 'noopener')}
              >
                {say.tab}
              </Button>
              <Button
                small
                look="cut"
                icon="cut"
                disabled={state.cut}
                onClick={() => network.cut(AWAY_MS)}
              >
                {say.awayFor(String(AWAY_MS / 1_000))}
              </Button>
            </div>
          </div>
          <div className="relative flex flex-1 flex-col">
            <Editor desk={desk} text={text} onEdit={() => add(0)} />
            {state.cut && (
              <div className="hatch pointer-events-none absolute inset-0 grid place-items-center">
                <div className="max-w-[34ch] animate-rise rounded-card bg-surface px-5 py-4 text-center shadow-float">
                  <p className="font-semibold text-cut">{say.awayNow}</p>
                  <p className="mt-1 text-sm text-soft">{say.awayNote}</p>
                </div>
              </div>
            )}
          </div>
          <TapeView tape={tape} />
        </Card>
        <div className="grid content-start gap-5">
          <Reminders desk={desk} closed={closed} onSet={() => add(1)} />
          <Card className="overflow-hidden" label={say.notices}>
            {missed.length > 0 && (
              <div className="border-b border-line bg-replay-wash px-4 py-3" data-digest>
                <h2 className="text-sm font-semibold text-replay">{say.digest}</h2>
                <p className="mt-0.5 text-sm">
                  {say.digestLine(
                    number(missed.filter((notice) => notice.kind === 'edit').length),
                    number(missed.filter((notice) => notice.kind === 'reminder').length),
                  )}
                </p>
              </div>
            )}
            <Notices notices={notices} shown={shown} />
            <div className="grid gap-3.5 border-t border-line p-4">
              <Switch
                label={say.colleague}
                hint={say.colleagueHint}
                checked={company}
                onChange={setCompany}
              />
              <Figures>
                <Figure id="caught-up" label={say.updates} value={number(caughtUp)} tone="replay" />
                <Figure id="characters" label={say.characters} value={number(text.length)} />
              </Figures>
              <p className="text-[0.8125rem] leading-relaxed text-faint">{say.push}</p>
            </div>
          </Card>
        </div>
      </div>
    </Scenario>
  );
}

function People({ desk }: { desk: Desk }) {
  const say = useText(documentTexts);
  const people = usePresence<About>('document', meOf(desk.person), { ttl: TTL_MS });
  return (
    <ul aria-label={say.here} className="flex flex-wrap items-center gap-x-3 gap-y-1">
      {people.map(({ id, data }) => (
        <li key={id} className="flex items-center gap-1.5 text-[0.8125rem]">
          <Avatar name={data.name} hue={data.hue} size="small" />
          {data.name}
          {id === desk.person.id && <span className="text-tide">{say.you}</span>}
        </li>
      ))}
    </ul>
  );
}

/** A plain text field; what others write moves the cursor only if it stands before it. */
function Editor(props: { desk: Desk; text: string; onEdit: () => void }) {
  const say = useText(documentTexts);
  const field = useRef<HTMLTextAreaElement>(null);
  const before = useRef(props.text);
  const caret = useRef<[number, number]>([0, 0]);
  useLayoutEffect(() => {
    const element = field.current;
    const was = before.current;
    before.current = props.text;
    if (!element || document.activeElement !== element || element.value === was) return;
    const [from, to] = caret.current.map((at) => moved(was, props.text, at)) as [number, number];
    element.setSelectionRange(from, to);
  }, [props.text]);
  const note = () => {
    const element = field.current;
    if (element) caret.current = [element.selectionStart, element.selectionEnd];
  };
  return (
    <textarea
      ref={field}
      aria-label={say.label}
      placeholder={say.placeholder}
      value={props.text}
      spellCheck={false}
      onSelect={note}
      onChange={(event) => {
        caret.current = [event.target.selectionStart, event.target.selectionEnd];
        before.current = event.target.value;
        props.desk.edit(event.target.value);
        props.onEdit();
      }}
      className="min-h-80 w-full flex-1 resize-none bg-transparent px-5 py-4 text-base leading-relaxed -outline-offset-2"
    />
  );
}

/** Where a place in `was` is in `now`. */
function moved(was: string, now: string, at: number): number {
  let from = 0;
  while (from < was.length && from < now.length && was[from] === now[from]) from += 1;
  return at <= from ? at : Math.max(from, at + now.length - was.length);
}

function Reminders({ desk, closed, onSet }: { desk: Desk; closed: Closed; onSet: () => void }) {
  const say = useText(documentTexts);
  const number = useNumber();
  const pending = useSignal(desk.pending);
  const [text, setText] = useState<string | null>(null);
  const [delay, setDelay] = useState<(typeof DELAYS)[number]>('5');
  const now = useNow(pending.length > 0);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const words = (text ?? say.remindDefault).trim();
    if (!words) return;
    void desk.remind(words, Number(delay) * 1_000).catch(() => undefined);
    onSet();
  };
  return (
    <Card className="p-4" label={say.remind}>
      <form onSubmit={submit} className="grid gap-2.5">
        <h2 className="flex items-center gap-2 text-sm font-semibold">
          <Icon name="clock" /> {say.remind}
        </h2>
        <TextField
          label={say.remindText}
          value={text ?? say.remindDefault}
          onChange={(event) => setText(event.target.value)}
          maxLength={200}
        />
        <div className="flex flex-wrap items-center justify-between gap-2">
          <Segments
            label={say.remind}
            value={delay}
            onChange={setDelay}
            options={DELAYS.map((value) => ({ value, label: say.in(value) }))}
          />
          <Button type="submit" look="solid" small>
            {say.set}
          </Button>
        </div>
      </form>
      {pending.length > 0 && (
        <ul aria-label={say.pending} className="mt-3 grid gap-1.5 border-t border-line pt-3">
          {pending.map((one) => (
            <li key={one.schedule} className="flex items-center gap-2 text-sm">
              <span className="min-w-0 flex-1 truncate">{one.text}</span>
              <span className="nums text-[0.8125rem] text-faint">
                {one.due > now ? say.due(number(Math.ceil((one.due - now) / 1_000))) : say.now}
              </span>
              <Button
                small
                look="quiet"
                icon="close"
                aria-label={`${say.forget}: ${one.text}`}
                onClick={() => void desk.forget(one.schedule).catch(() => undefined)}
              />
            </li>
          ))}
        </ul>
      )}
      <AlsoWhenClosed closed={closed} />
    </Card>
  );
}

function useNow(running: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!running) return;
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, [running]);
  return now;
}

/** What others should know; `shown` is the id of the one that a notification has led to. */
function Notices({ notices, shown }: { notices: readonly Notice[]; shown: string }) {
  const say = useText(documentTexts);
  const lit = useRef<HTMLLIElement>(null);
  const there = notices.some(({ id }) => id === shown);
  useEffect(() => {
    if (there) lit.current?.scrollIntoView({ block: 'nearest' });
  }, [shown, there]);
  return (
    <div>
      <h2 className="flex items-center gap-2 px-4 pt-3.5 text-sm font-semibold">
        <Icon name="bell" /> {say.notices}
      </h2>
      {notices.length === 0 ? (
        <p className="px-4 pt-1 pb-4 text-sm text-faint">{say.none}</p>
      ) : (
        <ul tabIndex={0} aria-label={say.notices} className="mt-1 max-h-56 overflow-y-auto pb-2">
          {notices.map((notice) => (
            <li
              key={notice.id}
              data-notice={notice.kind}
              {...(notice.id === shown && { ref: lit, 'aria-current': true })}
              className={cx(
                'flex animate-rise items-start gap-2.5 border-l-2 px-4 py-1.5 text-sm',
                notice.away ? 'border-replay' : 'border-transparent',
                notice.id === shown && 'bg-tide-wash',
              )}
            >
              <Avatar name={notice.name} hue={notice.hue} size="small" />
              <span className="min-w-0">
                {notice.kind === 'edit'
                  ? say.edited(notice.name, notice.text)
                  : say.reminded(notice.name, notice.text)}
                {notice.away && <span className="block text-xs text-replay">{say.missed}</span>}
              </span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
