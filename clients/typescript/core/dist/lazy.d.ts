/**
 * What a page does not need at once, and the way to it: `rest.ts` is a chunk of its own, which is
 * loaded beside the first request for a stream, or when something else needs it.
 *
 * A chunk that cannot be loaded (the page is offline) is asked for again, with the client's waits.
 * No stream is read before it is there, so that what comes keeps its order and the server's
 * back-pressure holds.
 */
import type { LinkContext } from './link.js';
type Rest = typeof import('./rest.js');
/** Attempts of a publish or a page of history. */
export declare const attemptsOf: ({ options }: LinkContext) => number;
/** The chunk, where something has come on a link: no link begins without it. */
export declare const chunk: () => Rest;
/** Waits, or until the signal says that it is of no use. */
export declare const sleep: ({ clock }: Pick<LinkContext, "clock">, ms: number, signal?: AbortSignal) => Promise<void>;
/**
 * The chunk, as soon as it is there.
 *
 * @throws {TidingsError} `network` after so many attempts; `aborted`.
 */
export declare function load(context: LinkContext, signal?: AbortSignal, attempts?: number): Promise<Rest>;
/** Runs something with the chunk, unless the signal aborts. Whether at once: it was there. */
export declare function withRest(context: LinkContext, signal: AbortSignal, run: (rest: Rest) => void): boolean;
export {};
