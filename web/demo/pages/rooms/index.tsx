// Group chat: a scenario.

import { usePresence, useTyping } from '@tidings/react';
import { useEffect, useState, type FormEvent, type ReactNode } from 'react';
import { useNumber, useText } from '../../../src/i18n';
import { inOneTab } from '../../../src/lib/hub';
import { TTL_MS, meOf, type About } from '../../../src/lib/people';
import { useSignal } from '../../../src/lib/signal';
import { Avatar } from '../../../src/ui/avatar';
import { Button } from '../../../src/ui/button';
import { Switch, TextField } from '../../../src/ui/controls';
import { cx } from '../../../src/ui/cx';
import { Card, Figure, Figures } from '../../../src/ui/surface';
import { Scenario, useCondition } from '../../shell/scenario';
import { TapeView } from '../../shell/tape';
import { Visit, type Session } from '../../shell/visit';
import { roomCode } from './code';
import { OLD, colleagues, fillHistory } from './colleagues';
import { Hall, rooms, type Room } from './hall';
import { Messages } from './messages';
import { roomTexts } from './text';

/** Long enough to write something meanwhile, in milliseconds. */
const CUT_MS = 8_000;

export default function Rooms() {
  return <Visit name="rooms" make={(network, tape) => new Hall(network, tape)} view={Loaded} />;
}

function Loaded({ session }: { session: Session<Hall> }) {
  const { network, tape, state, add, own: hall } = session;
  const say = useText(roomTexts);
  const number = useNumber();
  const [room, setRoom] = useState<Room>('lobby');
  const [company, setCompany] = useState(true);
  const condition = useCondition(session);
  useEffect(() => (company ? inOneTab('rooms', colleagues) : undefined), [company]);
  const open = (name: Room) => {
    hall.open(name);
    setRoom(name);
  };
  const send = (text: string) => {
    hall.send(room, text);
    add(state.cut ? 1 : 0);
  };
  return (
    <Scenario session={session} claim={say} condition={condition} code={roomCode}>
      <div className="grid gap-5 lg:grid-cols-[minmax(0,1fr)_19rem]">
        <Card label={say.stage} className="flex h-[36rem] flex-col overflow-hidden">
          <div className="flex items-center justify-between gap-3 border-b border-line px-3 py-2">
            <RoomTabs hall={hall} room={room} onOpen={open} />
            <People hall={hall} />
          </div>
          <Messages hall={hall} room={room} />
          <Composer hall={hall} room={room} onSend={send}>
            <Button
              look="cut"
              icon="cut"
              className="lg:hidden"
              disabled={state.cut}
              aria-label={say.cut(String(CUT_MS / 1_000))}
              onClick={() => network.cut(CUT_MS)}
            />
          </Composer>
          <TapeView tape={tape} />
        </Card>
        <div className="grid content-start gap-5">
          <Card className="grid gap-2.5 p-4" label={say.breakIt}>
            <h2 className="text-sm font-semibold">{say.breakIt}</h2>
            <Button look="cut" icon="cut" disabled={state.cut} onClick={() => network.cut(CUT_MS)}>
              {say.cut(String(CUT_MS / 1_000))}
            </Button>
            <Button
              icon="tab"
              onClick={() => {
                // Without an opener its session storage is its own: somebody else.
                window.open(location.href, '_blank', 'noopener');
                add(2);
              }}
            >
              {say.tab}
            </Button>
            <Button icon="plus" onClick={() => void fillHistory(room).catch(() => undefined)}>
              {say.fill(number(OLD))}
            </Button>
            <div className="mt-1.5">
              <Switch
                label={say.colleagues}
                hint={say.colleaguesHint}
                checked={company}
                onChange={setCompany}
              />
            </div>
          </Card>
          <Tally hall={hall} />
        </div>
      </div>
    </Scenario>
  );
}

function RoomTabs(props: { hall: Hall; room: Room; onOpen: (room: Room) => void }) {
  const say = useText(roomTexts);
  return (
    <ul aria-label={say.list} className="flex min-w-0 gap-1 overflow-x-auto p-0.5">
      {rooms.map((name) => (
        <li key={name}>
          <RoomTab {...props} name={name} />
        </li>
      ))}
    </ul>
  );
}

