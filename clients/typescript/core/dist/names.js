/**
 * Topics and patterns (PROTOCOL.md, section 2): which names there are, which topics a set of them
 * means, and how a request says them.
 */
import { TidingsError } from './errors.js';
/** Topics of one subscription; longest name in bytes; patterns of one subscription. */
const TOPICS_MAX = 1024;
const PATTERNS_MAX = 64;
const NAME_BYTES_MAX = 1024;
/**
 * Longest query of a request, in bytes. What is longer goes into the body of a POST: with it, a
 * base path and a host name, a request line stays below the 8 KiB that proxies allow.
 */
const QUERY_BYTES_MAX = 4096;
/** Whether a text means topics by a pattern. */
export const isPattern = (topic) => topic.includes('*');
/**
 * Checks what is to be followed.
 *
 * @throws {TidingsError} `invalid-topic`, `invalid-pattern`, `too-many-topics`.
 */
export function checkTopics(topics) {
    const all = [...new Set(typeof topics === 'string' ? [topics] : topics)];
    for (const topic of all)
        checkTopic(topic, true);
    const patterns = all.filter(isPattern).length;
    if (!all.length)
        throw new TidingsError('invalid-request', 'no topic');
    if (patterns > PATTERNS_MAX || all.length - patterns > TOPICS_MAX) {
        throw new TidingsError('too-many-topics', `${all.length} topics`);
    }
    return all;
}
/** What no name has: control characters and halves of a pair, and segments '', '.' and '..'. */
// eslint-disable-next-line no-control-regex
const WRONG = /[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|(^|\/)\.{0,2}(\/|$)/u;
/** Where a pattern may have wildcards: whole segments, and `**` at the end. */
const WILDCARDS = /(^|\/)(\*(?=\/|$)|\*\*$)/g;
/** Checks one name, or one pattern where those are allowed. */
export function checkTopic(topic, patterns = false) {
    if (WRONG.test(topic) ||
        new TextEncoder().encode(topic).length > NAME_BYTES_MAX ||
        isPattern(patterns ? topic.replace(WILDCARDS, '') : topic)) {
        const kind = patterns && isPattern(topic) ? 'pattern' : 'topic';
        throw new TidingsError(`invalid-${kind}`, JSON.stringify(topic));
    }
    return topic;
}
/** Whether a pattern means a topic. One that begins with a wildcard means none of the server's. */
export function matches(pattern, topic) {
    const asked = pattern.split('/');
    const given = topic.split('/');
    const deep = asked.at(-1) === '**';
    return !(topic[0] === '$' && pattern[0] === '*') &&
        (deep ? given.length >= asked.length : given.length === asked.length) &&
        asked.every((segment, at) => segment[0] === '*' || segment === given[at]);
}
/** Whether any of the topics and patterns means one of the event's topics. */
export const covers = (topics, { topic, alternates = [] }) => [...topics].some((asked) => [topic, ...alternates].some((name) => asked === name || (isPattern(asked) && matches(asked, name))));
/** A topic's path. */
export const topicPath = (topic) => `/topics/${topic.split('/').map(encodeURIComponent).join('/')}`;
/** Names and patterns apart, as request bodies have them. */
export function apart(topics) {
    const all = [...topics];
    return { topics: all.filter((topic) => !isPattern(topic)), patterns: all.filter(isPattern) };
}
/** The query that asks for a beginning; `after` is a header of streams and is added by those. */
export function startQuery(start) {
    if (start.earliest)
        return [['lastEventId', 'earliest']];
    if (start.last !== undefined)
        return [['last', `${start.last}`]];
    if (start.since !== undefined)
        return [['since', start.since]];
    return [];
}
/** The request for a stream or a page of these topics. */
export function request(topics, query, accept) {
    const headers = { Accept: accept };
    const [first = ''] = topics;
    if (topics.length === 1 && !isPattern(first)) {
        return { method: 'GET', path: topicPath(first), query, headers };
    }
    const body = apart(topics);
    const named = query.concat(body.topics.map((topic) => ['topic', topic]), body.patterns.map((pattern) => ['pattern', pattern]));
    if (encodeQuery(named).length <= QUERY_BYTES_MAX) {
        return { method: 'GET', path: '/events', query: named, headers };
    }
    headers['Content-Type'] = 'application/json';
    return { method: 'POST', path: '/events', query, headers, body: JSON.stringify(body) };
}
/** `a=b&c=d`, with the characters left that a query may have and that read better as they are. */
export const encodeQuery = (query) => query
    .map(([name, value]) => `${name}=${encodeURIComponent(value).replace(/%(2F|3A)/g, decodeURIComponent)}`)
    .join('&');
//# sourceMappingURL=names.js.map