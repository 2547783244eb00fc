/**
 * How long to wait before trying again. When a server restarts, all of its clients are cut at the
 * same moment; waits drawn evenly from zero to a growing bound spread them out best.
 */
/** Longest `Retry-After` that is honoured: an hour. Beyond it something is more likely wrong. */
const RETRY_AFTER_MAX = 3_600_000;
/**
 * The wait in milliseconds after failure number `failures` (the first is 1): drawn from zero to
 * `min`, multiplied with each further failure, up to `max`. What the server asks for comes first,
 * and the draw on top of it is spread over `min` only: the server has said when it will be ready.
 */
export function backoff({ retry, clock }, failures, retryAfter, min = retry.min) {
    const max = Math.max(retry.max, min);
    const bound = retryAfter === undefined ? min * retry.factor ** (failures - 1) : min;
    const drawn = retry.jitter === 'full'
        ? clock.random()
        : 1 + retry.jitter * (2 * clock.random() - 1);
    return (retryAfter ?? 0) + Math.min(max, bound) * drawn;
}
/** `Retry-After` (RFC 9110, section 10.2.3) in milliseconds: seconds, or a date. */
export function retryAfter(value, now) {
    const text = value?.trim();
    if (!text)
        return undefined;
    const wait = /^\d+$/.test(text) ? +text * 1000 : Math.max(0, Date.parse(text) - now);
    return wait >= 0 && /^\d+$|[a-z]/i.test(text) ? Math.min(wait, RETRY_AFTER_MAX) : undefined;
}
//# sourceMappingURL=backoff.js.map