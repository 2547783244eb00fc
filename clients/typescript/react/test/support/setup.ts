/**
 * The client's second chunk, which a page loads beside its first request: here before the first
 * test, because a clock that a test holds does not wait for files.
 */

import { settle } from '@tidings/client/testing';

await settle();
