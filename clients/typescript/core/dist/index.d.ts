/** `@tidings/client`: follow topics, publish, resume. */
export * from './errors.js';
export type * from './types.js';
export type { Share } from './link.js';
