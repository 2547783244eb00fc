/** The chunk that is loaded later: see `lazy.ts`. */

export * from './requests.js';
export * from './reading.js';
export * from './answers.js';
export * from './page.js';
export * from './stream.js';
export * from './upkeep.js';
export * from './intake.js';
