/**
 * Why something failed. Each error says whether it is worth another try, and carries the server's
 * problem document (RFC 9457) if there was one.
 */
/** A problem document (RFC 9457, PROTOCOL.md section 14), with members of its own. */
export interface Problem {
    type?: string;
    title?: string;
    status?: number;
    detail?: string;
    code?: string;
    retryable?: boolean;
    [member: string]: unknown;
}
/** What else is known about a failure. */
export interface ErrorDetails {
    /** The answer's status. */
    status?: number | undefined;
    /** Whether the same may succeed later. */
    retryable?: boolean | undefined;
    /** How many attempts were made. */
    attempt?: number | undefined;
    problem?: Problem | undefined;
    /** How long the server asks to wait, in milliseconds. */
    retryAfter?: number | undefined;
    cause?: unknown;
}
/**
 * Any failure of the client.
 *
 * `code` is the server's (PROTOCOL.md, section 14), or one of: `network` (no answer), `timeout`
 * (none in time), `stale` (silence), `closed-by-server` (a stream came to its end without saying
 * so), `gave-up` (as many failures as `retry.attempts`), `not-an-event-stream`, `redirect` (nowhere
 * to go), `too-large` (`maxEventBytes`), `event` (not as the protocol has it), `parse` (what the
 * subscription's `parse` threw), `resync`, `overflow`, `aborted`, `closed`, `http` (a status
 * without a code).
 */
export declare class TidingsError extends Error {
    readonly code: string;
    readonly status: number | undefined;
    readonly retryable: boolean;
    readonly attempt: number | undefined;
    readonly problem: Problem | undefined;
    readonly retryAfter: number | undefined;
    constructor(code: string, message: string, { cause, ...details }?: ErrorDetails);
}
/** The server refuses the token (401) also after it was renewed, or there is no other. */
export declare class UnauthorizedError extends TidingsError {
    constructor(message?: string, details?: ErrorDetails);
}
/** Any error as one of ours. */
export declare const asError: (error: unknown, signal?: AbortSignal) => TidingsError;
