// The desk with the shared document, outside of React: the text as Yjs has it, what others did while
// one was away, and reminders.
//
// Yjs turns edits into updates that give the same text in whatever order they come. Each update is
// an event; the log is the document. A reminder is an event that is published later.

import type { Client, TidingsEvent } from '@tidings/client';
import * as Y from 'yjs';
import { connect } from '../../../src/lib/hub';
import { Network } from '../../../src/lib/network';
import { LEAVE_MS, join, me, type Person } from '../../../src/lib/people';
import { Signal } from '../../../src/lib/signal';
import type { Tape } from '../../../src/lib/tape';

const UPDATES = 'demo/document/updates';
const NOTICES = 'demo/document/notices';
/** The topic of reminders. */
export const REMINDERS = 'demo/document/reminders';

/** How long after the last keystroke others are told, in milliseconds. */
const NOTICE_AFTER_MS = 1_200;

/** Edits are sent together for so long, in milliseconds. */
const SEND_AFTER_MS = 60;

/** Notices and reminders that are shown. */
const SHOWN_MAX = 30;

/** Something that others should know. */
export interface Notice {
  id: string;
  kind: 'edit' | 'reminder';
  name: string;
  hue: number;
  text: string;
  time: number;
  /** It happened while nobody looked here. */
  away: boolean;
}

/** A reminder that has not come yet. */
export interface Pending {
  schedule: string;
  text: string;
  due: number;
}

interface Told {
  author: string;
  name: string;
  hue: number;
  text: string;
}

const base64 = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes));
const bytes = (text: string) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

/** Applies what was typed into a text field: what stands before and after it is left alone. */
export function retype(text: Y.Text, now: string): void {
  const was = text.toString();
  let from = 0;
  while (from < was.length && from < now.length && was[from] === now[from]) from += 1;
  let end = 0;
  const most = Math.min(was.length, now.length) - from;
  while (end < most && was[was.length - 1 - end] === now[now.length - 1 - end]) end += 1;
  text.doc?.transact(() => {
    if (was.length > from + end) text.delete(from, was.length - from - end);
    if (now.length > from + end) text.insert(from, now.slice(from, now.length - end));
  });
}

/** One reader and writer of the document. */
export class Desk {
  readonly client: Client;
  readonly doc = new Y.Doc();
  readonly text = this.doc.getText('text');
  readonly person: Person;
  readonly shown = new Signal('');
  readonly notices = new Signal<readonly Notice[]>([]);
  readonly pending = new Signal<readonly Pending[]>([]);
  /** How many updates came after an interruption. */
  readonly caughtUp = new Signal(0);
  readonly #network: Network;
  readonly #tape: Tape | undefined;
  readonly #close: (() => void)[] = [];
  #outbox: Uint8Array[] = [];
  #sending: ReturnType<typeof setTimeout> | undefined;
  #telling: ReturnType<typeof setTimeout> | undefined;
  #before = '';
  #openedAt = 0;
  #interrupted = false;
  /** This browser has looked at the notices before. */
  #returns = false;

