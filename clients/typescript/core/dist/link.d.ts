/**
 * The seam between a client and what brings it events: a connection of its own, or another tab's.
 *
 * A link is told what is wanted and reports what comes, in order. It keeps a position and resumes
 * there by itself. It never decides what a subscription is handed: which events were missed before
 * a topic joined, and how they are read from history, is the client's. The promises:
 *
 * - Of each topic, every event after the position that `joined` reported comes once and in order,
 *   or a `gap` is told in its place. If that cannot be kept (a topic had to be joined anew after a
 *   break), `joined` is reported again with `since`, and the client reads what is between.
 * - Nothing is called from within a call of the client; nothing is called after `close`.
 */
import type { TidingsError } from './errors.js';
import type { ClientOptions, Clock, ConnectionState, End, Gap, Retry, StateChange, WireEvent } from './types.js';
/** Where a topic begins. Nothing set: with what comes from now on. */
export interface Start {
    /** After the event with this id. */
    readonly after?: string;
    /** With the oldest that is kept. */
    readonly earliest?: true;
    /** With the last so many events. */
    readonly last?: number;
    /** RFC 3339, or a duration ago. */
    readonly since?: string;
}
/** A topic (or pattern) that somebody follows. */
export interface Wanted {
    /** A name or a pattern: what has a `*` is one. */
    readonly topic: string;
    /**
     * A wish, for a topic that has not joined: if the link can begin there (it is just connecting,
     * and all topics wish the same) it does and reports `direct`.
     */
    readonly start?: Start;
}
/** Topics from which events will come. */
export interface Joined {
    readonly topics: readonly string[];
    /** Events after this position come. Empty: not known (a server that does not say). */
    readonly after: string;
    /** Whether `start` was honoured, so that there is nothing to read from history. */
    readonly direct: boolean;
    /**
     * The topics had joined before; the client has what came up to this position, and nothing between
     * it and `after` will come on the link.
     */
    readonly since?: string;
}
/** What a link tells its client. */
export interface LinkHandler {
    joined(joined: Joined): void;
    event(event: WireEvent): void;
    gap(gap: Gap): void;
    /** A topic has ended. It is still wanted until the client says otherwise. */
    end(end: End): void;
    state(change: StateChange): void;
    /** These topics cannot be had; the others go on. */
    refused(topics: readonly string[], error: TidingsError): void;
    /** It is over (`failed`): no topic can be had. A later `want` begins anew. */
    failed(error: TidingsError): void;
    /** The server says that nothing more will come of these topics (204). */
    done(topics: readonly string[]): void;
    /** Whose connection it is has changed. */
    role?(role: Role): void;
}
/** Whose connection brings the events. */
export type Role = 'own' | 'leader' | 'follower';
/** What brings a client its events. */
export interface Link {
    readonly role: Role;
    readonly state: ConnectionState;
    /** The position that was reached: the id of the last block that came, or where it began. */
    readonly position: string;
    /** Bound of the wait before a first retry, in milliseconds. */
    readonly reconnectionTime: number;
    /**
     * The whole list of what is wanted, each topic once. Called at each change, at most once per
     * microtask. An empty list lets the connection go.
     */
    want(wanted: readonly Wanted[]): void;
    /** Looks whether the connection is alive, and retries at once if it is waiting to. */
    check(): void;
    /**
     * The page was put away (`pagehide`, or hidden with `visibility: 'pause'`): lets the connection
     * go and reports `paused`; with `false` it is taken up again where it was. A leader hands over.
     */
    pause(paused: boolean): void;
    /** Ends it for good; idempotent. */
    close(): void;
}
/** The client's options with their defaults, and what a link needs of the client. */
export interface LinkContext {
    readonly options: ClientOptions;
    readonly url: URL;
    readonly retry: Required<Omit<Retry, 'attempts'>> & {
        readonly attempts: number;
    };
    readonly heartbeatTimeout: number;
    readonly openTimeout: number;
    readonly maxEventBytes: number;
    readonly clock: Clock;
    /**
     * Sends a request with the client's headers and token, renewed once on 401.
     *
     * @throws {TidingsError} `network`, `timeout`, `unauthorized`, `redirect`, `aborted`; and of any
     * status from 400, with the server's code and problem document.
     */
    send(request: LinkRequest): Promise<Response>;
    /**
     * The client's token, asked for if there is none yet: whoever shares a connection must not share
     * it with another user. `undefined`: the client has no `getToken`.
     */
    token(): Promise<string | undefined>;
    /** A connection of the client's own: what a leader has. */
    connect(handler: LinkHandler): Link;
}
/** A request, without what all requests have. */
export interface LinkRequest {
    readonly method: string;
    /** Below the client's URL, percent-encoded: `/events`. */
    readonly path: string;
    readonly query?: readonly (readonly [name: string, value: string])[];
    readonly headers?: Record<string, string>;
    readonly body?: BodyInit;
    readonly keepalive?: boolean;
    readonly signal?: AbortSignal;
}
/** Makes links, for {@link ClientOptions.share}: see `@tidings/client/shared`. */
export interface Share {
    /** The link for a client; `undefined`: it cannot be shared here, and the client has its own. */
    link(context: LinkContext, handler: LinkHandler): Link | undefined;
}
