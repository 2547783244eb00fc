/**
 * Why something failed. Each error says whether it is worth another try, and carries the server's
 * problem document (RFC 9457) if there was one.
 */
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
export class TidingsError extends Error {
    constructor(code, message, { cause, ...details } = {}) {
        super(message, { cause });
        const retryable = !!details.retryable;
        Object.assign(this, { ...details, name: 'TidingsError', code, retryable });
    }
}
/** The server refuses the token (401) also after it was renewed, or there is no other. */
export class UnauthorizedError extends TidingsError {
    constructor(message = 'unauthorized', details = {}) {
        super('unauthorized', message, { status: 401, ...details });
        this.name = 'UnauthorizedError';
    }
}
/** Any error as one of ours. */
export const asError = (error, signal) => error instanceof TidingsError
    ? error
    : signal?.aborted
        ? new TidingsError('aborted', 'aborted', { cause: signal.reason })
        : new TidingsError('network', `no answer: ${String(error)}`, {
            retryable: true,
            cause: error,
        });
//# sourceMappingURL=errors.js.map