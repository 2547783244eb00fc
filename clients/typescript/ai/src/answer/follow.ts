// Follows one answer to its end, over as many connections as it takes.
//
// What it promises: every event of the answer once and in order, whatever is cut and wherever; an
// end only when the server said that it is one, because a broken connection can look like a clean
// end of the body; an error only when the attempts are used up or the server refuses.

import { createEventReader, type AnswerEvent } from './events.js';
import { AnswerError, abortError } from './error.js';
import { detailOf, parseObject } from './json.js';
import { Backoff, isTransient, retryAfter, type RetryOptions } from './retry.js';

/** How an answer ended, in the server's words. */
export type AnswerEnd = 'done' | 'error' | 'cancelled';

/** What the connection does: it is being opened, events can come, or the next attempt waits. */
export type AnswerConnection = 'connecting' | 'open' | 'waiting';

/** One response that carries (a part of) the answer. */
export interface Opened {
  response: Response;
  /** It begins before what was asked for: events up to and including this id are known. */
  skipThrough?: string | undefined;
  /** It is the topic itself, which tells its own end, rather than the API's own stream. */
  isTopic: boolean;
}

/** Where the events come from. */
export interface AnswerSource {
  /** A response that is there already: it is read first. */
  first?: Opened | undefined;
  /** Opens another one, with what comes after this id, or from its beginning. */
  open: (after: string | undefined, signal: AbortSignal) => Promise<Opened>;
}

/** How an answer is followed. All times in milliseconds. */
export interface FollowOptions {
  /** Ends the following, not the answer. */
  signal?: AbortSignal | undefined;
  /** The last event that is known already. */
  lastEventId?: string | undefined;
  /** Waits and attempts. */
  retry?: RetryOptions | undefined;
  /** A connection that is silent for so long is taken for dead. Default 45,000: three heartbeats. */
  heartbeatTimeout?: number | undefined;
  /** How long the head of a response is waited for when coming back. Default 15,000. */
  openTimeout?: number | undefined;
  /** Told what the connection does. */
  onConnection?: ((state: AnswerConnection) => void) | undefined;
}

/** The events after which the APIs without `[DONE]` say nothing more. */
const LAST: ReadonlySet<string> = new Set([
  'message_stop',
  'response.completed',
  'response.incomplete',
  'response.failed',
]);

/** Not an error of the answer's: the connection is to be made again. */
class Cut extends Error {
  constructor(
    message: string,
    readonly wait = 0,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * The events of an answer, to its end. The types `end` and `gap` are the server's own and are not
 * handed out.
 *
 * @returns how the answer ended
 * @throws AnswerError; an `AbortError` when the signal aborts
 */
export async function* follow(
  source: AnswerSource,
  options: FollowOptions = {},
): AsyncGenerator<AnswerEvent, AnswerEnd, undefined> {
  const backoff = new Backoff(options.retry);
  let after = options.lastEventId;
  let first = source.first;
  for (;;) {
    const attempt = new Attempt(options);
    let wait = 0;
    let cause: unknown;
    try {
      options.onConnection?.('connecting');
      const opened = first ?? (await attempt.open(source, after));
      first = undefined;
      const events = attempt.events(opened);
      options.onConnection?.('open');
      let skipping = opened.skipThrough;
      for (;;) {
        const next = await events.next();
        if (next.done === true) return next.value;
        const event = next.value;
        if (skipping !== undefined) {
          if (event.id === skipping) skipping = undefined;
          continue;
        }
        if (event.id !== '') after = event.id;
        backoff.ok();
        yield event;
      }
    } catch (error) {
      if (options.signal?.aborted === true) throw abortError();
      if (error instanceof AnswerError) throw error;
      cause = error;
      if (error instanceof Cut) wait = error.wait;
    } finally {
      attempt.close();
    }
    options.onConnection?.('waiting');
    if (!(await backoff.next(options.signal, wait))) {
      throw new AnswerError('unreachable', 'the answer cannot be reached any more', { cause });
    }
  }
}

/** One connection, with its own controller, so that a late failure cannot touch the next one. */
class Attempt {
  private readonly controller = new AbortController();
  private readonly outer: AbortSignal | undefined;
  private readonly heartbeatTimeout: number;
  private readonly openTimeout: number;
  private readonly abort = (): void => this.controller.abort();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: FollowOptions) {
    this.outer = options.signal;
    this.heartbeatTimeout = options.heartbeatTimeout ?? 45_000;
    this.openTimeout = options.openTimeout ?? 15_000;
    if (this.outer?.aborted === true) this.abort();
    this.outer?.addEventListener('abort', this.abort, { once: true });
  }

  async open(source: AnswerSource, after: string | undefined): Promise<Opened> {
    this.watch(this.openTimeout);
    return await source.open(after, this.controller.signal);
  }

  async *events(opened: Opened): AsyncGenerator<AnswerEvent, AnswerEnd, undefined> {
    const { response } = opened;
    // The topic has ended and there is nothing after the last id.
    if (response.status === 204) return 'done';
    if (!response.ok) throw await refusal(response);
    if (opened.isTopic && !isEventStream(response)) {
      throw new AnswerError('refused', 'what answers there is no event stream', { status: 200 });
    }
    if (response.body === null) throw new Cut('a response without a body');
    const reader = response.body.getReader();
    const cancel = (): void => void reader.cancel().catch(() => undefined);
    this.controller.signal.addEventListener('abort', cancel, { once: true });
    const take = createEventReader();
    let isOver = false;
    try {
      for (;;) {
        this.watch(this.heartbeatTimeout);
        const { done, value } = await reader.read();
        if (this.controller.signal.aborted) throw new Cut('silence');
        if (done) break;
        for (const event of take(value)) {
          if (event.type === 'end') return endOf(event.data);
          if (event.type === 'gap') throw new AnswerError('lost', gapText(event.data));
          yield event;
          if (event.data === '[DONE]' && !opened.isTopic) return 'done';
          if (event.data === '[DONE]' || LAST.has(event.type)) isOver = true;
        }
      }
    } finally {
      this.controller.signal.removeEventListener('abort', cancel);
      cancel();
    }
    if (isOver) return 'done';
    throw new Cut('the connection ended before the answer did');
  }

  close(): void {
    clearTimeout(this.timer);
    this.outer?.removeEventListener('abort', this.abort);
    this.controller.abort();
  }

  private watch(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.abort, ms);
  }
}

/** Whether it is one, and not the page that a web server gives for every path. */
export function isEventStream(response: Response): boolean {
  return response.headers.get('content-type')?.startsWith('text/event-stream') === true;
}

async function refusal(response: Response): Promise<Error> {
  const text = await response.text().catch(() => '');
  const said = detailOf(text) ?? `status ${response.status}`;
  if (isTransient(response.status)) return new Cut(said, retryAfter(response));
  return new AnswerError('refused', said, { status: response.status });
}

function endOf(data: string): AnswerEnd {
  const reason = parseObject(data)?.['reason'];
  return reason === 'error' || reason === 'cancelled' ? reason : 'done';
}

function gapText(data: string): string {
  return `the rest of the answer is not kept any more (${String(parseObject(data)?.['reason'])})`;
}