function RoomTab(props: { hall: Hall; room: Room; name: Room; onOpen: (room: Room) => void }) {
  const say = useText(roomTexts);
  const number = useNumber();
  const { unread } = useSignal(props.hall.rooms[props.name]);
  const chosen = props.name === props.room;
  return (
    <button
      type="button"
      aria-pressed={chosen}
      onClick={() => props.onOpen(props.name)}
      className={cx(
        'flex min-h-9 items-center gap-2 rounded-control px-2.5 text-sm whitespace-nowrap sm:px-3',
        chosen ? 'bg-raised font-semibold text-ink' : 'text-soft hover:bg-sunken hover:text-ink',
      )}
    >
      <span aria-hidden className="hidden text-faint sm:inline">
        #
      </span>
      {say.rooms[props.name]}
      {unread > 0 && (
        <span className="nums rounded-full bg-tide px-1.5 text-xs font-semibold text-on-tide">
          <span className="sr-only">{say.unread(number(unread))}</span>
          <span aria-hidden>{unread > 99 ? '99+' : unread}</span>
        </span>
      )}
    </button>
  );
}

/** Faces that are shown beside each other. */
const FACES = 5;

function People({ hall }: { hall: Hall }) {
  const say = useText(roomTexts);
  const people = usePresence<About>('rooms', meOf(hall.me), { ttl: TTL_MS });
  const names = people.map(({ id, data }) => (id === hall.me.id ? say.you : data.name)).join(', ');
  return (
    <div className="hidden shrink-0 items-center sm:flex" title={`${say.here}: ${names}`}>
      <span className="sr-only">
        {say.here}: {names}
      </span>
      <div className="flex -space-x-1.5">
        {people.slice(0, FACES).map(({ id, data }) => (
          <span key={id} className="rounded-full ring-2 ring-surface">
            <Avatar name={data.name} hue={data.hue} size="small" />
          </span>
        ))}
      </div>
      <span aria-hidden className="nums ml-2 text-[0.8125rem] text-faint">
        {people.length}
      </span>
    </div>
  );
}

function Composer(props: {
  hall: Hall;
  room: Room;
  onSend: (text: string) => void;
  children: ReactNode;
}) {
  const say = useText(roomTexts);
  const { typing, type, stop } = useTyping<About>(`rooms/${props.room}`, meOf(props.hall.me));
  const typists = typing.map(({ data }) => data.name).join(', ');
  const [text, setText] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!text.trim()) return;
    props.onSend(text.trim());
    stop();
    setText('');
  };
  const name = say.placeholder(say.rooms[props.room]);
  return (
    <form onSubmit={submit} className="border-t border-line px-3 pt-1 pb-3">
      <p aria-hidden className="h-6 truncate px-1 text-xs leading-6 text-faint">
        {typists && `${say.typing(typists, typing.length)}…`}
      </p>
      <div className="flex gap-2">
        <TextField
          label={name}
          placeholder={name}
          value={text}
          maxLength={2_000}
          autoComplete="off"
          onChange={(event) => {
            setText(event.target.value);
            type();
          }}
        />
        <Button type="submit" look="solid" icon="send" aria-label={say.send} />
        {props.children}
      </div>
    </form>
  );
}

function Tally({ hall }: { hall: Hall }) {
  const say = useText(roomTexts);
  const number = useNumber();
  const counts = useSignal(hall.counts);
  return (
    <Card className="p-4" label={say.received}>
      <Figures>
        <Figure
          id="lost"
          label={say.lost}
          value={number(counts.lost)}
          tone={counts.lost ? 'cut' : 'tide'}
        />
        <Figure
          id="twice"
          label={say.twice}
          value={number(counts.twice)}
          tone={counts.twice ? 'cut' : 'tide'}
        />
        <Figure id="received" label={say.received} value={number(counts.received)} />
        <Figure id="replayed" label={say.replays} value={number(counts.replayed)} tone="replay" />
      </Figures>
      <p className="mt-4 text-[0.8125rem] leading-relaxed text-faint">{say.note}</p>
    </Card>
  );
}
