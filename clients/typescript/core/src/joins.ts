/**
 * Topics that are added to a connection while it runs, and taken from it.
 *
 * Ids are opaque, so it is not known whether the stream has passed the position from which a topic
 * was added (`after`) until it brings one of the topic's events, or that position itself. Should it
 * break before, the topics are joined anew, and what is between is read from history (`since`).
 */

import { again, type Connection } from './connection.js';
import { asError } from './errors.js';
import { apart, covers } from './names.js';
import type { WireEvent } from './types.js';

/** Events that wait while topics are being added, until it is known where they begin. */
const EARLY_MAX = 8_192;

/** Topics that were added, and the position after which they come. */
interface Group {
  topics: Set<string>;
  after: string;
}

/** What was added to one connection. */
export class Joins {
  #connection: Connection;
  /** Joined, but the stream may not have come so far; in the order of their positions. */
  #ahead: Group[] = [];
  #changing = false;
  #early: WireEvent[] = [];

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** The connection is gone. */
  stop(): void {
    this.#changing = false;
    this.#early = [];
  }

  /** There will be another connection: what the stream has not come to is joined anew. */
  lose(): void {
    const { on, lost, wanted } = this.#connection;
    for (const { topics, after } of this.#ahead.splice(0)) {
      for (const topic of topics) if (wanted.has(topic)) lost.set(topic, after);
    }
    if (on.size) return;
    // Goes on where the first of those was that were ahead.
    const position = (this.#connection.position = lost.values().next().value ?? '');
    for (const [topic, since] of lost) {
      if (since === position && lost.delete(topic)) on.add(topic);
    }
  }

  /** The stream has come to a position. */
  reach(id: string): void {
    this.#connection.position = id;
    this.#passed(this.#ahead.findIndex(({ after }) => after === id) + 1);
  }

  /** An event has come, or is let go. */
  event(event: WireEvent): void {
    if (!this.#holds(event)) this.#connection.handler.event(event);
  }

  /** Whether an event waits until it is known where its topic begins. */
  #holds(event: WireEvent): boolean {
    const connection = this.#connection;
    if ((!this.#changing && !this.#ahead.length) || covers(connection.on, event)) return false;
    // Of a topic that has just been added: the stream has come past its position.
    const at = this.#ahead.findIndex(({ topics }) => covers(topics, event));
    if (at < 0 && this.#changing) {
      if (this.#early.push(event) > EARLY_MAX) {
        connection.broken(connection.attempt, again('overflow', 'too much came too early'));
      }
      return true;
    }
    this.#passed(at + 1);
    return false;
  }

  /** Adds and removes topics, so that the stream has what is wanted. */
  async change(): Promise<void> {
    const connection = this.#connection;
    const { attempt } = connection;
    if (!attempt || !connection.isOpen() || this.#changing) return;
    this.report(connection.on, connection.position);
    const joined = new Set(connection.on);
    for (const { topics } of this.#ahead) for (const topic of topics) joined.add(topic);
    const add = [...connection.wanted.keys()].filter((topic) => !joined.has(topic));
    const remove = [...joined].filter((topic) => !connection.wanted.has(topic));
    if (!add.length && (!remove.length || !connection.name)) return;
    if (!connection.name) return this.#addAnew(add);
    this.#changing = true;
    const asked = connection.position;
    try {
      const response = await connection.context.send({
        method: 'PATCH',
        path: `/connections/${encodeURIComponent(connection.name)}`,
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ add: apart(add), remove: apart(remove) }),
        signal: attempt.signal,
      });
      const { after } = await response.json();
      if (attempt !== connection.attempt) return;
      // A server that does not say where was not before the position at which it was asked.
      this.#changed(add, remove, `${after ?? asked}`);
    } catch (thrown) {
      if (attempt !== connection.attempt) return;
      const error = asError(thrown);
      this.#changing = false;
      if (error.code === 'connection-not-found') return this.#addAnew(add);
      // Whether it was done is not known; the next connection knows.
      if (error.retryable) return connection.broken(attempt, error);
      for (const topic of add) connection.wanted.delete(topic);
      connection.handler.refused(add, error);
    }
    void this.change();
  }

  /** Tells the client which topics have joined that it does not know of. */
  report(topics: Iterable<string>, after: string): void {
    const connection = this.#connection;
    const news = new Map<string | undefined, string[]>();
    for (const topic of topics) {
      const since = connection.lost.get(topic);
      const known = connection.told.has(topic) && since === undefined;
      if (known || !connection.wanted.has(topic)) continue;
      connection.told.add(topic);
      connection.lost.delete(topic);
      news.set(since, [...(news.get(since) ?? []), topic]);
    }
    const direct = connection.fresh && connection.direct;
    for (const [since, topics] of news) {
      connection.handler.joined({ topics, after, direct, ...(since !== undefined && { since }) });
    }
  }

  /** Where a connection cannot be changed: another one, from the same position. */
  #addAnew(add: string[]): void {
    for (const topic of add) this.#connection.on.add(topic);
    this.#connection.connect();
  }

  #changed(add: string[], remove: string[], after: string): void {
    const connection = this.#connection;
    for (const topic of remove) {
      connection.on.delete(topic);
      for (const group of this.#ahead) group.topics.delete(topic);
    }
    if (add.length) this.#ahead.push({ topics: new Set(add), after });
    if (after === connection.position) this.#passed(this.#ahead.length);
    this.report(add, after);
    this.#changing = false;
    for (const event of this.#early.splice(0)) this.event(event);
  }

  /** The stream has come past the positions of the first so many groups. */
  #passed(groups: number): void {
    for (const { topics } of this.#ahead.splice(0, groups)) {
      for (const topic of topics) this.#connection.on.add(topic);
    }
  }
}
