// Waiting between attempts: the first one follows at once, then exponentially with full jitter,
// and never sooner than the server asks for (Retry-After).

import { abortError } from './error.js';

/** How often and how soon something is tried again. All times in milliseconds. */
export interface RetryOptions {
  /** Upper bound of the first wait. Default 500. */
  min?: number;
  /** Upper bound of every wait. Default 10,000. */
  max?: number;
  /** Attempts in a row without an event before giving up. Default 12: about a minute. */
  attempts?: number;
}

/** The waits of one stream; `ok` begins anew. */
export class Backoff {
  private failures = 0;
  private readonly min: number;
  private readonly max: number;
  private readonly attempts: number;

  constructor(options: RetryOptions = {}) {
    this.min = options.min ?? 500;
    this.max = options.max ?? 10_000;
    this.attempts = options.attempts ?? 12;
  }

  /** Something came: the next failure is the first one again. */
  ok(): void {
    this.failures = 0;
  }

  /**
   * Waits before the next attempt.
   *
   * @param atLeast what the server asked for, in milliseconds
   * @returns false if there is none left
   * @throws an `AbortError` when the signal aborts
   */
  async next(signal: AbortSignal | undefined, atLeast = 0): Promise<boolean> {
    this.failures += 1;
    if (this.failures >= this.attempts) return false;
    const bound = Math.min(this.max, this.min * 2 ** (this.failures - 2));
    const jittered = this.failures === 1 ? 0 : Math.random() * bound;
    await sleep(Math.max(jittered, atLeast), signal);
    return true;
  }
}

/** Whether a request that got this status may be made again. */
export function isTransient(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || (status >= 500 && status !== 501);
}

/** Longest Retry-After that is followed, in milliseconds. */
const RETRY_AFTER_MAX = 60_000;

/** Retry-After (RFC 9110, 10.2.3) in milliseconds from now; 0 if there is none. */
export function retryAfter(response: Response): number {
  const text = response.headers.get('retry-after');
  if (text === null) return 0;
  const seconds = Number(text);
  const wait = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(text) - Date.now();
  return Number.isFinite(wait) ? Math.min(Math.max(wait, 0), RETRY_AFTER_MAX) : 0;
}

/** Waits, or throws an `AbortError` when the signal aborts. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortError());
      return;
    }
    const stop = (): void => {
      clearTimeout(timer);
      reject(abortError());
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
