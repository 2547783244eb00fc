/** What comes on a connection: the answer to its request, and then its blocks. */
import { type Connection } from './connection.js';
/** The server has answered. Resolves when the attempt is over, and rejects when it is broken. */
export declare function opened(connection: Connection, attempt: AbortController, response: Response): Promise<void>;
