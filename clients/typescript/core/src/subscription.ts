/**
 * One subscription: its place in the stream, and the queue between the stream and its reader.
 *
 * What comes goes into a bounded queue, which an iterator empties or, without one, listeners do.
 * How it gets there is in `intake.ts`, which is loaded before anything comes; the members that it
 * uses are not private.
 */

import { Emitter } from './emitter.js';
import { TidingsError } from './errors.js';
import type { Intake, Reading } from './intake.js';
import { chunk } from './lazy.js';
import type { Joined, Role, Start } from './link.js';
import { checkTopics, covers } from './names.js';
import type {
  ConnectionState, End, Gap, Parse, ReadyState, StateChange, SubscribeOptions, Subscription,
  SubscriptionEvents, TidingsEvent, WireEvent,
} from './types.js';

/** Events that wait for a reader unless another number is given. */
const QUEUE_MAX = 1_024;

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

  host: Host;
  options: SubscribeOptions<T>;
  max: number;
  queue: Item<T>[] = [];
  /** Topics that have not joined. */
  pending: Set<string>;
  ended = new Set<string>();
  started = false;
  #intake: Intake<T> | undefined;
  #iterating = 0;
  #blocked = false;
  #wake: (() => void)[] = [];
  /** Its last item is in the queue. */
  ending = false;
  over = new AbortController();

  constructor(host: Host, topics: string[], options: SubscribeOptions<T>) {
    super();
    const { signal, buffer } = options;
    this.host = host;
    this.options = options;
    this.max = Math.max(1, buffer?.max ?? QUEUE_MAX);
    this.topics = topics;
    this.start = toStart(options);
    this.lastEventId = this.start.after ?? '';
    this.pending = new Set(topics);
    if (signal) {
      const close = () => this.close();
      if (signal.aborted) queueMicrotask(close);
      // The second signal takes the listener away when the subscription is over.
      signal.addEventListener('abort', close, { signal: this.over.signal });
    }
  }

  get readyState(): ReadyState {
    return this.isOver ? 2 : this.state === 'open' || this.state === 'stale' ? 1 : 0;
  }

  get shared(): Role {
    return this.host.role;
  }

  get isOver(): boolean {
    return this.over.signal.aborted;
  }

  /** What it waits for events of: nothing, once all topics have ended. */
  get wanted(): readonly string[] {
    return this.topics.every((topic) => this.ended.has(topic)) ? [] : this.topics;
  }

  change(topics: string | readonly string[]): void {
    const next = checkTopics(topics);
    if (this.isOver) return;
    for (const topic of next) if (!this.topics.includes(topic)) this.pending.add(topic);
    for (const topic of this.pending) if (!next.includes(topic)) this.pending.delete(topic);
    this.topics = next;
    this.host.changed();
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
        const item = this.queue.shift();
        if (item) await this.#take(item);
        if (this.error) throw this.error;
        if (this.isOver) return;
        if (item && 'event' in item) yield item.event;
        else if (!item) await this.queueChanged();
      }
    } finally {
      this.#iterating--;
      this.close();
    }
  }

  // What follows is called by the client.

  get #in(): Intake<T> {
    return (this.#intake ??= new (chunk().Intake)(this));
  }

  /** Some of its topics have joined. */
  joined(joined: Joined): void {
    if (!this.ending) this.#in.joined(joined);
  }

  /** Something has come on the stream. */
  push(item: Incoming): void {
    if (!this.ending) this.#in.push(item);
  }

  /** It cannot go on. What has come before is handed out first. */
  fail(error: TidingsError): void {
    if (!this.ending) this.enqueue({ error });
  }

  stateChanged(): void {
    if (this.isOver) return;
    const { change } = this.host;
    // Until its topics have joined nothing comes, even if the connection is open.
    const joining = !this.started && change.state === 'open';
    const state = joining ? 'connecting' : change.state;
    if (this.state === state || state === 'failed' || state === 'closed') return;
    this.state = state;
    this.emit('state', joining ? { state } : change);
  }

  enqueue(item: Item<T>): void {
    if (this.ending) return;
    this.queue.push(item);
    if ('error' in item || 'done' in item) {
      this.ending = true;
      this.#intake = undefined;
    }
    this.#pump();
  }

  /** Resolves when the queue, or what is in it, has changed. */
  queueChanged(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  /** Hands out what waits, if nobody iterates and somebody listens. */
  #pump(): void {
    let item: Item<T> | undefined;
    while (
      (item = this.queue[0]) && !this.#iterating && !this.#blocked
      // What an iterator may still want waits for it.
      && (this.heard('event') || !('event' in item || ('gap' in item && !this.heard('gap'))))
    ) {
      this.queue.shift();
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
    if (this.queue.length) queueMicrotask(() => this.#pump());
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
      if (this.options.resync) settled = this.#resync(item.gap);
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
    if (!this.queue.length) this.#intake?.drained();
    // Somebody may wait for room.
    for (const wake of this.#wake.splice(0)) wake();
    return settled;
  }

  async #resync(gap: Gap): Promise<void> {
    try {
      await this.options.resync?.(gap);
    } catch (cause) {
      this.queue = [];
      this.fail(new TidingsError('resync', 'the resync hook has failed', { cause }));
    }
  }

  #finish(state: 'closed' | 'failed', error?: TidingsError): void {
    if (this.isOver) return;
    this.ending = true;
    this.over.abort();
    this.state = state;
    this.queue = [];
    this.#intake = undefined;
    for (const wake of this.#wake.splice(0)) wake();
    this.emit('state', { state, ...(error && { error }) });
    this.host.changed();
  }

  /** Which of these topics it follows. */
  concerned(topics: readonly string[]): string[] {
    return topics.filter((topic) => covers(this.topics, { topic }));
  }
}
