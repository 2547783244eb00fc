// An answer as React can read it: one that is followed once, however many components show it.

import {
  AnswerError, answerOf, emptyText, follow, sourceOf, stopAnswer, takeEvent, type AnswerEnd,
  type AnswerHandle, type AnswerOptions, type AnswerUsage,
} from '@tidings/ai/answer';
import { GRACE_MS } from './feed.js';
import { Scheduler } from './scheduler.js';

/**
 * Where a text is:
 *
 * - `idle`: there is no answer.
 * - `connecting`: it is being asked for, for the first time or again.
 * - `streaming`: it comes.
 * - `waiting`: the connection is gone; it goes on where it was.
 * - `done`, `cancelled`, `error`: how it ended.
 */
export type TextStatus =
  | 'idle' | 'connecting' | 'streaming' | 'waiting' | 'done' | 'cancelled' | 'error';

/** A text so far. */
export interface TextSnapshot {
  readonly text: string;
  /** What the model thought aloud. */
  readonly reasoning: string;
  readonly status: TextStatus;
  /** What it has cost, once that is told. */
  readonly usage: AnswerUsage | undefined;
  /** Why the model stopped, in its API's word. */
  readonly finishReason: string | undefined;
  /** Why it ended with `error`. */
  readonly error: Error | undefined;
  /** The last event that is part of the text. */
  readonly lastEventId: string;
}

/** No text. */
export const NO_TEXT: TextSnapshot = Object.freeze({
  text: '',
  reasoning: '',
  status: 'idle',
  usage: undefined,
  finishReason: undefined,
  error: undefined,
  lastEventId: '',
});

/** What an answer is found by. */
export type Answer = string | URL | AnswerHandle | Response;

/** An answer that is followed by at least one component, or was until just now. */
export class TextFeed {
  snapshot: TextSnapshot = NO_TEXT;
  private readonly scheduler = new Scheduler();
  private readonly listeners = new Set<() => void>();
  private readonly said = emptyText();
  private status: TextStatus = 'idle';
  private error: Error | undefined;
  private lastEventId = '';
  private run: AbortController | undefined;
  private leaving: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly answer: Answer,
    private readonly options: AnswerOptions,
    private readonly onEnd: () => void,
  ) {}

  hold(notify: () => void): () => void {
    clearTimeout(this.leaving);
    this.listeners.add(notify);
    if (this.status === 'idle') void this.follow();
    return () => {
      if (!this.listeners.delete(notify) || this.listeners.size > 0) return;
      this.leaving = setTimeout(() => this.close(), GRACE_MS);
    };
  }

  /** Stops the answer itself, for everybody. */
  async stop(): Promise<void> {
    const { stop } = this.handle() ?? {};
    if (stop === undefined) {
      throw new AnswerError('refused', 'it is not known how this answer is stopped');
    }
    await stopAnswer(stop, this.options);
  }

  /** Goes on after an error, where it was. */
  resume(): void {
    if (this.status !== 'error') return;
    this.error = undefined;
    void this.follow();
  }

  private handle(): AnswerHandle | undefined {
    if (this.answer instanceof Response) return answerOf(this.answer, this.options.server);
    if (typeof this.answer === 'object' && 'url' in this.answer) return this.answer;
    return { url: String(this.answer) };
  }

  private close(): void {
    this.scheduler.unschedule(this.flush);
    this.run?.abort();
    this.onEnd();
  }

  private async follow(): Promise<void> {
    const run = new AbortController();
    this.run = run;
    const isCurrent = (): boolean => this.run === run && !run.signal.aborted;
    const { source } = sourceOf(this.answer, this.options);
    // A body is read once; whoever resumes asks for what comes after it.
    if (this.lastEventId !== '') source.first = undefined;
    const events = follow(source, {
      ...this.options,
      signal: run.signal,
      lastEventId: this.lastEventId || undefined,
      onConnection: (state) => {
        if (isCurrent()) this.become(state === 'open' ? 'streaming' : state);
      },
    });
    try {
      for (;;) {
        const next = await events.next();
        if (!isCurrent()) return;
        if (next.done === true) {
          this.end(next.value);
          return;
        }
        const event = next.value;
        this.lastEventId = event.id || this.lastEventId;
        takeEvent(this.said, event);
        this.scheduler.schedule(this.flush);
      }
    } catch (error) {
      if (!isCurrent()) return;
      this.error = error instanceof Error ? error : new Error(String(error));
      this.become('error', true);
    }
  }

  private end(how: AnswerEnd): void {
    const { error, isCancelled } = this.said;
    if (how === 'cancelled' || isCancelled) this.become('cancelled', true);
    else if (how === 'error' || error !== undefined) {
      this.error = new Error(error ?? 'the answer broke off');
      this.become('error', true);
    } else this.become('done', true);
  }

  private become(status: TextStatus, isUrgent = false): void {
    this.status = status;
    if (isUrgent) this.scheduler.flushNow(this.flush);
    else this.scheduler.schedule(this.flush);
  }

  private readonly flush = (): void => {
    const { text, reasoning, usage, finishReason } = this.said;
    const { status, error, lastEventId } = this;
    const after = { text, reasoning, status, usage, finishReason, error, lastEventId };
    const before = this.snapshot;
    const names = Object.keys(after) as (keyof TextSnapshot)[];
    if (names.every((name) => before[name] === after[name])) return;
    this.snapshot = after;
    for (const listener of [...this.listeners]) listener();
  };
}

const feeds = new Map<string, TextFeed>();
const responses = new WeakMap<Response, string>();
let serial = 0;

/** The name of an answer: equal for the same one, asked for in the same way. */
export function textName(answer: Answer, options: AnswerOptions): string {
  return JSON.stringify([urlOf(answer), options.deltas, options.from]);
}

function urlOf(answer: Answer): string {
  if (typeof answer === 'string' || answer instanceof URL) return String(answer);
  if (!(answer instanceof Response)) return answer.url;
  let name = responses.get(answer);
  if (name === undefined) {
    name = `response ${(serial += 1)}`;
    responses.set(answer, name);
  }
  return name;
}

/** The answer of this name, if somebody holds it or did until just now. */
export function peekText(name: string): TextFeed | undefined {
  return feeds.get(name);
}

/** @returns what lets it go again */
export function holdText(
  name: string,
  answer: Answer,
  options: AnswerOptions,
  notify: () => void,
): () => void {
  let feed = feeds.get(name);
  if (feed === undefined) {
    feed = new TextFeed(answer, options, () => feeds.delete(name));
    feeds.set(name, feed);
  }
  return feed.hold(notify);
}
