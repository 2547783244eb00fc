// The rooms, outside of React: messages in their order, those that are on their way, and the two
// counters that must stay at zero.
//
// Every author numbers his messages in each room. That is how a loss would be seen: as a hole in
// somebody's numbers. The server does not need them.

import type { Client, TidingsEvent } from '@tidings/client';
import { connect } from '../../../src/lib/hub';
import type { Network } from '../../../src/lib/network';
import { LEAVE_MS, me, type Person } from '../../../src/lib/people';
import { Signal, coalesce } from '../../../src/lib/signal';
import type { Tape } from '../../../src/lib/tape';

/** The rooms. */
export const rooms = ['lobby', 'design', 'night-shift'] as const;

/** One of them. */
export type Room = (typeof rooms)[number];

/** Where they are. */
export const PREFIX = 'demo/rooms/';

/** Messages of all rooms that a visit begins with. */
const FIRST = 60;

/** Messages of one page of history. */
const PAGE = 100;

/** What is in a message's data. */
export interface Body {
  author: string;
  name: string;
  hue: number;
  text: string;
  /** The idempotency key under which it was published. */
  key: string;
  /** Its number among its author's in this room; 0: not numbered. */
  number: number;
}

/** A message, there or on its way. */
export interface Message extends Body {
  /** Empty while it is on its way. */
  id: string;
  time: number;
  failed?: boolean;
  /** It came after an interruption. */
  replayed?: boolean;
}

/** A room as it is shown. */
export interface RoomView {
  messages: readonly Message[];
  unread: number;
  /** Whether there may be older ones. */
  older: boolean;
  loading: boolean;
}

/** What is counted. */
export interface Counts {
  received: number;
  replayed: number;
  twice: number;
  lost: number;
}

const empty: RoomView = { messages: [], unread: 0, older: true, loading: false };

const room = (topic: string) => topic.slice(PREFIX.length) as Room;
const parse = (text: string) => JSON.parse(text) as Body;

/** Everything that is going on in the rooms. */
export class Hall {
  readonly client: Client;
  readonly me: Person = me();
  readonly rooms = Object.fromEntries(rooms.map((name) => [name, new Signal(empty)])) as Record<
    Room,
    Signal<RoomView>
  >;
  readonly counts = new Signal<Counts>({ received: 0, replayed: 0, twice: 0, lost: 0 });
  shown: Room = 'lobby';
  readonly #tape: Tape;
  readonly #close: (() => void)[] = [];
  readonly #lists = new Map<Room, Message[]>();
  readonly #dirty = new Set<Room>();
  readonly #ids = new Set<string>();
  readonly #keys = new Set<string>();
  /** The last number of each author in each room. */
  readonly #numbers = new Map<string, number>();
  readonly #sent = new Map<Room, number>();
  readonly #flush = coalesce(() => this.#show());
  #next: Counts = this.counts.get();
  readonly #startedAt = Date.now();
  #openedAt = Date.now();

  constructor(network: Network, tape: Tape) {
    this.#tape = tape;
    // A tab that is hidden gives its connection up; the log keeps what it does not hear.
    this.client = connect(network, 'pause');
    let opened = 0;
    this.client.on('state', ({ state }) => {
      if (state !== 'open') return;
      this.#openedAt = Date.now();
      if (opened++) tape.resumed();
    });
    const messages = this.client.subscribe<Body>(`${PREFIX}*`, { history: FIRST, parse });
    messages.on('event', (event) => this.#take(event));
    const online = () => this.#again();
    addEventListener('online', online);
    this.#close.push(
      () => removeEventListener('online', online),
      () => this.#flush.stop(),
      // The farewell goes first.
      () => setTimeout(() => this.client.close(), LEAVE_MS),
    );
  }

