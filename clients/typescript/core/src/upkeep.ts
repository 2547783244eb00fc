/** What keeps a connection up: a watchdog while it is open, and the way back when it is not. */

import { backoff } from './backoff.js';
import { again, type Connection } from './connection.js';
import { TidingsError } from './errors.js';
import { isRetryable } from './transport.js';

/** How long a connection must have been open to count as healthy without an event, in ms. */
const HEALTHY_AFTER = 5_000;

/** Looks at the clock rather than counting on timers: a page that sleeps has none. */
export function watch(connection: Connection, attempt: AbortController): void {
  const { clock, heartbeatTimeout } = connection.context;
  const look = () => {
    if (attempt !== connection.attempt) return;
    const silence = clock.now() - connection.lastByte;
    // The clock was set back.
    if (silence < 0) connection.lastByte = clock.now();
    const left = heartbeatTimeout - silence;
    if (left <= 0) {
      connection.broken(attempt, again('stale', `nothing came for ${silence} ms`));
      return;
    }
    const soon = (heartbeatTimeout * 2) / 3 - silence;
    if (soon <= 0) connection.set({ state: 'stale' });
    connection.timer = clock.setTimeout(look, soon > 0 ? soon : left);
  };
  look();
}

/** Decides after a failure whether and when there is another attempt. */
export function recover(connection: Connection, error: TidingsError, wasOpen: boolean): void {
  const { context } = connection;
  const { clock, retry } = context;
  if (wasOpen && clock.now() - connection.openedAt >= HEALTHY_AFTER) connection.healthy = true;
  const healthy = wasOpen && connection.healthy;
  const failures = (connection.failures = healthy ? 1 : connection.failures + 1);
  const enough = failures >= retry.attempts || (!retry.initial && !connection.everOpen);
  // Of a stream the status decides: it is asked for again without harm.
  const hopeless = !error.retryable && !isRetryable(error.status ?? 0);
  if (hopeless || enough) {
    const gaveUp = { attempt: failures, cause: error };
    const final = hopeless ? error : new TidingsError('gave-up', error.message, gaveUp);
    connection.wanted.clear();
    connection.forget();
    connection.set({ state: 'failed', error: final });
    connection.handler.failed(final);
    return;
  }
  connection.mustWait = error.retryAfter !== undefined;
  const wait = healthy && connection.retry === undefined && !connection.mustWait
    ? 0
    // What the stream's own `retry:` says is waited at least (WHATWG HTML, section 9.2.3).
    : (connection.mustWait ? 0 : connection.retry ?? 0) +
      backoff(context, failures, error.retryAfter, connection.reconnectionTime);
  const retryAt = clock.now() + wait;
  connection.timer = clock.setTimeout(() => connection.connect(), wait);
  connection.set({ state: 'waiting', retryAt, attempt: failures, error });
}
