/** What keeps a connection up: a watchdog while it is open, and the way back when it is not. */
import { type Connection } from './connection.js';
import { TidingsError } from './errors.js';
/** Looks at the clock rather than counting on timers: a page that sleeps has none. */
export declare function watch(connection: Connection, attempt: AbortController): void;
/** Decides after a failure whether and when there is another attempt. */
export declare function recover(connection: Connection, error: TidingsError, wasOpen: boolean): void;
