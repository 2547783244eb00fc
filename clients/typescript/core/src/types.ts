/**
 * The public shapes of the client: what can be asked for, and what is handed out.
 *
 * Types only. Names are those of the standards where there are any (`lastEventId`, `readyState`,
 * `reconnectionTime`: WHATWG HTML, section 9.2). Times are in milliseconds unless said otherwise.
 * Ids are opaque: they are compared for equality and sent back, never looked into.
 */

import type { TidingsError } from './errors.js';
import type { Share } from './link.js';

/**
 * Where a client or a subscription is:
 *
 * - `idle`: nothing is followed, or nothing was asked yet.
 * - `connecting`: a request is on its way.
 * - `open`: events come.
 * - `waiting`: the connection is gone; the next attempt is at `retryAt`.
 * - `paused`: closed while the page is hidden or put away; resumed when it is shown.
 * - `stale`: open, but silent for longer than a heartbeat should take; about to be given up.
 * - `closed`: ended by `close()`, or because every topic has ended.
 * - `failed`: ended by an error that waiting does not mend.
 */
export type ConnectionState =
  | 'idle'
  | 'connecting'
  | 'open'
  | 'waiting'
  | 'paused'
  | 'stale'
  | 'closed'
  | 'failed';

/** `CONNECTING`, `OPEN`, `CLOSED`, as `EventSource` has them. */
export type ReadyState = 0 | 1 | 2;

/** The event object of the protocol (PROTOCOL.md, section 3), as it comes on the wire. */
export interface WireEvent {
  id: string;
  topic: string;
  /** RFC 3339, with milliseconds. */
  time: string;
  alternates?: string[];
  type?: string;
  key?: string;
  publisher_id?: string;
  /** UTF-8 data; otherwise `data_base64` has it. */
  data?: string;
  data_base64?: string;
  /** Whether and how the event has ended its topic. */
  end?: EndReason;
}

/** How a topic ended (PROTOCOL.md, section 8). */
export type EndReason = 'done' | 'error' | 'cancelled';

/** An event, as a subscription hands it out. */
export interface TidingsEvent<T = string> {
  /** The event's position. Whoever keeps it can resume there: `lastEventId`. */
  readonly id: string;
  readonly topic: string;
  /** Other topics that it belongs to. */
  readonly alternates?: readonly string[];
  /** When the server took it: RFC 3339, with milliseconds. `new Date(time)` reads it. */
  readonly time: string;
  readonly type?: string;
  readonly key?: string;
  readonly publisherId?: string;
  /** The data: as text, or what `parse` has made of it. */
  readonly data: T;
  /** The data when it is not UTF-8 text; `data` was made from an empty text then. */
  readonly bytes?: Uint8Array;
  /** Whether and how it has ended its topic. */
  readonly end?: EndReason;
}

/** Events that could not be delivered (PROTOCOL.md, section 7). Never silent. */
export interface Gap {
  /**
   * `retention`, `crash`, `damage`, `epoch` or `unknown-id` as the server says; `overflow` if the
   * subscription's own queue dropped them (`drop-oldest`, `conflate`).
   */
  readonly reason: string;
  /** The id that was to be resumed after. */
  readonly requested?: string;
  /** The position from which it goes on. */
  readonly resumes?: string;
  /** The topics concerned; empty: it cannot be known. */
  readonly topics: readonly string[];
}

/** A topic has ended: nothing more will come of it. */
export interface End {
  /** The position of the event that ended it. */
  readonly id: string;
  readonly topic: string;
  readonly reason: EndReason;
}

/** Told at each change of the connection. */
export interface StateChange {
  readonly state: ConnectionState;
  /** When the next attempt is made, in milliseconds since 1970; with `waiting` only. */
  readonly retryAt?: number;
  /** Failures in a row; with `waiting` only. */
  readonly attempt?: number;
  /** Why it is `waiting` or `failed`. */
  readonly error?: TidingsError;
}

/** What the inspector is shown: the traffic of the connection, in order. */
export type Frame =
  | { readonly kind: 'request'; readonly method: string; readonly url: string }
  | { readonly kind: 'response'; readonly status: number }
  | { readonly kind: 'block'; readonly type: string; readonly id: string; readonly data: string }
  | { readonly kind: 'comment'; readonly text: string }
  | { readonly kind: 'close'; readonly error?: TidingsError };

