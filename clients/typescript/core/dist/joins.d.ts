/**
 * Topics that are added to a connection while it runs, and taken from it.
 *
 * Ids are opaque, so it is not known whether the stream has passed the position from which a topic
 * was added (`after`) until it brings one of the topic's events, or that position itself. Should it
 * break before, the topics are joined anew, and what is between is read from history (`since`).
 */
import { type Connection } from './connection.js';
import type { WireEvent } from './types.js';
/** What was added to one connection. */
export declare class Joins {
    #private;
    constructor(connection: Connection);
    /** The connection is gone. */
    stop(): void;
    /** There will be another connection: what the stream has not come to is joined anew. */
    lose(): void;
    /** The stream has come to a position. */
    reach(id: string): void;
    /** An event has come, or is let go. */
    event(event: WireEvent): void;
    /** Adds and removes topics, so that the stream has what is wanted. */
    change(): Promise<void>;
    /** Tells the client which topics have joined that it does not know of. */
    report(topics: Iterable<string>, after: string): void;
}
