/**
 * How what comes gets into the queue of a subscription.
 *
 * While it reads up on history, what comes on the stream is held back; what there is no room for is
 * left to history. History is read up to exactly where the stream begins, and each event is handed
 * out once: the ids of the last events are known, and what comes again is dropped.
 */

import { asError, TidingsError } from './errors.js';
import type { Joined, Start } from './link.js';
import { startQuery } from './names.js';
import type { Incoming, Sub } from './subscription.js';
import type { Gap, Page, Parse, TidingsEvent, WireEvent } from './types.js';

/** Ids that are remembered, to tell an event that comes again. */
const SEEN_MAX = 1_024;

/** Events in a page of history, at most. */
const PAGE_MAX = 500;

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

/** See the head of this file. */
export class Intake<T> {
  #sub: Sub<T>;
  #held: Incoming[] = [];
  #seen = new Set<string>();
  /** The id up to which everything is in the queue or was handed out. */
  #cursor: string;
  #jobs: Job[] = [];
  #working = false;
  /** The id of the oldest event that is held back, if there were more than there was room for. */
  #before = '';

  constructor(sub: Sub<T>) {
    this.#sub = sub;
    this.#cursor = sub.lastEventId;
  }

  /** Some of its topics have joined. */
  joined({ topics, after, direct, since }: Joined): void {
    for (const topic of topics) this.#sub.pending.delete(topic);
    if (this.#sub.started) {
      if (since !== undefined && since !== after) this.#readUp(topics, { after: since }, after);
      return;
    }
    // Of what had joined before, something may be missing by now.
    if (since !== undefined) this.#held = [];
    if (this.#sub.pending.size) return;
    this.#sub.started = true;
    const { earliest, last, since: time, after: id } = this.#sub.start;
    if (!earliest && last === undefined && time === undefined && id === undefined) {
      this.#cursor = after;
      this.#sub.lastEventId = after;
      if (this.#before) this.#readUp(this.#sub.topics, { after }, after);
    } else if (!direct || this.#before) {
      this.#readUp(this.#sub.topics, this.#sub.start, after);
    } else {
      this.#cursor ||= after;
    }
    if (!this.#working) this.#release();
    this.#sub.stateChanged();
  }

  /** Something has come on the stream. */
  push(item: Incoming): void {
    if (this.#sub.ending) return;
    // Of what was missed before it joined.
    if ('gap' in item && !this.#sub.started) return;
    const waits = this.#sub.started ? this.#working || this.#before : !('done' in item);
    if (waits) this.#hold(item);
    else this.#accept(item);
  }

  /** The queue is empty: what was left to history is read now. */
  drained(): void {
    if (!this.#before || this.#working || this.#sub.ending) return;
    this.#jobs.push({ topics: this.#sub.topics, query: this.#here(), through: '' });
    this.#work();
  }

  /** Puts something into the queue, unless it came before. */
  #accept(item: Incoming, part = false): void {
    if ('end' in item) {
      const { topic } = item.end;
      if (this.#sub.ended.has(topic)) return;
      this.#sub.ended.add(topic);
      this.#sub.enqueue(item);
      if (!this.#sub.wanted.length) this.#sub.enqueue({ done: true });
      this.#sub.host.changed();
    } else if ('event' in item) {
      this.#acceptEvent(item.event, part);
    } else {
      if ('gap' in item) {
        const { reason, resumes } = item.gap;
        // Events that were had before come again, and are asked for.
        if (reason === 'epoch' || reason === 'unknown-id') this.#seen.clear();
        this.#cursor = resumes ?? this.#cursor;
      }
      this.#sub.enqueue(item);
    }
  }

  #acceptEvent(wire: WireEvent, part: boolean): void {
    if (this.#seen.has(wire.id)) return;
    const { host, options: { buffer, parse = host.parse as Parse<T> | undefined } } = this.#sub;
    const policy = buffer?.overflow ?? 'catch-up';
    const full = this.#sub.queue.length >= this.#sub.max;
    if (full && policy === 'catch-up') return this.#hold({ event: wire });
    if (full && policy === 'error') {
      const what = `more than ${this.#sub.max} events wait to be read`;
      this.#sub.fail(new TidingsError('overflow', what));
      return;
    }
    let event: TidingsEvent<T>;
    try {
      event = toEvent(wire, parse);
    } catch (cause) {
      this.#sub.fail(new TidingsError('parse', `event ${wire.id} cannot be read`, { cause }));
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
    if (policy === 'conflate' && this.#conflate(event)) return this.#sub.enqueue({ event });
    if (full) this.#dropOldest();
    this.#sub.enqueue({ event });
  }

  /** Takes away what waits with the same key. */
  #conflate(event: TidingsEvent<T>): boolean {
    const name = this.#sub.options.buffer?.key ??
      ((of: TidingsEvent<T>) => `${of.topic}\n${of.key ?? of.id}`);
    const key = name(event);
    const at = this.#sub.queue.findIndex((item) => 'event' in item && name(item.event) === key);
    if (at >= 0) this.#sub.queue.splice(at, 1);
    return at >= 0;
  }

  /** Makes room, and says so with a gap at the head of the queue. */
  #dropOldest(): void {
    const at = this.#sub.queue.findIndex((item) => 'event' in item);
    const [item] = this.#sub.queue.splice(at, 1);
    if (!item || !('event' in item)) return;
    const { id, topic } = item.event;
    const head = this.#sub.queue[0];
    const mine = head && 'gap' in head && head.gap.reason === 'overflow' ? head.gap : undefined;
    const gap: Gap = {
      reason: 'overflow',
      requested: mine?.requested ?? this.#sub.lastEventId,
      resumes: id,
      topics: [...new Set([...(mine?.topics ?? []), topic])],
    };
    this.#sub.queue.splice(0, mine ? 1 : 0, { gap });
  }

  /** Keeps something until history was read; if there is too much, history has it. */
  #hold(item: Incoming): void {
    const overflow = !this.#before && !this.#working && this.#sub.started;
    if ('event' in item && (overflow || this.#held.length >= this.#sub.max)) {
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
    const topics = some.length === this.#sub.topics.length ? this.#sub.topics : some;
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
        this.#sub.fail(asError(error));
      },
    );
  }

  async #readJobs(): Promise<void> {
    const sub = this.#sub;
    let job: Job | undefined;
    while ((job = this.#jobs[0])) {
      const all = job.topics === sub.topics;
      await sub.host.read({
        job,
        pageMax: Math.max(1, Math.min(PAGE_MAX, sub.max >> 1)),
        signal: sub.over.signal,
        isOver: () => sub.ending,
        before: () => (all ? this.#before : ''),
        room: async (events) => {
          while (sub.queue.length > sub.max - events && !sub.ending) await sub.queueChanged();
        },
        accept: (item) => this.#accept(item, !all),
      });
      if (sub.ending) return;
      this.#jobs.shift();
      if (this.#jobs.length || !this.#before) continue;
      if (all) this.#before = '';
      // Some of the topics were read; what could not be held back is of all of them.
      else this.#jobs.push({ topics: sub.topics, query: this.#here(), through: '' });
    }
  }

  #here(): [string, string][] {
    return this.#cursor ? [['lastEventId', this.#cursor]] : [];
  }
}
