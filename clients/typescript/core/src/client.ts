/**
 * The client: subscriptions on one connection, publishing, and history.
 *
 * It tells its link what is wanted by all subscriptions together, and gives each of them what is
 * theirs of what comes.
 */

import { Connection } from './connection.js';
import { Emitter } from './emitter.js';
import { TidingsError } from './errors.js';
import type { Reading } from './intake.js';
import { chunk, load, withRest } from './lazy.js';
import type { Joined, Link, LinkContext, LinkHandler, Wanted } from './link.js';
import { checkTopics, covers, isPattern } from './names.js';
import { MAX_EVENT_BYTES } from './parser.js';
import type { Requests } from './requests.js';
import { Sub, type Host, type Incoming } from './subscription.js';
import { Transport } from './transport.js';
import type {
  Client, ClientEvents, ClientOptions, Clock, ConnectionState, HistoryOptions, Page, Parse,
  ReadyState, Receipt, StateChange, SubscribeOptions, Subscription, WireEvent,
} from './types.js';

const systemClock: Clock = {
  now: () => Date.now(),
  random: () => Math.random(),
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
};

/** `parse` for topics whose data is JSON. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export const json: Parse<any> = (data) => JSON.parse(data);

/** How long events of a topic that was given up may still be on their way, in milliseconds. */
const LEFT_MS = 10_000;

// eslint-disable-next-line @typescript-eslint/no-explicit-any
type AnySub = Sub<any>;

class TidingsClient extends Emitter<ClientEvents> implements Host {
  readonly url: string;
  readonly parse: Parse<unknown> | undefined;
  change: StateChange = { state: 'idle' };

  #context: LinkContext;
  #transport: Transport;
  #link: Link | undefined;
  #subs = new Set<AnySub>();
  #byTopic: Map<string, AnySub[]> | undefined;
  #joined = new Set<string>();
  /** Topics that were given up, and until when the stream may still bring them. */
  #left = new Map<string, number>();
  #flushing = false;
  #requests: Requests | undefined;
  #watching = false;
  #over = new AbortController();

  constructor(options: ClientOptions) {
    super();
    const base = (globalThis.location as Location | undefined)?.href;
    const url = new URL(options.url, base);
    url.hash = '';
    this.url = url.href;
    this.parse = options.parse;
    const { retry } = options;
    this.#context = {
      options,
      url,
      retry: {
        min: 500, max: 30_000, factor: 2, jitter: 'full', initial: true, attempts: Infinity,
        ...retry,
      },
      heartbeatTimeout: options.heartbeatTimeout ?? 45_000,
      openTimeout: options.openTimeout ?? 10_000,
      maxEventBytes: options.maxEventBytes ?? MAX_EVENT_BYTES,
      clock: options.clock ?? systemClock,
      send: (request) => this.#transport.send(request),
      token: () => this.#transport.token(),
      connect: (handler) => new Connection(this.#context, handler),
    };
    this.#transport = new Transport(this.#context);
  }

