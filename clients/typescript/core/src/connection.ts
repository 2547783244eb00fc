/**
 * A connection of a client's own: one stream, kept up, whose topics change while it runs.
 *
 * It reconnects with the position that was reached, first at once and then with full jitter; takes
 * a connection that is silent for dead; and adds and removes topics without a reconnect. There is
 * one attempt at a time: an older one is aborted before the next, and whatever it still says is
 * ignored.
 *
 * Here is what makes the request. What reads the answer (`stream.ts`), adds topics (`joins.ts`) and
 * finds the way back (`upkeep.ts`) is loaded beside it; the members they use are not private.
 */

import { asError, TidingsError } from './errors.js';
import type { Joins } from './joins.js';
import { load, withRest } from './lazy.js';
import type { Link, LinkContext, LinkHandler, Start, Wanted } from './link.js';
import { request, startQuery } from './names.js';
import type { ConnectionState, StateChange } from './types.js';

/** An error after which it is worth to try again. */
export const again = (code: string, message: string) =>
  new TidingsError(code, message, { retryable: true });

/** See the head of this file. */
export class Connection implements Link {
  readonly role = 'own';
  state: ConnectionState = 'idle';
  position = '';

  context: LinkContext;
  handler: LinkHandler;
  wanted = new Map<string, Start | undefined>();
  /** Joined, and resumed by the connection's position. */
  on = new Set<string>();
  /** To be joined anew; what is before the position is known. */
  lost = new Map<string, string>();
  /** Topics that the client knows to have joined. */
  told = new Set<string>();
  /** Where it begins while there is no position. */
  #start: Start = {};
  /** Whether all topics begin there. */
  direct = false;
  /** Whether nothing was opened from that start yet. */
  fresh = false;
  /** The connection's name, to change it by. */
  name = '';
  /** Topics that were added to what is running. */
  joins: Joins | undefined;
  attempt: AbortController | undefined;
  timer: unknown;
  failures = 0;
  healthy = false;
  everOpen = false;
  openedAt = 0;
  lastByte = 0;
  /** Whether the server has said how long to wait. */
  mustWait = false;
  retry: number | undefined;
  #paused = false;
  closed = false;

  constructor(context: LinkContext, handler: LinkHandler) {
    this.context = context;
    this.handler = handler;
  }

  get reconnectionTime(): number {
    return this.retry ?? this.context.retry.min;
  }

  want(wanted: readonly Wanted[]): void {
    if (this.closed) return;
    this.wanted = new Map(wanted.map(({ topic, start }) => [topic, start]));
    for (const set of [this.told, this.lost]) {
      for (const topic of set.keys()) if (!this.wanted.has(topic)) set.delete(topic);
    }
    if (!wanted.length) {
      if (this.state === 'failed') return;
      this.drop();
      this.forget();
      this.set({ state: 'idle' });
    } else if (this.state === 'idle' || this.state === 'failed') {
      if (!this.#paused) this.connect();
    } else {
      this.joins?.change();
    }
  }

  check(): void {
    const { clock, heartbeatTimeout } = this.context;
    if (this.state === 'waiting' && !this.mustWait) this.connect();
    // At least one heartbeat is missing: no use to wait for the others.
    else if (this.isOpen() && clock.now() - this.lastByte >= heartbeatTimeout / 2) {
      this.broken(this.attempt, again('stale', 'the connection has gone silent'));
    }
  }

  pause(paused: boolean): void {
    if (this.closed || this.#paused === paused) return;
    this.#paused = paused;
    if (paused) {
      if (this.state === 'failed' || this.state === 'idle') return;
      this.drop();
      this.set({ state: 'paused' });
    } else if (this.wanted.size && this.state !== 'failed') {
      this.connect();
    }
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.drop();
    this.state = 'closed';
  }

  isOpen(): boolean {
    return this.state === 'open' || this.state === 'stale';
  }

  set(change: StateChange): void {
    if (this.state === change.state && !change.retryAt) return;
    this.state = change.state;
    this.handler.state(change);
  }

  /** Ends the present attempt. */
  drop(): void {
    this.context.clock.clearTimeout(this.timer);
    const attempt = this.attempt;
    this.attempt = undefined;
    attempt?.abort();
    this.joins?.stop();
  }

  /** Begins anew with the next attempt. */
  forget(): void {
    this.position = '';
    this.on.clear();
    this.joins = undefined;
    this.lost.clear();
    this.told.clear();
    this.failures = 0;
  }

  /** Makes an attempt: from the position, or where all begin. */
  connect(): void {
    this.drop();
    for (const topic of this.on) if (!this.wanted.has(topic)) this.on.delete(topic);
    this.joins?.lose();
    if (!this.on.size) {
      const starts = [...this.wanted.values()].map((start) => start ?? {});
      const [first = {}] = starts;
      this.direct = starts.every((start) => JSON.stringify(start) === JSON.stringify(first));
      this.#start = this.direct ? first : {};
      this.position = this.#start.after ?? '';
      this.on = new Set(this.wanted.keys());
      this.fresh = true;
      this.told.clear();
    }
    const attempt = (this.attempt = new AbortController());
    this.set({ state: 'connecting' });
    this.#run(attempt).catch((error) => this.broken(attempt, asError(error)));
  }

  async #run(attempt: AbortController): Promise<void> {
    // Beside the request: what comes is read with it.
    const loading = load(this.context, attempt.signal, Infinity);
    loading.catch(() => {});
    const topics = [...this.on];
    const query: [string, string][] = [['envelope', '1']];
    if (!this.position) query.push(...startQuery(this.#start));
    const ask = request(topics, query, 'text/event-stream');
    const own: Record<string, string> = { ...ask.headers };
    // Header values are bytes: of an id that is not ASCII, those of its UTF-8.
    const id = new TextEncoder().encode(this.position);
    if (id.length) own['Last-Event-ID'] = String.fromCharCode(...id);
    const response = await this.context.send({ ...ask, headers: own, signal: attempt.signal });
    const { opened } = await loading;
    if (attempt === this.attempt) await opened(this, attempt, response);
  }

  /** The attempt is over, unless it has been already. */
  broken(attempt: AbortController | undefined, error: TidingsError): void {
    if (attempt !== this.attempt || this.closed) return;
    const { onFrame, logger } = this.context.options;
    const wasOpen = this.isOpen();
    this.drop();
    onFrame?.({ kind: 'close', error });
    logger?.debug?.(`tidings: ${error.message}`);
    const waiting = (this.attempt = new AbortController());
    const now = withRest(this.context, waiting.signal,
      ({ recover }) => recover(this, error, wasOpen));
    // Without the second chunk (the page is offline), its loading is the wait.
    if (!now) this.set({ state: 'waiting', error });
  }
}
