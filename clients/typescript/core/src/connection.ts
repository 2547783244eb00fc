/**
 * A connection of a client's own: one stream, kept up, whose topics change while it runs.
 *
 * It reconnects with the position that was reached, first at once and then with full jitter; takes
 * a connection that is silent for dead; and adds and removes topics without a reconnect. There is
 * one attempt at a time: an older one is aborted before the next, and whatever it still says is
 * ignored.
 *
 * Ids are opaque, so it is not known whether the stream has passed the position from which a topic
 * was added (`after`) until it brings one of the topic's events, or that position itself. Should it
 * break before, the topics are joined anew, and what is between is read from history (`since`).
 */

import { asError, TidingsError } from './errors.js';
import type { Joins } from './joins.js';
import { withRest } from './lazy.js';
import type { Link, LinkContext, LinkHandler, Start, Wanted } from './link.js';
import { request, startQuery } from './names.js';
import { Parser, type SseEvent } from './parser.js';
import type { ConnectionState, EndReason, Gap, StateChange, WireEvent } from './types.js';

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
  #told = new Set<string>();
  /** Where it begins while there is no position. */
  #start: Start = {};
  /** Whether all topics begin there. */
  #direct = false;
  /** Whether nothing was opened from that start yet. */
  #fresh = false;
  /** The connection's name, to change it by. */
  name = '';
  /** Topics that were added to what is running. */
  #joins: Joins | undefined;
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
    for (const set of [this.#told, this.lost]) {
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
      this.change();
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
    this.#joins?.stop();
  }

  forget(): void {
    this.position = '';
    this.on.clear();
    this.#joins = undefined;
    this.lost.clear();
    this.#told.clear();
    this.failures = 0;
  }

  connect(): void {
    this.drop();
    for (const topic of this.on) if (!this.wanted.has(topic)) this.on.delete(topic);
    this.#joins?.lose();
    if (!this.on.size) {
      const starts = [...this.wanted.values()].map((start) => start ?? {});
      const [first = {}] = starts;
      this.#direct = starts.every((start) => JSON.stringify(start) === JSON.stringify(first));
      this.#start = this.#direct ? first : {};
      this.position = this.#start.after ?? '';
      this.on = new Set(this.wanted.keys());
      this.#fresh = true;
      this.#told.clear();
    }
    const attempt = (this.attempt = new AbortController());
    this.set({ state: 'connecting' });
    this.#run(attempt).catch((error) => this.broken(attempt, asError(error)));
  }

  async #run(attempt: AbortController): Promise<void> {
    const { clock, maxEventBytes, options } = this.context;
    const topics = [...this.on];
    const query: [string, string][] = [['envelope', '1']];
    if (!this.position) query.push(...startQuery(this.#start));
    const ask = request(topics, query, 'text/event-stream');
    const own: Record<string, string> = { ...ask.headers };
    // Header values are bytes: of an id that is not ASCII, those of its UTF-8.
    const id = new TextEncoder().encode(this.position);
    if (id.length) own['Last-Event-ID'] = String.fromCharCode(...id);
    const { status, headers, body } = await this.context.send({
      ...ask,
      headers: own,
      signal: attempt.signal,
    });
    if (attempt !== this.attempt) return;
    if (status === 204) {
      this.drop();
      this.forget();
      this.set({ state: 'idle' });
      this.handler.done(topics);
      return;
    }
    const kind = headers.get('content-type') ?? '';
    if (status !== 200) throw new TidingsError('http', `status ${status}`, { status });
    if (!body || kind.split(';')[0]?.trim().toLowerCase() !== 'text/event-stream') {
      throw new TidingsError('not-an-event-stream', `not an event stream: ${kind}`, { status });
    }
    this.name = headers.get('tidings-connection') ?? '';
    this.position ||= headers.get('last-event-id') ?? '';
    this.everOpen = true;
    this.openedAt = this.lastByte = clock.now();
    this.healthy = false;
    this.set({ state: 'open' });
    withRest(this.context, attempt.signal, ({ watch }) => watch(this, attempt));
    this.report(this.on, this.position);
    this.#fresh = false;
    this.change();
    const parser = new Parser(
      {
        onEvent: (event) => attempt === this.attempt && this.#block(event),
        onId: (id) => attempt === this.attempt && this.#reach(id),
        onRetry: (ms) => (this.retry = Math.max(1, ms)),
        onComment: (text) => options.onFrame?.({ kind: 'comment', text }),
      },
      { maxEventBytes, lastEventId: this.position },
    );
    const reader = body.getReader();
    while (attempt === this.attempt) {
      const { done, value } = await reader.read();
      if (attempt !== this.attempt) break;
      if (done) throw again('closed-by-server', 'the stream was cut');
      this.lastByte = clock.now();
      if (this.state === 'stale') this.set({ state: 'open' });
      parser.feed(value);
    }
    reader.cancel().catch(() => {});
  }

  /** Tells the client which topics have joined that it does not know of. */
  report(topics: Iterable<string>, after: string): void {
    const news = new Map<string | undefined, string[]>();
    for (const topic of topics) {
      const since = this.lost.get(topic);
      if (!this.wanted.has(topic) || (this.#told.has(topic) && since === undefined)) continue;
      this.#told.add(topic);
      this.lost.delete(topic);
      news.set(since, [...(news.get(since) ?? []), topic]);
    }
    const direct = this.#fresh && this.#direct;
    for (const [since, topics] of news) {
      this.handler.joined({ topics, after, direct, ...(since !== undefined && { since }) });
    }
  }

  /** Adds and removes topics, so that the stream has what is wanted. */
  change(): void {
    const { attempt } = this;
    if (!attempt || !this.isOpen()) return;
    this.report(this.on, this.position);
    const same = this.wanted.size === this.on.size && [...this.wanted.keys()]
      .every((topic) => this.on.has(topic));
    if (same && !this.#joins) return;
    withRest(this.context, attempt.signal, ({ Joins }) => {
      this.#joins ??= new Joins(this);
      void this.#joins.change();
    });
  }

  /** Where a connection cannot be changed: another one, from the same position. */
  addAnew(add: string[]): void {
    for (const topic of add) this.on.add(topic);
    this.connect();
  }

  #reach(id: string): void {
    this.position = id;
    this.#joins?.reach(id);
  }

  /** An event has come, or is let go. */
  event(event: WireEvent): void {
    if (!this.#joins?.holds(event)) this.handler.event(event);
  }

  #block({ type, data, lastEventId }: SseEvent): void {
    this.context.options.onFrame?.({ kind: 'block', type, id: lastEventId, data });
    let said: Record<string, unknown>;
    try {
      said = JSON.parse(data);
      const { id, topic, time, reason } = said;
      const texts = type === 'gap' || type === 'end' ? [reason] : [id, topic, time];
      if (type === 'gap') texts.push(said['resumes']);
      if (!texts.every((text) => typeof text === 'string')) throw new Error('a member is missing');
    } catch (cause) {
      const what = `the event ${lastEventId} is not as the protocol has it`;
      throw new TidingsError('event', what, { cause });
    }
    this.healthy = true;
    this.failures = 0;
    if (type === 'gap') {
      this.handler.gap({ topics: [], ...said } as unknown as Gap);
    } else if (type === 'end') {
      const [only] = this.on;
      const topic = `${said['topic'] ?? only}`;
      this.handler.end({ id: lastEventId, topic, reason: said['reason'] as EndReason });
    } else {
      this.event(said as unknown as WireEvent);
    }
  }

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
