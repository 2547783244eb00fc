/** Publishing and history: requests that are repeated until they are answered. */

import { backoff } from './backoff.js';
import { asError, type TidingsError } from './errors.js';
import { attemptsOf, sleep } from './lazy.js';
import type { LinkContext, LinkRequest } from './link.js';
import { checkTopic, checkTopics, request, topicPath } from './names.js';
import { toEvent, type WirePage } from './intake.js';
import type { HistoryOptions, Page, Parse, PublishOptions, Receipt } from './types.js';

/** Pages of history that are read at once: a browser has six connections to an HTTP/1.1 server. */
const PAGES_MAX = 3;

/** Need not be secret; `crypto.randomUUID` is there on secure pages only. */
const uniqueKey = () =>
  [1, 2, 3].map(() => Math.random().toString(36).slice(2)).join('');

/** A time as the protocol has it: RFC 3339, or a duration (a bare number is of milliseconds). */
const time = (value: Date | string | number): string =>
  value instanceof Date ? value.toISOString() : typeof value === 'number' ? `${value}ms` : value;

/** The members that have a value, as a query. */
const toQuery = (members: Record<string, Date | string | number | undefined>) =>
  Object.entries(members).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, time(value)]]);

/** The requests of one client. */
export class Requests {
  #context: LinkContext;
  #pages = 0;
  #waiting: (() => void)[] = [];

  constructor(context: LinkContext) {
    this.#context = context;
  }

  async publish(
    topic: string,
    data: string | Uint8Array | object,
    options: PublishOptions = {},
  ): Promise<Receipt> {
    const { type, key, ttl, at, delay, expect, id, end } = options;
    const { idempotencyKey, keepalive, signal } = options;
    const plain = typeof data === 'string' || data instanceof Uint8Array;
    const answer = await this.#call<Partial<Receipt>>(
      {
        method: 'POST',
        path: topicPath(checkTopic(topic)),
        query: toQuery({ type, key, ttl, at, delay, expect, 'publisher-id': id, end }),
        headers: {
          ...(!plain && { 'Content-Type': 'application/json' }),
          'Idempotency-Key': idempotencyKey ?? uniqueKey(),
        },
        body: plain ? (data as BodyInit) : JSON.stringify(data),
        ...(keepalive && { keepalive }),
      },
      signal,
    );
    return { id: '', topic, duplicate: false, ...answer };
  }

  async history<T>(
    topics: string | readonly string[],
    options: HistoryOptions & { parse?: Parse<T> } = {},
  ): Promise<Page<T>> {
    const { after, before, last, earliest, since, limit, signal } = options;
    const query = toQuery({
      after,
      before,
      last: last?.toString(),
      since,
      from: earliest ? 'earliest' : undefined,
      limit: limit?.toString(),
    });
    const ask = request(checkTopics(topics), query, 'application/json');
    const page = await this.#call<WirePage>(ask, signal);
    const parse = options.parse ?? (this.#context.options.parse as Parse<T> | undefined);
    return { ...page, events: page.events.map((event) => toEvent(event, parse)) };
  }

  /** Reads a page, again and again until it is there. Rejects if that is hopeless. */
  async page(
    topics: readonly string[],
    query: [string, string][],
    signal: AbortSignal,
  ): Promise<WirePage> {
    if (this.#pages >= PAGES_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#pages++;
    try {
      const ask = request(topics, query, 'application/json');
      return await this.#call<WirePage>(ask, signal, this.#context.retry.attempts);
    } catch (error) {
      // A topic begins with its first event; there may be none yet.
      if ((error as TidingsError).code !== 'topic-not-found') throw error;
      const at = query.find(([name]) => name === 'lastEventId');
      return { events: [], next: at?.[1] ?? 'earliest', more: false, gap: null };
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#pages--;
    }
  }

  /** Sends a request until it is answered with something that is worth having. */
  async #call<T>(
    ask: LinkRequest,
    signal: AbortSignal | undefined,
    attempts = attemptsOf(this.#context),
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      // Of this attempt alone, so that one that is given up is ended.
      const controller = new AbortController();
      const abort = () => controller.abort(signal?.reason);
      if (signal?.aborted) abort();
      signal?.addEventListener('abort', abort);
      try {
        const response = await this.#context.send({ ...ask, signal: controller.signal });
        return (await response.json()) as T;
      } catch (thrown) {
        const error = asError(thrown, controller.signal);
        controller.abort();
        if (!error.retryable || attempt >= attempts) {
          Object.defineProperty(error, 'attempt', { value: attempt });
          throw error;
        }
        await sleep(this.#context, backoff(this.#context, attempt, error.retryAfter), signal);
      } finally {
        signal?.removeEventListener('abort', abort);
      }
    }
  }
}
