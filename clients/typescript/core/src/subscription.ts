/**
 * One subscription: its place in the stream, and the queue between the stream and its reader.
 *
 * What comes goes into a bounded queue, which an iterator empties or, without one, listeners do.
 * While a subscription reads up on history, what comes on the stream is held back. History is read
 * up to exactly where the stream begins, and each event is handed out once: the ids of the last
 * events are known, and what comes again is dropped.
 */

import { Emitter } from './emitter.js';
import { asError, TidingsError } from './errors.js';
import type { Joined, Role, Start } from './link.js';
import { checkTopics, covers, startQuery } from './names.js';
import type {
  ConnectionState, End, Gap, Page, Parse, ReadyState, StateChange, SubscribeOptions, Subscription,
  SubscriptionEvents, TidingsEvent, WireEvent,
} from './types.js';

/** Events that wait for a reader unless another number is given. */
const QUEUE_MAX = 1_024;

/** Ids that are remembered, to tell an event that comes again. */
const SEEN_MAX = 1_024;

/** Events in a page of history, at most. */
const PAGE_MAX = 500;

/** What comes, as it comes. */
export type Incoming =
  | { event: WireEvent }
  | { gap: Gap }
  | { end: End }
  | { done: true };

/** What waits for the reader. */
type Item<T> =
  | { event: TidingsEvent<T> }
  | { gap: Gap }
  | { end: End }
  | { done: true }
  | { error: TidingsError };

/** Something to be read from history before the stream goes on. */
export interface Job {
  topics: readonly string[];
  query: [string, string][];
  /** The position up to which, itself included; empty: up to now. */
  through: string;
}

/** A job, and what its reading needs of the subscription. */
export interface Reading {
  /** Its `through` may move on meanwhile. */
  readonly job: Job;
  /** Events in a page, at most. */
  readonly pageMax: number;
  /** Aborts with the subscription. */
  readonly signal: AbortSignal;
  /** Whether nothing is wanted any more. */
  isOver(): boolean;
  /** The id of the event before which all that is read ends, if some had to be let go. */
  before(): string;
  /** Resolves when there is room for so many events. */
  room(events: number): Promise<void>;
  accept(item: Incoming): void;
}

/** A page as it comes. */
export type WirePage = Omit<Page<never>, 'events'> & { events: readonly WireEvent[] };

/** What a subscription needs of its client. */
export interface Host {
  readonly change: StateChange;
  readonly role: Role;
  readonly parse: Parse<unknown> | undefined;
  /** Reads from history what a job asks for. Rejects if that is hopeless. */
  read(reading: Reading): Promise<void>;
  /** What it follows has changed, or it is over. */
  changed(): void;
}

/** An event as it is handed out. */
export function toEvent<T>(wire: WireEvent, parse: Parse<T> | undefined): TidingsEvent<T> {
  const { publisher_id: publisherId, data_base64: base64, data = '', ...rest } = wire;
  return {
    ...rest,
    ...(publisherId !== undefined && { publisherId }),
    ...(base64 !== undefined && {
      bytes: Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)),
    }),
    data: parse ? parse(data, wire) : (data as T),
  };
}

type BeginOptions = Pick<SubscribeOptions, 'lastEventId' | 'history' | 'since'>;

/** Where a subscription's options say that it begins; nothing: live. */
export function toStart({ lastEventId, history, since }: BeginOptions): Start {
  if (lastEventId) return lastEventId === 'earliest' ? { earliest: true } : { after: lastEventId };
  if (history === 'all') return { earliest: true };
  if (typeof history === 'number') return { last: history };
  if (since !== undefined) return { since: typeof since === 'string' ? since : since.toJSON() };
  return {};
}

/** See the head of this file. */
export class Sub<T> extends Emitter<SubscriptionEvents<T>> implements Subscription<T> {
  topics: readonly string[];
  lastEventId: string;
  state: ConnectionState = 'idle';
  error: TidingsError | undefined;
  readonly start: Start;

