/**
 * One subscription: its place in the stream, and the queue between the stream and its reader.
 *
 * What comes goes into a bounded queue, which an iterator empties or, without one, listeners do.
 * How it gets there is in `intake.ts`, which is loaded before anything comes; the members that it
 * uses are not private.
 */
import { Emitter } from './emitter.js';
import { TidingsError } from './errors.js';
import type { Reading } from './intake.js';
import type { Joined, Role, Start } from './link.js';
import type { ConnectionState, End, Gap, Parse, ReadyState, StateChange, SubscribeOptions, Subscription, SubscriptionEvents, TidingsEvent, WireEvent } from './types.js';
/** What comes, as it comes. */
export type Incoming = {
    event: WireEvent;
} | {
    gap: Gap;
} | {
    end: End;
} | {
    done: true;
};
/** What waits for the reader. */
type Item<T> = {
    event: TidingsEvent<T>;
} | {
    gap: Gap;
} | {
    end: End;
} | {
    done: true;
} | {
    error: TidingsError;
};
/** What a subscription needs of its client. */
export interface Host {
    readonly change: StateChange;
    readonly role: Role;
    readonly parse: Parse<unknown> | undefined;
    /** Reads from history what a job asks for. Rejects if that is hopeless. */
    read(reading: Reading): Promise<void>;
    /** What it follows has changed, or it is over. */
    changed(): void;
}
type BeginOptions = Pick<SubscribeOptions, 'lastEventId' | 'history' | 'since'>;
/** Where a subscription's options say that it begins; nothing: live. */
export declare function toStart({ lastEventId, history, since }: BeginOptions): Start;
/** See the head of this file. */
export declare class Sub<T> extends Emitter<SubscriptionEvents<T>> implements Subscription<T> {
    #private;
    topics: readonly string[];
    lastEventId: string;
    state: ConnectionState;
    error: TidingsError | undefined;
    readonly start: Start;
    host: Host;
    options: SubscribeOptions<T>;
    max: number;
    queue: Item<T>[];
    /** Topics that have not joined. */
    pending: Set<string>;
    ended: Set<string>;
    started: boolean;
    /** Its last item is in the queue. */
    ending: boolean;
    over: AbortController;
    constructor(host: Host, topics: string[], options: SubscribeOptions<T>);
    get readyState(): ReadyState;
    get shared(): Role;
    get isOver(): boolean;
    /** What it waits for events of: nothing, once all topics have ended. */
    get wanted(): readonly string[];
    change(topics: string | readonly string[]): void;
    addEventListener(...args: Parameters<EventTarget['addEventListener']>): void;
    close(): void;
    [Symbol.asyncDispose](): Promise<void>;
    [Symbol.asyncIterator](): AsyncGenerator<TidingsEvent<T>, void, undefined>;
    /** Some of its topics have joined. */
    joined(joined: Joined): void;
    /** Something has come on the stream. */
    push(item: Incoming): void;
    /** It cannot go on. What has come before is handed out first. */
    fail(error: TidingsError): void;
    stateChanged(): void;
    enqueue(item: Item<T>): void;
    /** Resolves when the queue, or what is in it, has changed. */
    queueChanged(): Promise<void>;
    /** Which of these topics it follows. */
    concerned(topics: readonly string[]): string[];
}
export {};