  get #closed(): boolean {
    return this.#over.signal.aborted;
  }

  get state(): ConnectionState {
    return this.change.state;
  }

  get readyState(): ReadyState {
    const { state } = this;
    return state === 'open' || state === 'stale' ? 1 : state === 'closed' || state === 'failed'
      ? 2 : 0;
  }

  get retryAt(): number | undefined {
    return this.change.retryAt;
  }

  get lastEventId(): string {
    return this.#link?.position ?? '';
  }

  get reconnectionTime(): number {
    return this.#link?.reconnectionTime ?? this.#context.retry.min;
  }

  get role() {
    return this.#link?.role ?? 'own';
  }

  subscribe<T>(topics: string | readonly string[], options: SubscribeOptions<T> = {}): Sub<T> {
    if (this.#closed) throw new TidingsError('closed', 'the client is closed');
    const sub = new Sub<T>(this, checkTopics(topics), options);
    this.#subs.add(sub);
    this.changed();
    return sub;
  }

  check(): void {
    this.#link?.check();
  }

  close(): void {
    if (this.#closed) return;
    this.#over.abort();
    for (const sub of this.#subs) sub.close();
    this.#link?.close();
    this.#setState({ state: 'closed' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** The second chunk and what of it belongs to this client, as soon as it is there. */
  async #rest(signal?: AbortSignal, attempts?: number) {
    const rest = await load(this.#context, signal, attempts);
    this.#requests ??= new rest.Requests(this.#context);
    return { ...rest, requests: this.#requests };
  }

  async publish(...args: Parameters<Requests['publish']>): Promise<Receipt> {
    return (await this.#rest(args[2]?.signal)).requests.publish(...args);
  }

  async history<T>(
    topics: string | readonly string[],
    options?: HistoryOptions & { parse?: Parse<T> },
  ): Promise<Page<T>> {
    return (await this.#rest(options?.signal)).requests.history(topics, options);
  }

  /** See {@link Host}. */
  async read(reading: Reading): Promise<void> {
    const { read, requests } = await this.#rest(reading.signal, this.#context.retry.attempts);
    return read(requests, reading);
  }

  /** See {@link Host}: the next microtask tells the link, once for all changes. */
  changed(): void {
    this.#byTopic = undefined;
    if (this.#flushing || this.#closed) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      if (!this.#closed) this.#flush();
    });
  }

  #flush(): void {
    const wanted = new Map<string, Wanted>();
    const now = this.#context.clock.now();
    for (const [topic, until] of this.#left) if (until < now) this.#left.delete(topic);
    for (const sub of this.#subs) {
      if (sub.isOver) {
        this.#subs.delete(sub);
        for (const topic of sub.topics) this.#left.set(topic, now + LEFT_MS);
      } else for (const topic of sub.wanted) {
        if (!wanted.has(topic)) wanted.set(topic, { topic, start: sub.start });
      }
    }
    for (const topic of this.#joined) {
      if (!wanted.has(topic) && this.#joined.delete(topic)) this.#left.set(topic, now + LEFT_MS);
    }
    for (const topic of wanted.keys()) this.#left.delete(topic);
    if (!this.#link) {
      if (!wanted.size) return;
      const handler = this.#handler();
      const { share } = this.#context.options;
      if (share && !chunk()) {
        // Another tab's events come at once, and have to be taken in.
        withRest(this.#context, this.#over.signal, () => this.changed());
        return;
      }
      this.#link = share?.link(this.#context, handler) ?? this.#context.connect(handler);
    }
    // Topics that have joined for others have joined for those who come later.
    const after = this.#link.position;
    for (const sub of this.#subs) {
      const topics = sub.wanted.filter((topic) => this.#joined.has(topic));
      if (topics.length) sub.joined({ topics, after, direct: false });
    }
    this.#link.want([...wanted.values()]);
  }

  #handler(): LinkHandler {
    return {
      joined: (joined) => this.#join(joined),
      event: (event) => this.#route(event),
      gap: (gap) => {
        for (const sub of this.#subs) {
          const topics = sub.concerned(gap.topics);
          if (topics.length || !gap.topics.length) sub.push({ gap: { ...gap, topics } });
        }
      },
      end: (end) => this.#each([end.topic], (sub) => sub.push({ end })),
      done: (topics) => this.#each(topics, (sub) => sub.push({ done: true })),
      state: (change) => this.#setState(change),
      refused: (topics, error) => this.#each(topics, (sub) => sub.fail(error)),
      failed: (error) => {
        this.#joined.clear();
        for (const sub of this.#subs) sub.fail(error);
        this.#subs.clear();
        this.changed();
        this.emit('error', error);
      },
    };
  }

  #each(topics: readonly string[], run: (sub: AnySub) => void): void {
    for (const sub of [...this.#subs]) {
      if (sub.topics.some((topic) => topics.includes(topic))) run(sub);
    }
  }

  #join(joined: Joined): void {
    for (const topic of joined.topics) this.#joined.add(topic);
    for (const sub of [...this.#subs]) {
      const topics = joined.topics.filter((topic) => sub.topics.includes(topic));
      if (topics.length) sub.joined({ ...joined, topics });
    }
  }

  #route(event: WireEvent): void {
    const item: Incoming = { event };
    if (!this.#byTopic) {
      this.#byTopic = new Map();
      for (const sub of this.#subs) {
        for (const topic of sub.topics) {
          const name = isPattern(topic) ? '*' : topic;
          const subs = this.#byTopic.get(name) ?? [];
          if (!subs.includes(sub)) subs.push(sub);
          this.#byTopic.set(name, subs);
        }
      }
    }
    const subs = new Set(this.#byTopic.get(event.topic));
    for (const topic of event.alternates ?? []) {
      for (const sub of this.#byTopic.get(topic) ?? []) subs.add(sub);
    }
    for (const sub of this.#byTopic.get('*') ?? []) {
      if (covers(sub.topics, event)) subs.add(sub);
    }
    if (!subs.size && this.#isLeft(event)) return;
    // What was forked keeps the topic that it was published to (PROTOCOL.md, section 10).
    if (!subs.size && this.#subs.size === 1) for (const sub of this.#subs) subs.add(sub);
    if (!subs.size) this.#context.options.logger?.warn?.(`tidings: who follows ${event.topic}?`);
    for (const sub of subs) sub.push(item);
  }

  /** Whether an event is of a topic that nobody follows any more since a moment ago. */
  #isLeft(event: WireEvent): boolean {
    const now = this.#context.clock.now();
    const left = [...this.#left].filter(([, until]) => until >= now).map(([topic]) => topic);
    return covers(left, event);
  }

  #setState(change: StateChange): void {
    if (this.change.state === 'closed') return;
    this.change = change;
    if (!this.#watching && change.state !== 'connecting') {
      // From here on the second chunk should be there: it may count.
      this.#watching = true;
      const { signal } = this.#over;
      withRest(this.#context, signal, ({ watchPage }) =>
        watchPage(this.#context, () => this.#link, signal));
    }
    for (const sub of [...this.#subs]) sub.stateChanged();
    this.emit('state', change);
  }
}

/**
 * Makes a client. Nothing is sent before something is asked for.
 *
 * @throws {TypeError} if `url` is not a URL.
 */
export function createClient<Events extends Record<string, unknown> = Record<string, unknown>>(
  options: ClientOptions,
): Client<Events> {
  return new TidingsClient(options) as unknown as Client<Events>;
}

export type { Subscription };
