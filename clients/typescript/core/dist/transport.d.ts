/**
 * Requests: headers, token, and the wait for an answer. What one from 300 means: `answers.ts`.
 *
 * The token is asked for once however many requests need it, kept until it expires or is refused,
 * and renewed once for a request that was refused with 401.
 */
import type { LinkContext, LinkRequest } from './link.js';
/** Sends the requests of one client. */
export declare class Transport {
    #private;
    constructor(context: LinkContext);
    /** See {@link LinkContext.token}. */
    token(): Promise<string | undefined>;
    /** See {@link LinkContext.send}. */
    send(request: LinkRequest): Promise<Response>;
}
/** Whether a status says "later" (501 says that this server never will). */
export declare const isRetryable: (status: number) => boolean;
