// Whatever was thrown, as the client's own error.

import { TidingsError } from '@tidings/client';

/** Any error as one of the client's. */
export const asTidingsError = (error: unknown): TidingsError =>
  error instanceof TidingsError
    ? error
    : new TidingsError('internal', error instanceof Error ? error.message : String(error));
