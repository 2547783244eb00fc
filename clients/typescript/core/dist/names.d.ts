/**
 * Topics and patterns (PROTOCOL.md, section 2): which names there are, which topics a set of them
 * means, and how a request says them.
 */
import type { LinkRequest, Start } from './link.js';
import type { WireEvent } from './types.js';
/** Whether a text means topics by a pattern. */
export declare const isPattern: (topic: string) => boolean;
/**
 * Checks what is to be followed.
 *
 * @throws {TidingsError} `invalid-topic`, `invalid-pattern`, `too-many-topics`.
 */
export declare function checkTopics(topics: string | readonly string[]): string[];
/** Checks one name, or one pattern where those are allowed. */
export declare function checkTopic(topic: string, patterns?: boolean): string;
/** Whether a pattern means a topic. One that begins with a wildcard means none of the server's. */
export declare function matches(pattern: string, topic: string): boolean;
/** Whether any of the topics and patterns means one of the event's topics. */
export declare const covers: (topics: Iterable<string>, { topic, alternates }: Pick<WireEvent, "topic" | "alternates">) => boolean;
/** A topic's path. */
export declare const topicPath: (topic: string) => string;
/** Names and patterns apart, as request bodies have them. */
export declare function apart(topics: Iterable<string>): {
    topics: string[];
    patterns: string[];
};
/** The query that asks for a beginning; `after` is a header of streams and is added by those. */
export declare function startQuery(start: Start): [string, string][];
/** The request for a stream or a page of these topics. */
export declare function request(topics: readonly string[], query: [string, string][], accept: string): LinkRequest;
/** `a=b&c=d`, with the characters left that a query may have and that read better as they are. */
export declare const encodeQuery: (query: readonly (readonly [string, string])[]) => string;
