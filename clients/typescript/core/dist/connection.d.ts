/**
 * A connection of a client's own: one stream, kept up, whose topics change while it runs.
 *
 * It reconnects with the position that was reached, first at once and then with full jitter; takes a
 * connection that is silent for dead; and adds and removes topics without a reconnect. There is one
 * attempt at a time: an older one is aborted before the next, and whatever it still says is ignored.
 *
 * Ids are opaque, so it is not known whether the stream has passed the position from which a topic
 * was added (`after`) until it brings one of the topic's events, or that position itself. Should it
 * break before, the topics are joined anew, and what is between is read from history (`since`).
 */
import type { Link, LinkContext, LinkHandler, Wanted } from './link.js';
import type { ConnectionState } from './types.js';
/** See the head of this file. */
export declare class Connection implements Link {
    #private;
    readonly role = "own";
    state: ConnectionState;
    position: string;
    constructor(context: LinkContext, handler: LinkHandler);
    get reconnectionTime(): number;
    want(wanted: readonly Wanted[]): void;
    check(): void;
    pause(paused: boolean): void;
    close(): void;
}
