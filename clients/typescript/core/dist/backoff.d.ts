/**
 * How long to wait before trying again. When a server restarts, all of its clients are cut at the
 * same moment; waits drawn evenly from zero to a growing bound spread them out best.
 */
import type { LinkContext } from './link.js';
/**
 * The wait in milliseconds after failure number `failures` (the first is 1): drawn from zero to
 * `min`, multiplied with each further failure, up to `max`. What the server asks for comes first,
 * and the draw on top of it is spread over `min` only: the server has said when it will be ready.
 */
export declare function backoff({ retry, clock }: Pick<LinkContext, 'retry' | 'clock'>, failures: number, retryAfter?: number, min?: number): number;
/** `Retry-After` (RFC 9110, section 10.2.3) in milliseconds: seconds, or a date. */
export declare function retryAfter(value: string | null, now: number): number | undefined;