/** Time, timers and chance, so that tests can hold them (`@tidings/client/testing`). */
export interface Clock {
  /** Milliseconds since 1970, by the wall clock. */
  now(): number;
  /** Evenly from 0 (included) to 1 (excluded). */
  random(): number;
  setTimeout(run: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

/** How to come back. */
export interface Retry {
  /** Bound of the wait after the first failure: 500 ms. A server's `retry:` counts instead. */
  min?: number;
  /** Highest bound: 30,000 ms. */
  max?: number;
  /** By how much the bound grows with each failure: 2. */
  factor?: number;
  /**
   * `full` draws each wait evenly from zero to the bound; a number draws it from that share of the
   * bound around it (0.3: from 70 % to 130 %). `full` unless given.
   */
  jitter?: 'full' | number;
  /** Failures in a row after which the client gives up; no limit unless given. */
  attempts?: number;
  /** `false`: a failure of the very first attempt is final. */
  initial?: boolean;
}

/** Says where to log; `console` will do. */
export interface Logger {
  debug?(message: string, ...details: unknown[]): void;
  warn?(message: string, ...details: unknown[]): void;
}

/** Why a token is asked for. */
export interface TokenRequest {
  /**
   * `connect`: the first; `expired`: the last one is past its `exp` (RFC 7519); `unauthorized`: the
   * server has refused it (401).
   */
  readonly reason: 'connect' | 'expired' | 'unauthorized';
}

/** Turns the text of an event into its data. What it throws fails the subscription. */
export type Parse<T> = (data: string, event: WireEvent) => T;

/** What a client needs to know. Only `url` is required. */
export interface ClientOptions {
  /** Where the server is. A path before its routes and a query (`?token=…`) are kept. */
  url: string | URL;
  /**
   * Gives the bearer token. Asked for once at a time, kept until it expires or is refused. What it
   * throws is a failed attempt, but an {@link UnauthorizedError} ends the client.
   */
  getToken?: (why: TokenRequest) => string | Promise<string>;
  /** Further request headers; a function is called for each request. */
  headers?: Record<string, string> | (() => Record<string, string>);
  /** Makes the requests; the global `fetch` unless given. */
  fetch?: typeof globalThis.fetch;
  /** Whether cookies go along (Fetch standard); `same-origin` unless given. */
  credentials?: RequestCredentials;
  retry?: Retry;
  /** Silence after which a connection is taken for dead: 45,000 ms, three heartbeats. */
  heartbeatTimeout?: number;
  /** Longest wait for an answer's head: 10,000 ms. */
  openTimeout?: number;
  /**
   * What happens while the page is hidden. `keep` (the default): nothing; the connection is looked
   * at when the page comes back. `pause`: it is closed and resumed; with `pauseAfter`: once the
   * page was hidden for so many milliseconds.
   */
  visibility?: 'keep' | 'pause' | { pauseAfter: number };
  /** Shares one connection among tabs (`@tidings/client/shared`); absent: one of its own. */
  share?: Share;
  /** Largest event, in bytes: 8 MiB. A larger one fails the client (`too-large`). */
  maxEventBytes?: number;
  /** What subscriptions make of data unless they say otherwise; the text as it is. See `json`. */
  parse?: Parse<unknown>;
  /** Called with all that comes and goes, for inspectors. */
  onFrame?: (frame: Frame) => void;
  logger?: Logger;
  /** For tests. */
  clock?: Clock;
}

/** What happens when a reader is slower than its events. */
export interface Buffer<T> {
  /** Events that wait for the reader: 1,024. */
  max?: number;
  /**
   * `catch-up` (the default): what does not fit is read from history once the reader has caught up;
   * nothing is lost. `error`: the subscription fails. `drop-oldest`: the oldest goes, and a gap
   * with reason `overflow` is told. `conflate`: of events with the same key only the newest waits;
   * if there are still too many, as `drop-oldest`.
   */
  overflow?: 'catch-up' | 'error' | 'drop-oldest' | 'conflate';
  /** The key for `conflate`; the event's topic and its `key` unless given. */
  key?: (event: TidingsEvent<T>) => string;
}

/** Where a subscription begins and how its events are handed out. */
export interface SubscribeOptions<T = string> {
  /** Begin after the event with this id. */
  lastEventId?: string;
  /** Begin with the last so many events (0 to 10,000), or with the oldest that is kept. */
  history?: 'none' | number | 'all';
  /** Begin with the first event at or after this time, or this long ago (`'5m'`). */
  since?: Date | string;
  /** Makes data of text; the client's `parse` unless given. */
  parse?: Parse<T>;
  /**
   * Told of each gap. Events after the gap are held back until it settles; what it throws fails the
   * subscription.
   */
  resync?: (gap: Gap) => void | Promise<void>;
  /** Closes the subscription. */
  signal?: AbortSignal;
  buffer?: Buffer<T>;
}

/** What the listeners of a subscription are given. */
export interface SubscriptionEvents<T> {
  event: TidingsEvent<T>;
  state: StateChange;
  gap: Gap;
  end: End;
  error: TidingsError;
}

/**
 * Topics that are being followed. It is read in one of two ways: `for await` (leaving the loop
 * closes it), or with listeners.
 *
 * Events wait in a bounded queue until somebody reads. With an iterator, listeners hear of an
 * event, a gap or an end when the iterator reaches it; without, as soon as it comes.
 */
export interface Subscription<T = string>
  extends EventTarget,
    AsyncIterable<TidingsEvent<T>>,
    AsyncDisposable {
  /** Names and patterns. */
  readonly topics: readonly string[];
  readonly state: ConnectionState;
  readonly readyState: ReadyState;
  /** The id of the last event that was handed out, or where it began. Empty: not known yet. */
  readonly lastEventId: string;
  /** Whose connection brings the events. */
  readonly shared: 'own' | 'leader' | 'follower';
  /** Why it failed. */
  readonly error: TidingsError | undefined;
  /**
   * Follows these topics instead, without a reconnect. Those that stay go on without a seam; those
   * that are new begin with what comes from now on.
   */
  change(topics: string | readonly string[]): void;
  /**
   * Calls `listener` until the function that is returned is called. The listeners of
   * `addEventListener` get the same in `event.detail`.
   */
  on<K extends keyof SubscriptionEvents<T>>(
    type: K,
    listener: (value: SubscriptionEvents<T>[K]) => void,
  ): () => void;
  /** Ends it; idempotent. Nothing is handed out afterwards. */
  close(): void;
}

/** How an event is published (PROTOCOL.md, section 4). */
export interface PublishOptions {
  type?: string;
  key?: string;
  /** How long it is delivered: milliseconds, or a duration (`'90s'`). */
  ttl?: number | string;
  /** When it is published. */
  at?: Date | string;
  /** How much later it is published: milliseconds, or a duration. */
  delay?: number | string;
  /** The id that must be the newest of the topic, or `none`. */
  expect?: string;
  /** The publisher's own id for it. */
  id?: string;
  /** Whether it ends the topic, and how. */
  end?: EndReason;
  /** Sent with each attempt; made up unless given, so that a repeat is never a second event. */
  idempotencyKey?: string;
  /** Outlive the page (Fetch standard, `keepalive`); at most 64 KiB. */
  keepalive?: boolean;
  signal?: AbortSignal;
}

/** What the server says to a publish. */
export interface Receipt {
  /** The event's id; empty if it is published later. */
  readonly id: string;
  readonly topic: string;
  /** Whether an earlier attempt had stored it already. */
  readonly duplicate: boolean;
  /** With `at` and `delay`: the name under which it can be taken back. */
  readonly schedule?: string;
}

/** Which page of history. */
export interface HistoryOptions {
  /** Begin after this id. */
  after?: string;
  /** Leave out this id and later ones. */
  before?: string;
  /** Begin with the last so many. */
  last?: number;
  /** Begin with the oldest that is kept. */
  earliest?: boolean;
  /** Begin with this time, or this long ago. */
  since?: Date | string;
  /** Events in the page, at most 1,000; 100 unless given. */
  limit?: number;
  signal?: AbortSignal;
}

/** A page of history. */
export interface Page<T = string> {
  readonly events: readonly TidingsEvent<T>[];
  /** What to give as `after` to read on. */
  readonly next: string;
  /** Whether there is more at this moment. */
  readonly more: boolean;
  readonly gap: Gap | null;
}

/** What the listeners of a client are given. */
export interface ClientEvents {
  state: StateChange;
  error: TidingsError;
}

/** Topic names of a typed client; none of an untyped one. */
export type Names<Events> = string extends keyof Events ? never : keyof Events & string;

/**
 * One connection to one server, with any number of subscriptions on it. It is made when the first
 * subscription is, and closed after the last.
 *
 * @typeParam Events data by topic, for typed clients; give `parse` with it.
 */
export interface Client<Events extends Record<string, unknown> = Record<string, unknown>>
  extends EventTarget,
    AsyncDisposable {
  /** The server's address. */
  readonly url: string;
  readonly state: ConnectionState;
  readonly readyState: ReadyState;
  /** The position of the connection. */
  readonly lastEventId: string;
  /** Bound of the wait before a first retry, in milliseconds: `retry.min`, or the server's. */
  readonly reconnectionTime: number;
  /** When the next attempt is made, in milliseconds since 1970; while `waiting`. */
  readonly retryAt: number | undefined;

  /**
   * Follows topics; a name with `*` is a pattern (PROTOCOL.md, section 2). Many subscriptions share
   * the connection.
   *
   * @throws {TidingsError} `invalid-topic`, `invalid-pattern`, `too-many-topics`, `closed`.
   */
  subscribe<K extends Names<Events>>(
    topics: K | readonly K[],
    options?: SubscribeOptions<Events[K]>,
  ): Subscription<Events[K]>;
  subscribe<T = string>(
    topics: string | readonly string[],
    options?: SubscribeOptions<T>,
  ): Subscription<T>;

  /**
   * Publishes one event: text and bytes as they are, anything else as JSON. Repeated with the same
   * idempotency key until it is answered, at most `retry.attempts` times (5 unless given).
   *
   * @throws {TidingsError} with the server's `code`, or `network`, `timeout`, `aborted`.
   */
  publish(
    topic: string,
    data: string | Uint8Array | object,
    options?: PublishOptions,
  ): Promise<Receipt>;

  /** Reads one page of history. Retried as `publish` is. */
  history<T = string>(
    topics: string | readonly string[],
    options?: HistoryOptions & { parse?: Parse<T> },
  ): Promise<Page<T>>;

  on<K extends keyof ClientEvents>(
    type: K,
    listener: (value: ClientEvents[K]) => void,
  ): () => void;

  /** Looks now whether the connection is still alive; done by itself when a page wakes up. */
  check(): void;

  /** Closes the connection and every subscription; idempotent. */
  close(): void;
}
