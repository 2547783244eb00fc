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
import { checkTopics, covers, startQuery } from './names.js';
import { asError } from './transport.js';
/** Events that wait for a reader unless another number is given. */
const QUEUE_MAX = 1_024;
/** Ids that are remembered, to tell an event that comes again. */
const SEEN_MAX = 1_024;
/** Events in a page of history, at most. */
const PAGE_MAX = 500;
/** An event as it is handed out. */
export function toEvent(wire, parse) {
    const { publisher_id: publisherId, data_base64: base64, data = '', ...rest } = wire;
    return {
        ...rest,
        ...(publisherId !== undefined && { publisherId }),
        ...(base64 !== undefined && {
            bytes: Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)),
        }),
        data: parse ? parse(data, wire) : data,
    };
}
/** Where a subscription's options say that it begins; nothing: live. */
export function toStart({ lastEventId, history, since }) {
    if (lastEventId)
        return lastEventId === 'earliest' ? { earliest: true } : { after: lastEventId };
    if (history === 'all')
        return { earliest: true };
    if (typeof history === 'number')
        return { last: history };
    if (since !== undefined)
        return { since: typeof since === 'string' ? since : since.toJSON() };
    return {};
}
/** See the head of this file. */
export class Sub extends Emitter {
    topics;
    lastEventId;
    state = 'idle';
    error;
    start;
    #host;
    #options;
    #max;
    #queue = [];
    #held = [];
    #seen = new Set();
    /** Topics that have not joined. */
    #pending;
    #ended = new Set();
    #started = false;
    /** The id up to which everything is in the queue or was handed out. */
    #cursor;
    #jobs = [];
    #working = false;
    /** The id of the oldest event that is held back, if there were more than there was room for. */
    #before = '';
    #iterating = 0;
    #blocked = false;
    #wake = [];
    /** Its last item is in the queue. */
    #ending = false;
    #over = new AbortController();
    constructor(host, topics, options) {
        super();
        const { signal, buffer } = options;
        this.#host = host;
        this.#options = options;
        this.#max = Math.max(1, buffer?.max ?? QUEUE_MAX);
        this.topics = topics;
        this.start = toStart(options);
        this.lastEventId = this.#cursor = this.start.after ?? '';
        this.#pending = new Set(topics);
        if (signal) {
            const close = () => this.close();
            if (signal.aborted)
                queueMicrotask(close);
            // The second signal takes the listener away when the subscription is over.
            signal.addEventListener('abort', close, { signal: this.#over.signal });
        }
    }
    get readyState() {
        return this.isOver ? 2 : this.state === 'open' || this.state === 'stale' ? 1 : 0;
    }
    get shared() {
        return this.#host.role;
    }
    get isOver() {
        return this.#over.signal.aborted;
    }
    /** What it waits for events of: nothing, once all topics have ended. */
    get wanted() {
        return this.topics.every((topic) => this.#ended.has(topic)) ? [] : this.topics;
    }
    change(topics) {
        const next = checkTopics(topics);
        if (this.isOver)
            return;
        for (const topic of next)
            if (!this.topics.includes(topic))
                this.#pending.add(topic);
        for (const topic of this.#pending)
            if (!next.includes(topic))
                this.#pending.delete(topic);
        this.topics = next;
        this.#host.changed();
    }
    on(type, listener) {
        const off = super.on(type, listener);
        this.#pumpSoon();
        return off;
    }
    addEventListener(...args) {
        super.addEventListener(...args);
        this.#pumpSoon();
    }
    close() {
        this.#finish('closed');
    }
    async [Symbol.asyncDispose]() {
        this.close();
    }
    async *[Symbol.asyncIterator]() {
        this.#iterating++;
        try {
            for (;;) {
                const item = this.#queue.shift();
                if (item)
                    await this.#take(item);
                if (this.error)
                    throw this.error;
                if (this.isOver)
                    return;
                if (item && 'event' in item)
                    yield item.event;
                else if (!item)
                    await this.#changed();
            }
        }
        finally {
            this.#iterating--;
            this.close();
        }
    }
    // What follows is called by the client.
    /** Some of its topics have joined. */
    joined({ topics, after, direct, since }) {
        for (const topic of topics)
            this.#pending.delete(topic);
        if (this.#started) {
            if (since !== undefined && since !== after)
                this.#readUp(topics, { after: since }, after);
            return;
        }
        // Of what had joined before, something may be missing by now.
        if (since !== undefined)
            this.#held = [];
        if (this.#pending.size)
            return;
        this.#started = true;
        const { earliest, last, since: time, after: id } = this.start;
        if (!earliest && last === undefined && time === undefined && id === undefined) {
            this.#cursor = after;
            this.lastEventId = after;
            if (this.#before)
                this.#readUp(this.topics, { after }, after);
        }
        else if (!direct || this.#before) {
            this.#readUp(this.topics, this.start, after);
        }
        else {
            this.#cursor ||= after;
        }
        if (!this.#working)
            this.#release();
        this.stateChanged();
    }
    /** Something has come on the stream. */
    push(item) {
        if (this.#ending)
            return;
        // Of what was missed before it joined.
        if ('gap' in item && !this.#started)
            return;
        const waits = this.#started ? this.#working || this.#before : !('done' in item);
        if (waits)
            this.#hold(item);
        else
            this.#accept(item);
    }
    /** It cannot go on. What has come before is handed out first. */
    fail(error) {
        if (!this.#ending)
            this.#enqueue({ error });
    }
    stateChanged() {
        if (this.isOver)
            return;
        const { change } = this.#host;
        // Until its topics have joined nothing comes, even if the connection is open.
        const joining = !this.#started && change.state === 'open';
        const state = joining ? 'connecting' : change.state;
        if (this.state === state || state === 'failed' || state === 'closed')
            return;
        this.state = state;
        this.emit('state', joining ? { state } : change);
    }
    #enqueue(item) {
        if (this.#ending)
            return;
        this.#queue.push(item);
        if ('error' in item || 'done' in item) {
            this.#ending = true;
            this.#held = [];
            this.#jobs = [];
        }
        this.#pump();
    }
    /** Puts something into the queue, unless it came before. */
    #accept(item, part = false) {
        if ('end' in item) {
            const { topic } = item.end;
            if (this.#ended.has(topic))
                return;
            this.#ended.add(topic);
            this.#enqueue(item);
            if (!this.wanted.length)
                this.#enqueue({ done: true });
            this.#host.changed();
        }
        else if ('event' in item) {
            this.#acceptEvent(item.event, part);
        }
        else {
            if ('gap' in item) {
                const { reason, resumes } = item.gap;
                // Events that were had before come again, and are asked for.
                if (reason === 'epoch' || reason === 'unknown-id')
                    this.#seen.clear();
                this.#cursor = resumes ?? this.#cursor;
            }
            this.#enqueue(item);
        }
    }
    #acceptEvent(wire, part) {
        if (this.#seen.has(wire.id))
            return;
        const { buffer } = this.#options;
        const policy = buffer?.overflow ?? 'catch-up';
        const full = this.#queue.length >= this.#max;
        if (full && policy === 'catch-up')
            return this.#hold({ event: wire });
        if (full && policy === 'error') {
            this.fail(new TidingsError('overflow', `more than ${this.#max} events wait to be read`));
            return;
        }
        let event;
        try {
            event = toEvent(wire, this.#options.parse ?? this.#host.parse);
        }
        catch (cause) {
            this.fail(new TidingsError('parse', `event ${wire.id} cannot be read`, { cause }));
            return;
        }
        this.#seen.add(wire.id);
        if (this.#seen.size > SEEN_MAX) {
            for (const oldest of this.#seen) {
                this.#seen.delete(oldest);
                break;
            }
        }
        if (!part)
            this.#cursor = wire.id;
        if (policy === 'conflate' && this.#conflate(event))
            return this.#enqueue({ event });
        if (full)
            this.#dropOldest();
        this.#enqueue({ event });
    }
    /** Takes away what waits with the same key. */
    #conflate(event) {
        const name = this.#options.buffer?.key ??
            ((of) => `${of.topic}\n${of.key ?? of.id}`);
        const key = name(event);
        const at = this.#queue.findIndex((item) => 'event' in item && name(item.event) === key);
        if (at >= 0)
            this.#queue.splice(at, 1);
        return at >= 0;
    }
    /** Makes room, and says so with a gap at the head of the queue. */
    #dropOldest() {
        const at = this.#queue.findIndex((item) => 'event' in item);
        const [item] = this.#queue.splice(at, 1);
        if (!item || !('event' in item))
            return;
        const { id, topic } = item.event;
        const head = this.#queue[0];
        const mine = head && 'gap' in head && head.gap.reason === 'overflow' ? head.gap : undefined;
        const gap = {
            reason: 'overflow',
            requested: mine?.requested ?? this.lastEventId,
            resumes: id,
            topics: [...new Set([...(mine?.topics ?? []), topic])],
        };
        this.#queue.splice(0, mine ? 1 : 0, { gap });
    }
    /** Keeps something until history was read; if there is too much, history has it. */
    #hold(item) {
        const overflow = !this.#before && !this.#working && this.#started;
        if ('event' in item && (overflow || this.#held.length >= this.#max)) {
            this.#held = this.#held.filter((kept) => 'end' in kept || 'done' in kept);
            this.#before = item.event.id;
        }
        this.#held.push(item);
    }
    #release() {
        const held = this.#held;
        this.#held = [];
        for (const item of held)
            this.push(item);
    }
    #readUp(some, start, through) {
        const topics = some.length === this.topics.length ? this.topics : some;
        const last = this.#jobs[this.#jobs.length - 1];
        if (last && last.topics === topics) {
            last.through = through;
            return;
        }
        const query = startQuery(start);
        if (start.after)
            query.push(['lastEventId', start.after]);
        this.#jobs.push({ topics, query, through });
        this.#work();
    }
    #work() {
        if (this.#working)
            return;
        this.#working = true;
        this.#readJobs().then(() => {
            this.#working = false;
            this.#release();
        }, (error) => {
            this.#working = false;
            this.fail(asError(error));
        });
    }
    async #readJobs() {
        let job;
        while ((job = this.#jobs[0])) {
            const all = job.topics === this.topics;
            await this.#read(job, all);
            if (this.#ending)
                return;
            this.#jobs.shift();
            if (this.#jobs.length || !this.#before)
                continue;
            if (all)
                this.#before = '';
            // Some of the topics were read; what could not be held back is of all of them.
            else
                this.#jobs.push({ topics: this.topics, query: this.#here(), through: '' });
        }
    }
    #here() {
        return this.#cursor ? [['lastEventId', this.#cursor]] : [];
    }
    /** Reads pages up to the event that is held back, or through a position. */
    async #read(job, all) {
        const { signal } = this.#over;
        const limit = Math.max(1, Math.min(PAGE_MAX, this.#max >> 1));
        let { query } = job;
        const ask = (bound, most) => this.#host.page(job.topics, [...query, ...(bound ? [['before', bound]] : []), ['limit', `${most}`]], signal);
        const take = (events) => {
            for (const event of events) {
                this.#accept({ event }, !all);
                const { end, id, topic } = event;
                if (end && job.topics.includes(topic))
                    this.#accept({ end: { id, topic, reason: end } });
            }
        };
        for (;;) {
            while (this.#queue.length > this.#max - limit && !this.#ending)
                await this.#changed();
            const bound = (all && this.#before) || job.through;
            const page = await ask(bound, limit);
            if (this.#ending)
                return;
            if (page.gap)
                this.#accept({ gap: page.gap });
            take(page.events);
            query = [['lastEventId', page.next]];
            if (page.more || bound !== ((all && this.#before) || job.through))
                continue;
            if (bound !== job.through || !bound)
                return;
            // The page ends before the position: is the next event the one that is there?
            const [last] = (await ask('', 1)).events;
            if (this.#ending)
                return;
            if (last?.id === bound)
                take([last]);
            if (bound === job.through && !(all && this.#before))
                return;
            query = [['lastEventId', bound]];
        }
    }
    /** Resolves when the queue, or what is in it, has changed. */
    #changed() {
        return new Promise((resolve) => this.#wake.push(resolve));
    }
    /** Hands out what waits, if nobody iterates and somebody listens. */
    #pump() {
        let item;
        while ((item = this.#queue[0]) && !this.#iterating && !this.#blocked
            // What an iterator may still want waits for it.
            && (this.heard('event') || !('event' in item || ('gap' in item && !this.heard('gap'))))) {
            this.#queue.shift();
            const settled = this.#take(item);
            if (settled) {
                this.#blocked = true;
                void settled.then(() => {
                    this.#blocked = false;
                    this.#pump();
                });
            }
        }
        for (const wake of this.#wake.splice(0))
            wake();
    }
    #pumpSoon() {
        if (this.#queue.length)
            queueMicrotask(() => this.#pump());
    }
    /** Acts on the next item. What is returned has to settle before the one after it. */
    #take(item) {
        let settled;
        if ('event' in item) {
            this.lastEventId = item.event.id;
            this.emit('event', item.event);
        }
        else if ('gap' in item) {
            this.lastEventId = item.gap.resumes ?? this.lastEventId;
            this.emit('gap', item.gap);
            if (this.#options.resync)
                settled = this.#resync(item.gap);
        }
        else if ('end' in item) {
            this.lastEventId = item.end.id;
            this.emit('end', item.end);
        }
        else if ('error' in item) {
            this.error = item.error;
            this.emit('error', item.error);
            this.#finish('failed', item.error);
        }
        else {
            this.#finish('closed');
        }
        if (!this.#queue.length && this.#before && !this.#working && !this.#ending) {
            this.#jobs.push({ topics: this.topics, query: this.#here(), through: '' });
            this.#work();
        }
        // Somebody may wait for room.
        for (const wake of this.#wake.splice(0))
            wake();
        return settled;
    }
    async #resync(gap) {
        try {
            await this.#options.resync?.(gap);
        }
        catch (cause) {
            this.#queue = [];
            this.fail(new TidingsError('resync', 'the resync hook has failed', { cause }));
        }
    }
    #finish(state, error) {
        if (this.isOver)
            return;
        this.#ending = true;
        this.#over.abort();
        this.state = state;
        this.#queue = [];
        this.#held = [];
        this.#jobs = [];
        for (const wake of this.#wake.splice(0))
            wake();
        this.emit('state', { state, ...(error && { error }) });
        this.#host.changed();
    }
    /** Which of these topics it follows. */
    concerned(topics) {
        return topics.filter((topic) => covers(this.topics, { topic }) || this.topics.includes(topic));
    }
}
//# sourceMappingURL=subscription.js.map