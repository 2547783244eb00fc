/**
 * What a page does not need at once, and the way to it: `rest.ts` is a chunk of its own, which is
 * loaded beside the first request for a stream, or when something else needs it.
 *
 * A chunk that cannot be loaded (the page is offline) is asked for again, with the client's waits.
 * No stream is read before it is there, so that what comes keeps its order and the server's
 * back-pressure holds.
 */

import { backoff } from './backoff.js';
import type { LinkContext } from './link.js';
import { asError } from './errors.js';

type Rest = typeof import('./rest.js');

let rest: Rest | undefined;

/** Attempts of what is asked for once, unless `retry.attempts` says otherwise. */
const ATTEMPTS_MAX = 5;

/** Attempts of a publish or a page of history. */
export const attemptsOf = ({ options }: LinkContext): number =>
  options.retry?.attempts ?? ATTEMPTS_MAX;

/** The chunk, where something has come on a link: no link begins without it. */
export const chunk = (): Rest => rest as Rest;

/** Waits, or until the signal says that it is of no use. */
export const sleep = (
  { clock }: Pick<LinkContext, 'clock'>,
  ms: number,
  signal?: AbortSignal,
): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      clock.clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.setTimeout(done, ms);
    signal?.addEventListener('abort', done);
    if (signal?.aborted) done();
  });

/**
 * The chunk, as soon as it is there.
 *
 * @throws {TidingsError} `network` after so many attempts; `aborted`.
 */
export async function load(
  context: LinkContext,
  signal?: AbortSignal,
  attempts?: number,
): Promise<Rest> {
  for (let failures = 1; !rest; failures++) {
    try {
      rest = await import('./rest.js');
    } catch (cause) {
      const enough = failures >= (attempts ?? attemptsOf(context));
      if (enough || signal?.aborted) throw asError(cause, signal);
      await sleep(context, backoff(context, failures), signal);
    }
  }
  return rest;
}

/** Runs something with the chunk, unless the signal aborts. Whether at once: it was there. */
export function withRest(
  context: LinkContext,
  signal: AbortSignal,
  run: (rest: Rest) => void,
): boolean {
  const there = !!rest;
  if (rest) run(rest);
  else load(context, signal, Infinity).then((rest) => signal.aborted || run(rest), () => {});
  return there;
}
