// An answer for programs: its text as it comes, its whole text, its usage, and a real stop.

import type { AnswerEvent } from './events.js';
import { AnswerError } from './error.js';
import { follow, type AnswerEnd, type AnswerSource, type FollowOptions } from './follow.js';
import { answerOf, type AnswerHandle } from './handle.js';
import { detailOf } from './json.js';
import { Backoff, isTransient, retryAfter } from './retry.js';
import { emptyText, takeEvent, type AnswerText } from './text.js';

/** How an answer is reached. */
export interface AnswerOptions extends FollowOptions {
  /** Used instead of the global one. */
  fetch?: typeof globalThis.fetch | undefined;
  /** Sent when coming back: tokens of the answer's own are in its URL, so there is usually none. */
  headers?: HeadersInit | undefined;
  /** As fetch has it. */
  credentials?: RequestCredentials | undefined;
  /**
   * `merged` joins the pieces of text that the reader is behind into few, long ones. Default `raw`.
   */
  deltas?: 'raw' | 'merged' | undefined;
  /**
   * Where to begin without a last event: `snapshot` is one event with all that was said, then what
   * comes; `earliest` the events as they were. Default `snapshot`.
   */
  from?: 'snapshot' | 'earliest' | undefined;
  /** Where the server's own paths are found, if that is not beside the response. */
  server?: string | URL | undefined;
}

/**
 * Follows an answer by its handle, or its URL with the read token.
 *
 * @throws AnswerError; an `AbortError` when the signal aborts
 */
export function followAnswer(
  answer: string | URL | AnswerHandle,
  options: AnswerOptions = {},
): AsyncGenerator<AnswerEvent, AnswerEnd, undefined> {
  const url = typeof answer === 'object' && 'url' in answer ? answer.url : String(answer);
  return follow({ open: opener(url, options) }, options);
}

/** Requests what comes after an event from the answer's own URL. */
export function opener(url: string, options: AnswerOptions): AnswerSource['open'] {
  const { from = 'snapshot', deltas = 'raw', credentials } = options;
  return async (after, signal) => {
    const params: string[] = [];
    if (after === undefined && from === 'earliest') params.push('earliest=true');
    if (deltas === 'merged') params.push('deltas=merged');
    const headers = new Headers(options.headers);
    headers.set('accept', 'text/event-stream');
    if (after !== undefined) headers.set('last-event-id', after);
    const asked = params.length > 0 ? url + (url.includes('?') ? '&' : '?') + params.join('&') : url;
    const init: RequestInit = { headers, signal, cache: 'no-store' };
    if (credentials !== undefined) init.credentials = credentials;
    const response = await (options.fetch ?? globalThis.fetch)(asked, init);
    return { response, isTopic: true };
  };
}

/** Attempts to say that an answer is to be stopped. */
const STOP_ATTEMPTS = 4;

/**
 * Stops an answer for everybody: its upstream's connection is closed. Stopping one that has ended
 * is no error.
 *
 * @param url where it is stopped, the stop token included (`handle.stop`)
 * @returns false if the server does not know the answer: one that is not kept any more does not run
 * @throws AnswerError
 */
export async function stopAnswer(
  url: string,
  options: Pick<AnswerOptions, 'fetch' | 'headers' | 'credentials' | 'retry'> = {},
): Promise<boolean> {
  const backoff = new Backoff({ ...options.retry, attempts: STOP_ATTEMPTS });
  const init: RequestInit = { method: 'POST', keepalive: true };
  if (options.headers !== undefined) init.headers = options.headers;
  if (options.credentials !== undefined) init.credentials = options.credentials;
  for (;;) {
    let wait = 0;
    let cause: unknown;
    try {
      const response = await (options.fetch ?? globalThis.fetch)(url, init);
      const text = await response.text().catch(() => '');
      if (response.ok || response.status === 404) return response.ok;
      const said = detailOf(text) ?? `status ${response.status}`;
      const refused = new AnswerError('refused', said, { status: response.status });
      if (!isTransient(response.status)) throw refused;
      wait = retryAfter(response);
      cause = refused;
    } catch (error) {
      if (error instanceof AnswerError) throw error;
      cause = error;
    }
    if (!(await backoff.next(undefined, wait))) {
      throw new AnswerError('unreachable', 'the answer could not be stopped', { cause });
    }
  }
}

/** A streamed answer as text. Iterating hands out the pieces as they come. */
export interface AnswerReader extends AsyncIterable<string> {
  /** What was said so far; the same object, growing. */
  readonly said: Readonly<AnswerText>;
  /** Where it is; undefined if the server is not a relay: a cut then ends it with an error. */
  readonly handle: AnswerHandle | undefined;
  /** Reads to the end: the whole text. */
  text(): Promise<string>;
  /** Stops the answer itself. Leaving the loop only stops reading. */
  stop(): Promise<void>;
}

/**
 * Reads an answer of an OpenAI-compatible or Anthropic API, or of a chat, as text.
 *
 * ```ts
 * const answer = readAnswer(await fetch('/v1/chat/completions', { method: 'POST', … }));
 * for await (const piece of answer) process.stdout.write(piece);
 * ```
 *
 * @param answer the response that began it, its handle, or its URL with the read token
 * @returns a reader, which goes on over cuts; reading it throws AnswerError if the answer failed
 */
export function readAnswer(
  answer: Response | string | URL | AnswerHandle,
  options: AnswerOptions = {},
): AnswerReader {
  const said = emptyText();
  const { source, handle } = sourceOf(answer, options);
  const events = follow(source, options);
  async function* pieces(): AsyncGenerator<string, void, undefined> {
    try {
      for await (const event of events) {
        const before = said.text.length;
        takeEvent(said, event);
        if (said.text.length > before) yield said.text.slice(before);
      }
    } finally {
      await events.return('done').catch(() => undefined);
    }
    if (said.error !== undefined) throw new AnswerError('refused', said.error);
  }
  const reading = pieces();
  return {
    said,
    handle,
    [Symbol.asyncIterator]: () => reading,
    async text() {
      for await (const _ of reading) void _;
      return said.text;
    },
    async stop() {
      const stop = handle?.stop;
      if (stop === undefined) {
        throw new AnswerError('refused', 'it is not known how this answer is stopped');
      }
      await stopAnswer(stop, options);
    },
  };
}

/** Where the events of an answer come from, and its handle. */
export function sourceOf(
  answer: Response | string | URL | AnswerHandle,
  options: AnswerOptions,
): { source: AnswerSource; handle: AnswerHandle | undefined } {
  if (!(answer instanceof Response)) {
    const handle: AnswerHandle =
      typeof answer === 'object' && 'url' in answer ? answer : { url: String(answer) };
    return { source: { open: opener(handle.url, options) }, handle };
  }
  const handle = answerOf(answer, options.server);
  // Its beginning was promised with the events as they are, so that is how it is read on.
  const open =
    handle === undefined
      ? (): Promise<never> => Promise.reject(
          new AnswerError('lost', 'the connection was cut, and this server has no way back'),
        )
      : opener(handle.url, { ...options, from: 'earliest' });
  return { source: { first: { response: answer, isTopic: false }, open }, handle };
}
