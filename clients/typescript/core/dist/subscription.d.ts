/**
 * One subscription: its place in the stream, and the queue between the stream and its reader.
 *
 * What comes goes into a bounded queue, which an iterator empties or, without one, listeners do.
 * While a subscription reads up on history, what comes on the stream is held back. History is read
 * up to exactly where the stream begins, and each event is handed out once: the ids of the last
 * events are known, and what comes again is dropped.
 */
import { Emitter } from './emitter.js';
import { TidingsError } from './errors.js';
import type { Joined, Role, Start } from './link.js';
import type { ConnectionState, End, Gap, Page, Parse, ReadyState, StateChange, SubscribeOptions, Subscription, SubscriptionEvents, TidingsEvent, WireEvent } from './types.js';
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
/** A page as it comes. */
export type WirePage = Omit<Page<never>, 'events'> & {
    events: readonly WireEvent[];
};
/** What a subscription needs of its client. */
export interface Host {
    readonly change: StateChange;
    readonly role: Role;
    readonly parse: Parse<unknown> | undefined;
    /** Reads a page, again and again until it is there. Rejects if that is hopeless. */
    page(topics: readonly string[], query: [string, string][], signal: AbortSignal): Promise<WirePage>;
    /** What it follows has changed, or it is over. */
    changed(): void;
}
/** An event as it is handed out. */
export declare function toEvent<T>(wire: WireEvent, parse: Parse<T> | undefined): TidingsEvent<T>;
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
    constructor(host: Host, topics: string[], options: SubscribeOptions<T>);
    get readyState(): ReadyState;
    get shared(): Role;
    get isOver(): boolean;
    /** What it waits for events of: nothing, once all topics have ended. */
    get wanted(): readonly string[];
    change(topics: string | readonly string[]): void;
    on<K extends keyof SubscriptionEvents<T>>(type: K, listener: (value: SubscriptionEvents<T>[K]) => void): () => void;
    addEventListener(...args: Parameters<EventTarget['addEventListener']>): void;
    close(): void;
    [Symbol.asyncDispose](): Promise<void>;
    [Symbol.asyncIterator](): AsyncGenerator<TidingsEvent<T>, void, undefined>;
    /** Some of its topics have joined. */
    joined({ topics, after, direct, since }: Joined): void;
    /** Something has come on the stream. */
    push(item: Incoming): void;
    /** It cannot go on. What has come before is handed out first. */
    fail(error: TidingsError): void;
    stateChanged(): void;
    /** Which of these topics it follows. */
    concerned(topics: readonly string[]): string[];
}
export {};