  close(): void {
    for (const close of this.#close) close();
  }

  /** Shows a room: what is in it is read. */
  open(name: Room): void {
    this.shown = name;
    this.rooms[name].update((view) => ({ ...view, unread: 0 }));
  }

  /** Sends a message; it is shown at once, as one that is on its way. */
  send(name: Room, text: string): void {
    const number = (this.#sent.get(name) ?? this.#lastNumber(name)) + 1;
    this.#sent.set(name, number);
    const { id: author, name: by, hue } = this.me;
    const key = crypto.randomUUID();
    const message: Message = { author, name: by, hue, text, key, number, id: '', time: Date.now() };
    this.#list(name).push(message);
    this.#touch(name);
    void this.#publish(name, message);
  }

  /** Reads an older page. */
  async older(name: Room): Promise<void> {
    const view = this.rooms[name].get();
    if (view.loading || !view.older) return;
    this.rooms[name].set({ ...view, loading: true });
    const first = this.#list(name).find((message) => message.id);
    try {
      const page = await this.client.history<Body>(PREFIX + name, {
        limit: PAGE,
        parse,
        ...(first ? { before: first.id } : {}),
      });
      const older = page.events.filter((event) => !this.#ids.has(event.id));
      for (const event of older) this.#ids.add(event.id);
      this.#list(name).unshift(...older.map((event) => this.#message(event)));
      this.#touch(name, { older: page.events.length === PAGE, loading: false });
    } catch {
      // Nothing there yet, or no network: asked again by scrolling.
      this.#touch(name, { older: false, loading: false });
    }
  }

  async #publish(name: Room, message: Message): Promise<void> {
    const { id: _, time: __, failed: ___, replayed: ____, ...body } = message;
    message.failed = false;
    try {
      await this.client.publish(PREFIX + name, body, { idempotencyKey: message.key });
    } catch {
      message.failed = true;
      this.#touch(name);
    }
  }

  /** The network is back: what was not answered is sent again, under the same key. */
  #again(): void {
    for (const [name, list] of this.#lists) {
      for (const message of list)
        if (message.failed && !message.id) void this.#publish(name, message);
    }
  }

  #message(event: TidingsEvent<Body>): Message {
    const time = Date.parse(event.time);
    return { ...event.data, id: event.id, time };
  }

  #take(event: TidingsEvent<Body>): void {
    const name = room(event.topic);
    if (!rooms.includes(name)) return;
    const message = this.#message(event);
    const begun = this.#openedAt > 0 && this.#next.received > 0;
    const { author, number, key } = message;
    message.replayed = begun && author !== this.me.id && message.time < this.#openedAt;
    if (this.#ids.has(event.id) || (key && this.#keys.has(key))) {
      this.#next = { ...this.#next, twice: this.#next.twice + 1 };
      this.#flush.soon();
      return;
    }
    this.#ids.add(event.id);
    if (key) this.#keys.add(key);
    const numbered = `${name}/${author}`;
    const last = this.#numbers.get(numbered);
    const hole = number && last !== undefined ? Math.max(0, number - last - 1) : 0;
    if (number) this.#numbers.set(numbered, number);
    this.#next = {
      ...this.#next,
      received: this.#next.received + 1,
      replayed: this.#next.replayed + (message.replayed ? 1 : 0),
      lost: this.#next.lost + hole,
    };
    this.#tape.add(1, message.replayed);
    const list = this.#list(name);
    const mine = list.findIndex((other) => !other.id && other.key === key);
    if (mine >= 0) list.splice(mine, 1);
    // Before those that are still on their way.
    const pending = list.findIndex((other) => !other.id);
    list.splice(pending < 0 ? list.length : pending, 0, message);
    const recent = message.time > this.#startedAt;
    const unread = recent && name !== this.shown && author !== this.me.id;
    this.#touch(name, unread ? { unread: this.rooms[name].get().unread + 1 } : {});
  }

  #lastNumber(name: Room): number {
    return this.#numbers.get(`${name}/${this.me.id}`) ?? 0;
  }

  #list(name: Room): Message[] {
    const list = this.#lists.get(name) ?? [];
    this.#lists.set(name, list);
    return list;
  }

  #touch(name: Room, change: Partial<RoomView> = {}): void {
    const signal = this.rooms[name];
    if (Object.keys(change).length) signal.set({ ...signal.get(), ...change });
    this.#dirty.add(name);
    this.#flush.soon();
  }

  #show(): void {
    for (const name of this.#dirty) {
      this.rooms[name].update((view) => ({ ...view, messages: [...this.#list(name)] }));
    }
    this.#dirty.clear();
    this.counts.set(this.#next);
  }
}
