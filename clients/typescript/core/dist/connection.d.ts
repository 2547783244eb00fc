/**
 * A connection of a client's own: one stream, kept up, whose topics change while it runs.
 *
 * It reconnects with the position that was reached, first at once and then with full jitter; takes
 * a connection that is silent for dead; and adds and removes topics without a reconnect. There is
 * one attempt at a time: an older one is aborted before the next, and whatever it still says is
 * ignored.
 *
 * Here is what makes the request. What reads the answer (`stream.ts`), adds topics (`joins.ts`) and
 * finds the way back (`upkeep.ts`) is loaded beside it; the members they use are not private.
 */
import { TidingsError } from './errors.js';
import type { Joins } from './joins.js';
import type { Link, LinkContext, LinkHandler, Start, Wanted } from './link.js';
import type { ConnectionState, StateChange } from './types.js';
/** An error after which it is worth to try again. */
export declare const again: (code: string, message: string) => TidingsError;
/** See the head of this file. */
export declare class Connection implements Link {
    #private;
    readonly role = "own";
    state: ConnectionState;
    position: string;
    context: LinkContext;
    handler: LinkHandler;
    wanted: Map<string, Start | undefined>;
    /** Joined, and resumed by the connection's position. */
    on: Set<string>;
    /** To be joined anew; what is before the position is known. */
    lost: Map<string, string>;
    /** Topics that the client knows to have joined. */
    told: Set<string>;
    /** Whether all topics begin there. */
    direct: boolean;
    /** Whether nothing was opened from that start yet. */
    fresh: boolean;
    /** The connection's name, to change it by. */
    name: string;
    /** Topics that were added to what is running. */
    joins: Joins | undefined;
    attempt: AbortController | undefined;
    timer: unknown;
    failures: number;
    healthy: boolean;
    everOpen: boolean;
    openedAt: number;
    lastByte: number;
    /** Whether the server has said how long to wait. */
    mustWait: boolean;
    retry: number | undefined;
    closed: boolean;
    constructor(context: LinkContext, handler: LinkHandler);
    get reconnectionTime(): number;
    want(wanted: readonly Wanted[]): void;
    check(): void;
    pause(paused: boolean): void;
    close(): void;
    isOpen(): boolean;
    set(change: StateChange): void;
    /** Ends the present attempt. */
    drop(): void;
    /** Begins anew with the next attempt. */
    forget(): void;
    /** Makes an attempt: from the position, or where all begin. */
    connect(): void;
    /** The attempt is over, unless it has been already. */
    broken(attempt: AbortController | undefined, error: TidingsError): void;
}