  /** `visibility`: whether it goes on listening while the tab is hidden. */
  constructor(
    network: Network,
    tape?: Tape,
    person: Person = me(),
    visibility: 'keep' | 'pause' = 'pause',
  ) {
    this.#network = network;
    this.#tape = tape;
    this.person = person;
    this.client = connect(network, visibility);
    this.client.on('state', ({ state }) => {
      if (state !== 'open') return;
      if (this.#openedAt) {
        tape?.resumed();
        this.#interrupted = true;
      }
      this.#openedAt = Date.now();
    });
    this.doc.on('update', (update: Uint8Array, origin: unknown) => {
      this.shown.set(this.text.toString());
      if (origin !== this.client) this.#send(update);
    });
    this.client.subscribe(UPDATES, { history: 'all' }).on('event', (event) => this.#apply(event));
    const online = () => this.#flush();
    addEventListener('online', online);
    this.#close.push(
      () => removeEventListener('online', online),
      () => clearTimeout(this.#sending),
      () => clearTimeout(this.#telling),
      // The farewell goes first.
      () => setTimeout(() => this.client.close(), LEAVE_MS),
    );
  }

  /** Follows what others should know, from where this browser was when it last looked. */
  follow(): void {
    const name = 'tidings-document-seen';
    const seen = localStorage.getItem(name);
    this.#returns = seen !== null;
    const subscription = this.client.subscribe<Told>([NOTICES, REMINDERS], {
      parse: (text) => JSON.parse(text) as Told,
      ...(seen ? { lastEventId: seen } : { history: 5 }),
    });
    subscription.on('event', (event) => {
      localStorage.setItem(name, event.id);
      this.#hear(event);
    });
  }

  /** Somebody has typed. */
  edit(now: string): void {
    if (!this.#telling) this.#before = this.text.toString();
    clearTimeout(this.#telling);
    retype(this.text, now);
    this.#telling = setTimeout(() => this.#tell(), NOTICE_AFTER_MS);
  }

  /** Has `text` published after `ms`, whether or not anybody is here then. */
  async remind(text: string, ms: number): Promise<void> {
    const { id: author, name, hue } = this.person;
    const told: Told = { author, name, hue, text };
    const { schedule } = await this.client.publish(REMINDERS, told, { delay: ms });
    if (!schedule) return;
    this.pending.update((list) => [...list, { schedule, text, due: Date.now() + ms }]);
  }

  /** Takes a reminder back. */
  async forget(schedule: string): Promise<void> {
    await this.#network.fetch(`/schedules/${schedule}`, { method: 'DELETE' });
    this.pending.update((list) => list.filter((one) => one.schedule !== schedule));
  }

  /** Shows a reminder that this browser has had before: a notification has led to it. */
  async recall(id: string): Promise<void> {
    const parse = (text: string) => JSON.parse(text) as Told;
    const { events } = await this.client.history(REMINDERS, { last: SHOWN_MAX, parse });
    const event = events.find((one) => one.id === id);
    if (!event) return;
    const { name, hue, text } = event.data;
    const time = Date.parse(event.time);
    this.#show({ id, kind: 'reminder', name, hue, text, time, away: false });
  }

  close(): void {
    for (const close of this.#close) close();
    this.doc.destroy();
  }

  #apply(event: TidingsEvent): void {
    const missed = this.#interrupted && this.#missed(event);
    this.#tape?.add(1, missed);
    if (missed) this.caughtUp.update((count) => count + 1);
    try {
      Y.applyUpdate(this.doc, bytes(event.data), this.client);
    } catch {
      // Not an update: somebody has published something else here.
    }
  }

  /** Whether an event is older than the connection it came over. */
  #missed(event: TidingsEvent<unknown>): boolean {
    return Date.parse(event.time) < this.#openedAt;
  }

  #hear(event: TidingsEvent<Told>): void {
    const { author, name, hue, text } = event.data;
    const kind = event.topic === REMINDERS ? 'reminder' : 'edit';
    if (kind === 'edit' && author === this.person.id) return;
    const away = (this.#interrupted || this.#returns) && this.#missed(event);
    this.#tape?.add(1, away && this.#interrupted);
    const time = Date.parse(event.time);
    this.#show({ id: event.id, kind, name, hue, text, time, away });
    if (kind === 'reminder') {
      this.pending.update((list) => {
        const at = list.findIndex((one) => one.text === text);
        return at < 0 ? list : list.filter((_, index) => index !== at);
      });
    }
  }

  /** Newest first; what is there already stays as it is. */
  #show(notice: Notice): void {
    this.notices.update((list) => {
      if (list.some(({ id }) => id === notice.id)) return list;
      const at = list.findIndex(({ time }) => time <= notice.time);
      const place = at < 0 ? list.length : at;
      return [...list.slice(0, place), notice, ...list.slice(place)].slice(0, SHOWN_MAX);
    });
  }

  #send(update: Uint8Array): void {
    this.#outbox.push(update);
    this.#sending ??= setTimeout(() => this.#flush(), SEND_AFTER_MS);
  }

  /** What was typed goes out as one update; without a network it waits. */
  #flush(): void {
    clearTimeout(this.#sending);
    this.#sending = undefined;
    if (!this.#outbox.length) return;
    const update = Y.mergeUpdates(this.#outbox);
    this.#outbox = [];
    this.client.publish(UPDATES, base64(update)).catch(() => {
      this.#outbox.unshift(update);
    });
  }

  #tell(): void {
    this.#telling = undefined;
    const now = this.text.toString();
    const added = now.length - this.#before.length;
    if (now === this.#before) return;
    const { id: author, name, hue } = this.person;
    const told: Told = { author, name, hue, text: `${added < 0 ? '−' : '+'}${Math.abs(added)}` };
    this.client.publish(NOTICES, told).catch(() => undefined);
  }
}

const lines = [
  '\n- Bring the charts for the north channel.',
  '\n- The tide turns at 06:40; cast off before.',
  '\n- 記得帶備用電池。',
  '\n- Call the harbour master on channel 12.',
  '\n- 早餐在船上吃。',
];

/** How often the scripted colleague writes, in milliseconds. */
const COLLEAGUE_MS = 3_500;

/** A scripted colleague, elsewhere: he has a network of his own, and writes line by line. */
export function colleague(name: string): () => void {
  const id = `script-${crypto.randomUUID().slice(0, 4)}`;
  const desk = new Desk(new Network(), undefined, { id, name, hue: 25 }, 'keep');
  let turn = 0;
  const timer = setInterval(() => {
    const text = desk.text.toString();
    // One line more each time, until all are there; then one is taken out and put back.
    const missing = lines.find((line) => !text.includes(line));
    const line = missing ?? lines[turn++ % lines.length] ?? '';
    desk.edit(missing ? (text || '# Sunday') + line : text.replace(line, ''));
  }, COLLEAGUE_MS);
  const leave = join(desk.client, 'document', desk.person);
  return () => {
    clearInterval(timer);
    leave();
    desk.close();
  };
}