  #host: Host;
  #options: SubscribeOptions<T>;
  #max: number;
  #queue: Item<T>[] = [];
  #held: Incoming[] = [];
  #seen = new Set<string>();
  /** Topics that have not joined. */
  #pending: Set<string>;
  #ended = new Set<string>();
  #started = false;
  /** The id up to which everything is in the queue or was handed out. */
  #cursor: string;
  #jobs: Job[] = [];
  #working = false;
  /** The id of the oldest event that is held back, if there were more than there was room for. */
  #before = '';
  #iterating = 0;
  #blocked = false;
  #wake: (() => void)[] = [];
  /** Its last item is in the queue. */
  #ending = false;
  #over = new AbortController();

  constructor(host: Host, topics: string[], options: SubscribeOptions<T>) {
    super();
    const { signal, buffer } = options;
    this.#host = host;
    this.#options = options;
    this.#max = Math.max(1, buffer?.max ?? QUEUE_MAX);
    this.topics = topics;
    this.start = toStart(options);
    this.lastEventId = this.#cursor = this.start.after ?? '';
    this.#pending = new Set(topics);
    if (signal) {
      const close = () => this.close();
      if (signal.aborted) queueMicrotask(close);
      // The second signal takes the listener away when the subscription is over.
      signal.addEventListener('abort', close, { signal: this.#over.signal });
    }
  }

  get readyState(): ReadyState {
    return this.isOver ? 2 : this.state === 'open' || this.state === 'stale' ? 1 : 0;
  }

  get shared(): Role {
    return this.#host.role;
  }

  get isOver(): boolean {
    return this.#over.signal.aborted;
  }

  /** What it waits for events of: nothing, once all topics have ended. */
  get wanted(): readonly string[] {
    return this.topics.every((topic) => this.#ended.has(topic)) ? [] : this.topics;
  }

  change(topics: string | readonly string[]): void {
    const next = checkTopics(topics);
    if (this.isOver) return;
    for (const topic of next) if (!this.topics.includes(topic)) this.#pending.add(topic);
    for (const topic of this.#pending) if (!next.includes(topic)) this.#pending.delete(topic);
    this.topics = next;
    this.#host.changed();
  }

  override addEventListener(...args: Parameters<EventTarget['addEventListener']>): void {
    super.addEventListener(...args);
    this.#pumpSoon();
  }

  close(): void {
    this.#finish('closed');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TidingsEvent<T>, void, undefined> {
    this.#iterating++;
    try {
      for (;;) {
        const item = this.#queue.shift();
        if (item) await this.#take(item);
        if (this.error) throw this.error;
        if (this.isOver) return;
        if (item && 'event' in item) yield item.event;
        else if (!item) await this.#changed();
      }
    } finally {
      this.#iterating--;
      this.close();
    }
  }

  // What follows is called by the client.

  /** Some of its topics have joined. */
  joined({ topics, after, direct, since }: Joined): void {
    for (const topic of topics) this.#pending.delete(topic);
    if (this.#started) {
      if (since !== undefined && since !== after) this.#readUp(topics, { after: since }, after);
      return;
    }
    // Of what had joined before, something may be missing by now.
    if (since !== undefined) this.#held = [];
    if (this.#pending.size) return;
    this.#started = true;
    const { earliest, last, since: time, after: id } = this.start;
    if (!earliest && last === undefined && time === undefined && id === undefined) {
      this.#cursor = after;
      this.lastEventId = after;
      if (this.#before) this.#readUp(this.topics, { after }, after);
    } else if (!direct || this.#before) {
      this.#readUp(this.topics, this.start, after);
    } else {
      this.#cursor ||= after;
    }
    if (!this.#working) this.#release();
    this.stateChanged();
  }

  /** Something has come on the stream. */
  push(item: Incoming): void {
    if (this.#ending) return;
    // Of what was missed before it joined.
    if ('gap' in item && !this.#started) return;
    const waits = this.#started ? this.#working || this.#before : !('done' in item);
    if (waits) this.#hold(item);
    else this.#accept(item);
  }

  /** It cannot go on. What has come before is handed out first. */
  fail(error: TidingsError): void {
    if (!this.#ending) this.#enqueue({ error });
  }

  stateChanged(): void {
    if (this.isOver) return;
    const { change } = this.#host;
    // Until its topics have joined nothing comes, even if the connection is open.
    const joining = !this.#started && change.state === 'open';
    const state = joining ? 'connecting' : change.state;
    if (this.state === state || state === 'failed' || state === 'closed') return;
    this.state = state;
    this.emit('state', joining ? { state } : change);
  }

  #enqueue(item: Item<T>): void {
    if (this.#ending) return;
    this.#queue.push(item);
    if ('error' in item || 'done' in item) {
      this.#ending = true;
      this.#held = [];
      this.#jobs = [];
    }
    this.#pump();
  }

  /** Puts something into the queue, unless it came before. */
  #accept(item: Incoming, part = false): void {
    if ('end' in item) {
      const { topic } = item.end;
      if (this.#ended.has(topic)) return;
      this.#ended.add(topic);
      this.#enqueue(item);
      if (!this.wanted.length) this.#enqueue({ done: true });
      this.#host.changed();
    } else if ('event' in item) {
      this.#acceptEvent(item.event, part);
    } else {
      if ('gap' in item) {
        const { reason, resumes } = item.gap;
        // Events that were had before come again, and are asked for.
        if (reason === 'epoch' || reason === 'unknown-id') this.#seen.clear();
        this.#cursor = resumes ?? this.#cursor;
      }
      this.#enqueue(item);
    }
  }

  #acceptEvent(wire: WireEvent, part: boolean): void {
    if (this.#seen.has(wire.id)) return;
    const { buffer } = this.#options;
    const policy = buffer?.overflow ?? 'catch-up';
    const full = this.#queue.length >= this.#max;
    if (full && policy === 'catch-up') return this.#hold({ event: wire });
    if (full && policy === 'error') {
      this.fail(new TidingsError('overflow', `more than ${this.#max} events wait to be read`));
      return;
    }
    let event: TidingsEvent<T>;
    try {
      event = toEvent(wire, this.#options.parse ?? (this.#host.parse as Parse<T> | undefined));
    } catch (cause) {
      this.fail(new TidingsError('parse', `event ${wire.id} cannot be read`, { cause }));
      return;
    }
    this.#seen.add(wire.id);
    if (this.#seen.size > SEEN_MAX) {
      for (const oldest of this.#seen) {
        this.#seen.delete(oldest);
        break;
      }
    }
    if (!part) this.#cursor = wire.id;
    if (policy === 'conflate' && this.#conflate(event)) return this.#enqueue({ event });
    if (full) this.#dropOldest();
    this.#enqueue({ event });
  }

  /** Takes away what waits with the same key. */
  #conflate(event: TidingsEvent<T>): boolean {
    const name = this.#options.buffer?.key ??
      ((of: TidingsEvent<T>) => `${of.topic}\n${of.key ?? of.id}`);
    const key = name(event);
    const at = this.#queue.findIndex((item) => 'event' in item && name(item.event) === key);
    if (at >= 0) this.#queue.splice(at, 1);
    return at >= 0;
  }

  /** Makes room, and says so with a gap at the head of the queue. */
  #dropOldest(): void {
    const at = this.#queue.findIndex((item) => 'event' in item);
    const [item] = this.#queue.splice(at, 1);
    if (!item || !('event' in item)) return;
    const { id, topic } = item.event;
    const head = this.#queue[0];
    const mine = head && 'gap' in head && head.gap.reason === 'overflow' ? head.gap : undefined;
    const gap: Gap = {
      reason: 'overflow',
      requested: mine?.requested ?? this.lastEventId,
      resumes: id,
      topics: [...new Set([...(mine?.topics ?? []), topic])],
    };
    this.#queue.splice(0, mine ? 1 : 0, { gap });
  }

  /** Keeps something until history was read; if there is too much, history has it. */
  #hold(item: Incoming): void {
    const overflow = !this.#before && !this.#working && this.#started;
    if ('event' in item && (overflow || this.#held.length >= this.#max)) {
      this.#held = this.#held.filter((kept) => 'end' in kept || 'done' in kept);
      this.#before = item.event.id;
    }
    this.#held.push(item);
  }

  #release(): void {
    const held = this.#held;
    this.#held = [];
    for (const item of held) this.push(item);
  }

  #readUp(some: readonly string[], start: Start, through: string): void {
    const topics = some.length === this.topics.length ? this.topics : some;
    const last = this.#jobs[this.#jobs.length - 1];
    if (last && last.topics === topics) {
      last.through = through;
      return;
    }
    const query = startQuery(start);
    if (start.after) query.push(['lastEventId', start.after]);
    this.#jobs.push({ topics, query, through });
    this.#work();
  }

  #work(): void {
    if (this.#working) return;
    this.#working = true;
    this.#readJobs().then(
      () => {
        this.#working = false;
        this.#release();
      },
      (error) => {
        this.#working = false;
        this.fail(asError(error));
      },
    );
  }

  async #readJobs(): Promise<void> {
    let job: Job | undefined;
    while ((job = this.#jobs[0])) {
      const all = job.topics === this.topics;
      await this.#host.read({
        job,
        pageMax: Math.max(1, Math.min(PAGE_MAX, this.#max >> 1)),
        signal: this.#over.signal,
        isOver: () => this.#ending,
        before: () => (all ? this.#before : ''),
        room: async (events) => {
          while (this.#queue.length > this.#max - events && !this.#ending) await this.#changed();
        },
        accept: (item) => this.#accept(item, !all),
      });
      if (this.#ending) return;
      this.#jobs.shift();
      if (this.#jobs.length || !this.#before) continue;
      if (all) this.#before = '';
      // Some of the topics were read; what could not be held back is of all of them.
      else this.#jobs.push({ topics: this.topics, query: this.#here(), through: '' });
    }
  }

  #here(): [string, string][] {
    return this.#cursor ? [['lastEventId', this.#cursor]] : [];
  }

  /** Resolves when the queue, or what is in it, has changed. */
  #changed(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  /** Hands out what waits, if nobody iterates and somebody listens. */
  #pump(): void {
    let item: Item<T> | undefined;
    while (
      (item = this.#queue[0]) && !this.#iterating && !this.#blocked
      // What an iterator may still want waits for it.
      && (this.heard('event') || !('event' in item || ('gap' in item && !this.heard('gap'))))
    ) {
      this.#queue.shift();
      const settled = this.#take(item);
      if (settled) {
        this.#blocked = true;
        void settled.then(() => {
          this.#blocked = false;
          this.#pump();
        });
      }
    }
    for (const wake of this.#wake.splice(0)) wake();
  }

  #pumpSoon(): void {
    if (this.#queue.length) queueMicrotask(() => this.#pump());
  }

  /** Acts on the next item. What is returned has to settle before the one after it. */
  #take(item: Item<T>): Promise<void> | undefined {
    let settled: Promise<void> | undefined;
    if ('event' in item) {
      this.lastEventId = item.event.id;
      this.emit('event', item.event);
    } else if ('gap' in item) {
      this.lastEventId = item.gap.resumes ?? this.lastEventId;
      this.emit('gap', item.gap);
      if (this.#options.resync) settled = this.#resync(item.gap);
    } else if ('end' in item) {
      this.lastEventId = item.end.id;
      this.emit('end', item.end);
    } else if ('error' in item) {
      this.error = item.error;
      this.emit('error', item.error);
      this.#finish('failed', item.error);
    } else {
      this.#finish('closed');
    }
    if (!this.#queue.length && this.#before && !this.#working && !this.#ending) {
      this.#jobs.push({ topics: this.topics, query: this.#here(), through: '' });
      this.#work();
    }
    // Somebody may wait for room.
    for (const wake of this.#wake.splice(0)) wake();
    return settled;
  }

  async #resync(gap: Gap): Promise<void> {
    try {
      await this.#options.resync?.(gap);
    } catch (cause) {
      this.#queue = [];
      this.fail(new TidingsError('resync', 'the resync hook has failed', { cause }));
    }
  }

  #finish(state: 'closed' | 'failed', error?: TidingsError): void {
    if (this.isOver) return;
    this.#ending = true;
    this.#over.abort();
    this.state = state;
    this.#queue = [];
    this.#held = [];
    this.#jobs = [];
    for (const wake of this.#wake.splice(0)) wake();
    this.emit('state', { state, ...(error && { error }) });
    this.#host.changed();
  }

  /** Which of these topics it follows. */
  concerned(topics: readonly string[]): string[] {
    return topics.filter((topic) => covers(this.topics, { topic }) || this.topics.includes(topic));
  }
}
