/**
 * What tabs say to each other. Two kinds of channels: on the group's own everybody speaks; on a
 * leader's channel only the leader does, and what it says there is in order and numbered, so that a
 * tab notices when it has missed something.
 *
 * Bounds: a message of `items` has at most {@link MESSAGE_ITEMS} items and, unless it is a single
 * item, {@link MESSAGE_BYTES} bytes.
 */

import { TidingsError, UnauthorizedError, type ErrorDetails } from '../errors.js';
import type { Joined } from '../link.js';
import type { ConnectionState, End, Gap, StateChange, WireEvent } from '../types.js';

/** Changes with the messages: tabs of different versions do not understand each other. */
export const VERSION = 1;
/** Most items of one message. */
export const MESSAGE_ITEMS = 256;
/** Most bytes of one message of several items; a guess of what is copied. */
export const MESSAGE_BYTES = 256 * 1024;

/** A place in what leaders have said: terms and numbers grow, ids are opaque. */
export interface Place {
  readonly term: number;
  readonly number: number;
  /** The position on the server's sequence. */
  readonly id: string;
}

/** What a tab says to the leader. */
export type Upward =
  /** Is anybody there? */
  | { readonly kind: 'ask' }
  /** What the tab follows, and where it is; answered with `welcome`. */
  | { kind: 'want'; tab: string; term: number; topics: readonly string[]; place: Place }
  /** It has read so far. */
  | { kind: 'read'; tab: string; term: number; number: number; bytes: number }
  /** Its page has just woken up: look whether the connection is alive. */
  | { kind: 'check' }
  /** It is gone. */
  | { kind: 'bye'; tab: string };

/** What a leader says on the group's channel: that it is there, and where it says the rest. */
export interface Lead {
  readonly kind: 'lead';
  readonly term: number;
  readonly channel: string;
  /** Bound of the wait before a first retry, in milliseconds. */
  readonly reconnectionTime: number;
}

/** What comes on the connection, in order. */
export type Item =
  | { readonly event: WireEvent }
  | { readonly gap: Gap }
  | { readonly end: End }
  | { readonly joined: Joined }
  | { readonly refused: readonly string[]; readonly error: PlainError }
  | { readonly done: readonly string[] }
  | { readonly state: PlainState };

/** What a leader says on its channel. */
export type Downward =
  | {
      readonly kind: 'items';
      readonly number: number;
      /** Bytes of all messages of this leader so far. */
      readonly bytes: number;
      /** The position that is reached with it. */
      readonly id: string;
      readonly items: readonly Item[];
    }
  /** To one tab: what follows here comes after `id`, for the topics that have joined. */
  | {
      readonly kind: 'welcome';
      readonly tab: string;
      readonly number: number;
      readonly id: string;
      readonly joined: readonly string[];
      readonly state: PlainState;
    }
  /** It goes on there. */
  | { readonly kind: 'move'; readonly channel: string };

/** An error as it is copied from tab to tab. */
export type PlainError = ErrorDetails & { readonly code: string; readonly message: string };

/** A change of state as it is copied. */
export type PlainState = Omit<StateChange, 'error'> & {
  readonly state: ConnectionState;
  readonly error?: PlainError;
};

export function plainError(error: TidingsError): PlainError {
  const { code, message, status, retryable, attempt, retryAfter } = error;
  // A problem document came as JSON, so it can be copied; a cause may be anything.
  return { code, message, status, retryable, attempt, retryAfter, problem: error.problem };
}

export function toError(plain: PlainError): TidingsError {
  const { code, message, ...details } = plain;
  if (code === 'unauthorized') return new UnauthorizedError(message, details);
  return new TidingsError(code, message, details);
}

export function plainState(change: StateChange): PlainState {
  const { error, ...rest } = change;
  return error === undefined ? rest : { ...rest, error: plainError(error) };
}

export function toState(plain: PlainState): StateChange {
  const { error, ...rest } = plain;
  return error === undefined ? rest : { ...rest, error: toError(error) };
}

/** About how many bytes an item is. */
export function size(item: Item): number {
  const overhead = 256;
  if (!('event' in item)) return overhead;
  const { data, data_base64 } = item.event;
  // Texts are copied with one or two bytes a unit; this counts on two.
  return overhead + 2 * ((data?.length ?? 0) + (data_base64?.length ?? 0));
}
