/**
 * `text/event-stream` into events: WHATWG HTML, section 9.2.6, from bytes, a chunk at a time.
 *
 * The events are the same however the stream is cut into chunks. A blank line that ends in CR
 * dispatches at the CR, not at the byte after it. What is not UTF-8 becomes U+FFFD. An event
 * without its blank line is never dispatched and its id does not count. Each byte is searched once
 * and copied at most once more than its line is cut, so no chunking is quadratic. A line or an
 * event above the limit is an error and never memory.
 */
import { TidingsError } from './errors.js';
/** The limit unless another is given, in bytes: 1 MiB of data as an envelope has at most 6 MiB. */
export const MAX_EVENT_BYTES = 8 << 20;
/** Bytes that a line may have beyond the data of its event: the field's name and its space. */
const LINE_OVERHEAD_BYTES = 16;
/** What is kept of a comment that is cut into chunks, in bytes. */
const COMMENT_BYTES_MAX = 1024;
/** Capacity of the line buffer that is kept for the next line, in bytes. */
const KEPT_BYTES_MAX = 512 << 10;
const LF = 10;
const CR = 13;
const COLON = 58;
/** Parses one stream after the other. */
export class Parser {
    /** The last event id string; it outlives `reset`. */
    lastEventId;
    /** The last `retry:` in milliseconds, if there was one; it outlives `reset`. */
    reconnectionTime;
    #handlers;
    #max;
    #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    /** The beginning of a line whose end has not come. */
    #line = new Uint8Array(256);
    #held = 0;
    #first = true;
    #afterCr = false;
    #id;
    #type = '';
    #data = [];
    #bytes = 0;
    constructor(handlers, options = {}) {
        this.#handlers = handlers;
        this.#max = options.maxEventBytes ?? MAX_EVENT_BYTES;
        this.lastEventId = this.#id = options.lastEventId ?? '';
    }
    /** Begins a new stream: what is not complete is forgotten. */
    reset() {
        this.#first = true;
        this.#afterCr = false;
        this.#held = 0;
        this.#clear();
        this.#id = this.lastEventId;
    }
    /**
     * Takes the next bytes.
     *
     * @throws {TidingsError} `too-large`. The parser is of use again after `reset`.
     */
    feed(chunk) {
        let from = this.#afterCr && chunk[0] === LF ? 1 : 0;
        if (chunk.length)
            this.#afterCr = false;
        let lf = chunk.indexOf(LF, from);
        let cr = chunk.indexOf(CR, from);
        while (lf >= 0 || cr >= 0) {
            const end = cr < 0 || (lf >= 0 && lf < cr) ? lf : cr;
            this.#complete(chunk.subarray(from, end));
            from = end + 1;
            if (end === cr) {
                this.#afterCr = from === chunk.length;
                if (chunk[from] === LF)
                    from++;
                cr = chunk.indexOf(CR, from);
            }
            if (lf >= 0 && lf < from)
                lf = chunk.indexOf(LF, from);
        }
        if (from < chunk.length)
            this.#hold(chunk.subarray(from));
    }
    #hold(part) {
        const comment = (this.#held ? this.#line[0] : part[0]) === COLON;
        if (comment)
            part = part.subarray(0, Math.max(0, COMMENT_BYTES_MAX - this.#held));
        const need = this.#held + part.length;
        if (!comment && need > this.#max + LINE_OVERHEAD_BYTES)
            this.#tooLarge();
        if (need > this.#line.length) {
            const larger = new Uint8Array(Math.max(need, this.#line.length * 2));
            larger.set(this.#line.subarray(0, this.#held));
            this.#line = larger;
        }
        this.#line.set(part, this.#held);
        this.#held = need;
    }
    #complete(line) {
        if (this.#held) {
            if (line.length)
                this.#hold(line);
            line = this.#line.subarray(0, this.#held);
            this.#held = 0;
            if (this.#line.length > KEPT_BYTES_MAX)
                this.#line = new Uint8Array(256);
        }
        if (this.#first) {
            this.#first = false;
            // The byte order mark that may lead a stream, once.
            if (line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf)
                line = line.subarray(3);
        }
        if (!line.length)
            return this.#dispatch();
        if (line[0] === COLON) {
            this.#handlers.onComment?.(this.#decoder.decode(line.subarray(1)));
            return;
        }
        if (line.length > this.#max + LINE_OVERHEAD_BYTES)
            this.#tooLarge();
        const text = this.#decoder.decode(line);
        const colon = text.indexOf(':');
        const name = colon < 0 ? text : text.slice(0, colon);
        const value = colon < 0 ? '' : text.slice(colon + (text[colon + 1] === ' ' ? 2 : 1));
        if (name === 'data') {
            this.#bytes += line.length - (text.length - value.length) + (this.#data.length ? 1 : 0);
            if (this.#bytes > this.#max)
                this.#tooLarge();
            this.#data.push(value);
        }
        else if (name === 'event') {
            this.#type = value;
        }
        else if (name === 'id') {
            if (!value.includes('\0'))
                this.#id = value;
        }
        else if (name === 'retry' && /^[0-9]+$/.test(value)) {
            this.reconnectionTime = +value;
            this.#handlers.onRetry?.(+value);
        }
    }
    #dispatch() {
        if (this.lastEventId !== this.#id) {
            this.lastEventId = this.#id;
            this.#handlers.onId?.(this.#id);
        }
        const type = this.#type || 'message';
        const data = this.#data;
        this.#clear();
        if (data.length) {
            this.#handlers.onEvent({ type, data: data.join('\n'), lastEventId: this.lastEventId });
        }
    }
    #clear() {
        this.#type = '';
        this.#data = [];
        this.#bytes = 0;
    }
    #tooLarge() {
        throw new TidingsError('too-large', `an event has more than ${this.#max} bytes`);
    }
}
/** Reads a whole body, as an async iterator. Leaving the loop cancels the body. */
export async function* parse(body, options) {
    let events = [];
    const parser = new Parser({ onEvent: (event) => events.push(event) }, options);
    const reader = body.getReader();
    try {
        for (;;) {
            const { done, value } = await reader.read();
            if (done)
                return;
            let failure;
            try {
                parser.feed(value);
            }
            catch (error) {
                failure = error;
            }
            const ready = events;
            events = [];
            yield* ready;
            if (failure)
                throw failure;
        }
    }
    finally {
        reader.cancel().catch(() => { });
    }
}
//# sourceMappingURL=parser.js.map