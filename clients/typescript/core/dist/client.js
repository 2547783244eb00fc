/**
 * The client: subscriptions on one connection, publishing, and history.
 *
 * It tells its link what is wanted by all subscriptions together, and gives each of them what is
 * theirs of what comes.
 */
import { backoff } from './backoff.js';
import { Connection } from './connection.js';
import { Emitter } from './emitter.js';
import { TidingsError } from './errors.js';
import { checkTopic, checkTopics, covers, isPattern, request, time, topicPath } from './names.js';
import { watchPage } from './page.js';
import { MAX_EVENT_BYTES } from './parser.js';
import { Sub, toEvent } from './subscription.js';
import { asError, Transport } from './transport.js';
/** Attempts of a publish or a page of history, unless `retry.attempts` says otherwise. */
const ATTEMPTS_MAX = 5;
/** Pages of history that are read at once: a browser has six connections to an HTTP/1.1 server. */
const PAGES_MAX = 3;
const systemClock = {
    now: () => Date.now(),
    random: () => Math.random(),
    setTimeout: (run, ms) => setTimeout(run, ms),
    clearTimeout: (timer) => clearTimeout(timer),
};
/** `parse` for topics whose data is JSON. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export const json = (data) => JSON.parse(data);
/** Need not be secret; `crypto.randomUUID` is there on secure pages only. */
const uniqueKey = () => [1, 2, 3].map(() => Math.random().toString(36).slice(2)).join('');
class TidingsClient extends Emitter {
    url;
    parse;
    change = { state: 'idle' };
    #context;
    #transport;
    #link;
    #subs = new Set();
    #byTopic;
    #joined = new Set();
    #flushing = false;
    #pages = 0;
    #waiting = [];
    #unwatch;
    #hideTimer;
    #closed = false;
    constructor(options) {
        super();
        const base = globalThis.location?.href;
        const url = new URL(options.url, base);
        url.hash = '';
        this.url = url.href;
        this.parse = options.parse;
        const { retry } = options;
        this.#context = {
            options,
            url,
            retry: {
                min: 500, max: 30_000, factor: 2, jitter: 'full', initial: true, attempts: Infinity,
                ...retry,
            },
            heartbeatTimeout: options.heartbeatTimeout ?? 45_000,
            openTimeout: options.openTimeout ?? 10_000,
            maxEventBytes: options.maxEventBytes ?? MAX_EVENT_BYTES,
            clock: options.clock ?? systemClock,
            send: (request) => this.#transport.send(request),
            connect: (handler) => new Connection(this.#context, handler),
        };
        this.#transport = new Transport(this.#context);
    }
    get state() {
        return this.change.state;
    }
    get readyState() {
        const { state } = this;
        return state === 'open' || state === 'stale' ? 1 : state === 'closed' || state === 'failed'
            ? 2 : 0;
    }
    get retryAt() {
        return this.change.retryAt;
    }
    get lastEventId() {
        return this.#link?.position ?? '';
    }
    get reconnectionTime() {
        return this.#link?.reconnectionTime ?? this.#context.retry.min;
    }
    get role() {
        return this.#link?.role ?? 'own';
    }
    subscribe(topics, options = {}) {
        if (this.#closed)
            throw new TidingsError('closed', 'the client is closed');
        const sub = new Sub(this, checkTopics(topics), options);
        this.#subs.add(sub);
        this.changed();
        return sub;
    }
    check() {
        this.#link?.check();
    }
    close() {
        if (this.#closed)
            return;
        this.#closed = true;
        for (const sub of this.#subs)
            sub.close();
        this.#link?.close();
        this.#unwatch?.();
        this.#context.clock.clearTimeout(this.#hideTimer);
        this.#setState({ state: 'closed' });
    }
    async [Symbol.asyncDispose]() {
        this.close();
    }
    async publish(topic, data, options = {}) {
        const { type, key, ttl, at, delay, expect, id, end, idempotencyKey, keepalive, signal } = options;
        const query = [];
        const add = (name, value) => {
            if (value !== undefined)
                query.push([name, time(value)]);
        };
        add('type', type);
        add('key', key);
        add('ttl', ttl);
        add('at', at);
        add('delay', delay);
        add('expect', expect);
        add('publisher-id', id);
        add('end', end);
        const plain = typeof data === 'string' || data instanceof Uint8Array;
        const answer = await this.#call({
            method: 'POST',
            path: topicPath(checkTopic(topic)),
            query,
            headers: {
                ...(!plain && { 'Content-Type': 'application/json' }),
                'Idempotency-Key': idempotencyKey ?? uniqueKey(),
            },
            body: plain ? data : JSON.stringify(data),
            ...(keepalive && { keepalive }),
        }, signal);
        return { id: '', topic, duplicate: false, ...answer };
    }
    async history(topics, options = {}) {
        const { after, before, last, earliest, since, limit, signal } = options;
        const query = [];
        const add = (name, value) => {
            if (value !== undefined)
                query.push([name, value]);
        };
        add('after', after);
        add('before', before);
        add('last', last?.toString());
        add('since', since === undefined ? since : time(since));
        add('from', earliest ? 'earliest' : undefined);
        add('limit', limit?.toString());
        const ask = request(checkTopics(topics), query, 'application/json');
        const page = await this.#call(ask, signal);
        const parse = options.parse ?? this.parse;
        return { ...page, events: page.events.map((event) => toEvent(event, parse)) };
    }
    /** See {@link Host}. */
    async page(topics, query, signal) {
        if (this.#pages >= PAGES_MAX)
            await new Promise((resolve) => this.#waiting.push(resolve));
        else
            this.#pages++;
        try {
            const ask = request(topics, query, 'application/json');
            return await this.#call(ask, signal, this.#context.retry.attempts);
        }
        catch (error) {
            // A topic begins with its first event; there may be none yet.
            if (error.code !== 'topic-not-found')
                throw error;
            const at = query.find(([name]) => name === 'lastEventId');
            return { events: [], next: at?.[1] ?? 'earliest', more: false, gap: null };
        }
        finally {
            const next = this.#waiting.shift();
            if (next)
                next();
            else
                this.#pages--;
        }
    }
    /** Sends a request until it is answered with something that is worth having. */
    async #call(ask, signal, attempts = this.#context.options.retry?.attempts ?? ATTEMPTS_MAX) {
        const { clock } = this.#context;
        for (let attempt = 1;; attempt++) {
            // Of this attempt alone, so that one that is given up is ended.
            const controller = new AbortController();
            const abort = () => controller.abort(signal?.reason);
            if (signal?.aborted)
                abort();
            signal?.addEventListener('abort', abort);
            try {
                const response = await this.#transport.send({ ...ask, signal: controller.signal });
                return (await response.json());
            }
            catch (thrown) {
                const error = asError(thrown, controller.signal);
                controller.abort();
                if (!error.retryable || attempt >= attempts) {
                    Object.defineProperty(error, 'attempt', { value: attempt });
                    throw error;
                }
                const wait = backoff(this.#context, attempt, error.retryAfter);
                await new Promise((resolve) => {
                    const timer = clock.setTimeout(resolve, wait);
                    signal?.addEventListener('abort', () => {
                        clock.clearTimeout(timer);
                        resolve();
                    }, { once: true });
                });
            }
            finally {
                signal?.removeEventListener('abort', abort);
            }
        }
    }
    /** See {@link Host}: the next microtask tells the link, once for all changes. */
    changed() {
        this.#byTopic = undefined;
        if (this.#flushing || this.#closed)
            return;
        this.#flushing = true;
        queueMicrotask(() => {
            this.#flushing = false;
            if (!this.#closed)
                this.#flush();
        });
    }
    #flush() {
        const wanted = new Map();
        for (const sub of this.#subs) {
            if (sub.isOver)
                this.#subs.delete(sub);
            else
                for (const topic of sub.wanted) {
                    if (!wanted.has(topic))
                        wanted.set(topic, { topic, start: sub.start });
                }
        }
        for (const topic of this.#joined)
            if (!wanted.has(topic))
                this.#joined.delete(topic);
        this.#watch(wanted.size > 0);
        if (!this.#link) {
            if (!wanted.size)
                return;
            const handler = this.#handler();
            const { share } = this.#context.options;
            this.#link = share?.link(this.#context, handler) ?? this.#context.connect(handler);
        }
        // Topics that have joined for others have joined for those who come later.
        const after = this.#link.position;
        for (const sub of this.#subs) {
            const topics = sub.wanted.filter((topic) => this.#joined.has(topic));
            if (topics.length)
                sub.joined({ topics, after, direct: false });
        }
        this.#link.want([...wanted.values()]);
    }
    #watch(needed) {
        if (!needed || this.#unwatch)
            return;
        const { visibility = 'keep' } = this.#context.options;
        const { clock } = this.#context;
        const pause = (paused) => {
            clock.clearTimeout(this.#hideTimer);
            this.#link?.pause(paused);
        };
        this.#unwatch = watchPage({
            woken: () => this.check(),
            putAway: () => pause(true),
            shown: () => pause(false),
            hidden: () => {
                if (visibility === 'keep')
                    return;
                const wait = visibility === 'pause' ? 0 : visibility.pauseAfter;
                this.#hideTimer = clock.setTimeout(() => pause(true), wait);
            },
        });
    }
    #handler() {
        return {
            joined: (joined) => this.#join(joined),
            event: (event) => this.#route(event),
            gap: (gap) => {
                for (const sub of this.#subs) {
                    const topics = sub.concerned(gap.topics);
                    if (topics.length || !gap.topics.length)
                        sub.push({ gap: { ...gap, topics } });
                }
            },
            end: (end) => this.#each([end.topic], (sub) => sub.push({ end })),
            done: (topics) => this.#each(topics, (sub) => sub.push({ done: true })),
            state: (change) => this.#setState(change),
            refused: (topics, error) => this.#each(topics, (sub) => sub.fail(error)),
            failed: (error) => {
                this.#joined.clear();
                for (const sub of this.#subs)
                    sub.fail(error);
                this.#subs.clear();
                this.changed();
                this.emit('error', error);
            },
        };
    }
    #each(topics, run) {
        for (const sub of [...this.#subs]) {
            if (sub.topics.some((topic) => topics.includes(topic)))
                run(sub);
        }
    }
    #join(joined) {
        for (const topic of joined.topics)
            this.#joined.add(topic);
        for (const sub of [...this.#subs]) {
            const topics = joined.topics.filter((topic) => sub.topics.includes(topic));
            if (topics.length)
                sub.joined({ ...joined, topics });
        }
    }
    #route(event) {
        const item = { event };
        if (!this.#byTopic) {
            this.#byTopic = new Map();
            for (const sub of this.#subs) {
                for (const topic of sub.topics) {
                    const name = isPattern(topic) ? '*' : topic;
                    const subs = this.#byTopic.get(name) ?? [];
                    if (!subs.includes(sub))
                        subs.push(sub);
                    this.#byTopic.set(name, subs);
                }
            }
        }
        const subs = new Set(this.#byTopic.get(event.topic));
        for (const topic of event.alternates ?? []) {
            for (const sub of this.#byTopic.get(topic) ?? [])
                subs.add(sub);
        }
        for (const sub of this.#byTopic.get('*') ?? []) {
            if (covers(sub.topics, event))
                subs.add(sub);
        }
        // What was forked keeps the topic that it was published to (PROTOCOL.md, section 10).
        if (!subs.size && this.#subs.size === 1)
            for (const sub of this.#subs)
                subs.add(sub);
        if (!subs.size)
            this.#context.options.logger?.warn?.(`tidings: who follows ${event.topic}?`);
        for (const sub of subs)
            sub.push(item);
    }
    #setState(change) {
        if (this.change.state === 'closed')
            return;
        this.change = change;
        for (const sub of [...this.#subs])
            sub.stateChanged();
        this.emit('state', change);
    }
}
/**
 * Makes a client. Nothing is sent before something is asked for.
 *
 * @throws {TypeError} if `url` is not a URL.
 */
export function createClient(options) {
    return new TidingsClient(options);
}
//# sourceMappingURL=client.js.map