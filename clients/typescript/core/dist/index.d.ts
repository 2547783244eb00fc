/** `@tidings/client`: follow topics, publish, resume. */
export { createClient, json } from './client.js';
export * from './errors.js';
export type * from './types.js';
export type { Share } from './link.js';
