// What can go wrong with an answer, in one error type.

/**
 * Why an answer cannot be read on or stopped.
 *
 * - `refused`: the server said no, `status` says how; asking again does not help.
 * - `unreachable`: the attempts are used up; `cause` is the last failure.
 * - `lost`: the server does not have the rest of the answer any more (it told of a gap).
 */
export type AnswerErrorCode = 'refused' | 'unreachable' | 'lost';

/** An answer cannot be read on or stopped. */
export class AnswerError extends Error {
  override readonly name = 'AnswerError';
  /** Which of the reasons. */
  readonly code: AnswerErrorCode;
  /** The HTTP status, for `refused`. */
  readonly status: number | undefined;

  constructor(
    code: AnswerErrorCode,
    message: string,
    options: { status?: number; cause?: unknown } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.status = options.status;
  }

  /** Whether the same call can succeed later. */
  get retryable(): boolean {
    return this.code === 'unreachable';
  }
}

/** The error that a standard API throws when its signal aborts it. */
export function abortError(): DOMException {
  return new DOMException('The operation was aborted.', 'AbortError');
}
