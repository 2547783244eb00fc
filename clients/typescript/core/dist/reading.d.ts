/** Reads history for a subscription, up to exactly where the stream goes on. */
import type { Reading } from './intake.js';
import type { Requests } from './requests.js';
/** Reads pages up to the event that is held back, or through a position. */
export declare function read(requests: Requests, reading: Reading): Promise<void>;
