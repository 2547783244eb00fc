/**
 * Requests: headers, token, redirects, the wait for an answer, and what an answer above 400 means.
 *
 * The token is asked for once however many requests need it, kept until it expires or is refused,
 * and renewed once for a request that was refused with 401. Another server that a redirect leads to
 * gets neither token nor headers.
 */
import { TidingsError } from './errors.js';
import type { LinkContext, LinkRequest } from './link.js';
/** Any error as one of ours. */
export declare const asError: (error: unknown, signal?: AbortSignal) => TidingsError;
/** Whether a status says "later" (501 says that this server never will). */
export declare const isRetryable: (status: number) => boolean;
/** Sends the requests of one client. */
export declare class Transport {
    #private;
    constructor(context: LinkContext);
    /** See {@link LinkContext.send}. */
    send(request: LinkRequest): Promise<Response>;
}
