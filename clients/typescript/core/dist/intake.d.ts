/**
 * How what comes gets into the queue of a subscription.
 *
 * While it reads up on history, what comes on the stream is held back; what there is no room for is
 * left to history. History is read up to exactly where the stream begins, and each event is handed
 * out once: the ids of the last events are known, and what comes again is dropped.
 */
import type { Joined } from './link.js';
import type { Incoming, Sub } from './subscription.js';
import type { Page, Parse, TidingsEvent, WireEvent } from './types.js';
/** Something to be read from history before the stream goes on. */
export interface Job {
    topics: readonly string[];
    query: [string, string][];
    /** The position up to which, itself included; empty: up to now. */
    through: string;
}
/** A job, and what its reading needs of the subscription. */
export interface Reading {
    /** Its `through` may move on meanwhile. */
    readonly job: Job;
    /** Events in a page, at most. */
    readonly pageMax: number;
    /** Aborts with the subscription. */
    readonly signal: AbortSignal;
    /** Whether nothing is wanted any more. */
    isOver(): boolean;
    /** The id of the event before which all that is read ends, if some had to be let go. */
    before(): string;
    /** Resolves when there is room for so many events. */
    room(events: number): Promise<void>;
    accept(item: Incoming): void;
}
/** A page as it comes. */
export type WirePage = Omit<Page<never>, 'events'> & {
    events: readonly WireEvent[];
};
/** An event as it is handed out. */
export declare function toEvent<T>(wire: WireEvent, parse: Parse<T> | undefined): TidingsEvent<T>;
/** See the head of this file. */
export declare class Intake<T> {
    #private;
    constructor(sub: Sub<T>);
    /** Some of its topics have joined. */
    joined({ topics, after, direct, since }: Joined): void;
    /** Something has come on the stream. */
    push(item: Incoming): void;
    /** The queue is empty: what was left to history is read now. */
    drained(): void;
}
