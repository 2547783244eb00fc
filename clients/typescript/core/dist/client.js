/**
 * The client: subscriptions on one connection, publishing, and history.
 *
 * It tells its link what is wanted by all subscriptions together, and gives each of them what is
 * theirs of what comes.
 */
import { Connection } from './connection.js';
import { Emitter } from './emitter.js';
import { TidingsError } from './errors.js';
import { chunk, load, withRest } from './lazy.js';
import { checkTopics, covers, isPattern } from './names.js';
import { MAX_EVENT_BYTES } from './parser.js';
import { Sub } from './subscription.js';
import { Transport } from './transport.js';
const systemClock = {
    now: () => Date.now(),
    random: () => Math.random(),
    setTimeout: (run, ms) => setTimeout(run, ms),
    clearTimeout: (timer) => clearTimeout(timer),
};
/** `parse` for topics whose data is JSON. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export const json = (data) => JSON.parse(data);
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
    #requests;
    #watching = false;
    #over = new AbortController();
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
            token: () => this.#transport.token(),
            connect: (handler) => new Connection(this.#context, handler),
        };
        this.#transport = new Transport(this.#context);
    }
    get #closed() {
        return this.#over.signal.aborted;
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
        this.#over.abort();
        for (const sub of this.#subs)
            sub.close();
        this.#link?.close();
        this.#setState({ state: 'closed' });
    }
    async [Symbol.asyncDispose]() {
        this.close();
    }
    /** The second chunk and what of it belongs to this client, as soon as it is there. */
    async #rest(signal, attempts) {
        const rest = await load(this.#context, signal, attempts);
        this.#requests ??= new rest.Requests(this.#context);
        return { ...rest, requests: this.#requests };
    }
    async publish(...args) {
        return (await this.#rest(args[2]?.signal)).requests.publish(...args);
    }
    async history(topics, options) {
        return (await this.#rest(options?.signal)).requests.history(topics, options);
    }
    /** See {@link Host}. */
    async read(reading) {
        const { read, requests } = await this.#rest(reading.signal, this.#context.retry.attempts);
        return read(requests, reading);
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
        if (!this.#link) {
            if (!wanted.size)
                return;
            const handler = this.#handler();
            const { share } = this.#context.options;
            if (share && !chunk()) {
                // Another tab's events come at once, and have to be taken in.
                withRest(this.#context, this.#over.signal, () => this.changed());
                return;
            }
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
        if (!this.#watching && change.state !== 'connecting') {
            // From here on the second chunk should be there: it may count.
            this.#watching = true;
            const { signal } = this.#over;
            withRest(this.#context, signal, ({ watchPage }) => watchPage(this.#context, () => this.#link, signal));
        }
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