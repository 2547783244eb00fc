/**
 * Who is there: a topic whose events expire. There is nothing on the server but the topic.
 *
 * The members of a topic `T` publish to `presence/T`, each under a key of its own, and renew it at
 * a third of its time to live; they publish a `leave` when they go, also as their page is put away.
 * Readers begin with what is kept, know the newest of each key, and drop what has expired by the
 * time that the server gave it.
 */
import type { Client, Subscription } from './types.js';
/** A member, as readers see it. */
export interface Member<T> {
    readonly id: string;
    /** What the member says of itself. */
    readonly data: T;
    /** When it was last heard of: RFC 3339. */
    readonly time: string;
}
/** How to take part. */
export interface PresenceOptions<T> {
    /** One's own id; made up unless given. Without `data` it is not announced. */
    id?: string;
    /** What is announced; absent: only reads. Must be what JSON has. */
    data?: T;
    /** How long a member counts as present without renewing, in milliseconds: 30,000. */
    ttl?: number;
    /** Called whenever the members have changed. */
    onChange?: (members: readonly Member<T>[]) => void;
}
/** Taking part. */
export interface Presence<T> {
    /** One's own id. */
    readonly id: string;
    /** Who is there, in the order of their ids. The array is a new one after each change. */
    readonly members: readonly Member<T>[];
    readonly subscription: Subscription;
    /** Announces something else of oneself. */
    update(data: T): void;
    /** Leaves; idempotent. */
    close(): void;
}
/** Joins the members of `topic`, or only watches them. */
export declare function presence<T>(client: Client, topic: string, options?: PresenceOptions<T>): Presence<T>;
