/** `@tidings/client`: follow topics, publish, resume. */
export { createClient, json } from './client.js';
export { TidingsError, UnauthorizedError } from './errors.js';
export type { ErrorDetails, Problem } from './errors.js';
export type * from './types.js';
export type { Share } from './link.js';
