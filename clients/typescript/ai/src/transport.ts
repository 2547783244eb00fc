// The AI SDK's transport for the relay's chat route.
//
// What it promises beyond the SDK's own: a connection that is cut in the middle of an answer is
// made again after the last chunk that was taken, so that the message is that of an uncut one and
// nobody sees an error; stopping stops the answer itself and not only its reading; leaving does
// not stop it. The SDK is needed for its types only, so that versions 5, 6 and 7 will do.

import type { ChatTransport, UIMessage, UIMessageChunk } from 'ai';
import { opener, stopAnswer } from './answer/answer.js';
import { AnswerError, abortError } from './answer/error.js';
import {
  isEventStream, type AnswerConnection, type AnswerSource, type Opened,
} from './answer/follow.js';
import { answerOf, type AnswerHandle } from './answer/handle.js';
import { detailOf } from './answer/json.js';
import { Backoff, isTransient, retryAfter, type RetryOptions } from './answer/retry.js';
import { chunks } from './chunks.js';
import { chatOf, type Chat } from './chats.js';

/** A value, or what makes it anew for each request. */
export type Resolvable<T> = T | PromiseLike<T> | (() => T | PromiseLike<T>);

/** What a request is made of, for `prepareSendMessagesRequest`. */
export interface SendRequest<M extends UIMessage> {
  api: string;
  id: string;
  messages: M[];
  trigger: 'submit-message' | 'regenerate-message';
  messageId: string | undefined;
  headers: Record<string, string>;
  body: object | undefined;
  requestMetadata: unknown;
}

/** Where the chat is and how it is reached. All times in milliseconds. */
export interface TidingsChatTransportOptions<M extends UIMessage = UIMessage> {
  /** The relay's chat route. Default `/api/chat`. */
  api?: string;
  /** Sent with every request; a function is called for each. */
  headers?: Resolvable<Record<string, string> | Headers>;
  /** Members of the body beside the chat's own. */
  body?: Resolvable<object>;
  /** As fetch has it. */
  credentials?: Resolvable<RequestCredentials>;
  /** Used instead of the global one. */
  fetch?: typeof globalThis.fetch;
  /** Where the server's own paths (`/topics`, `/answers`) are, if not at the root of `api`. */
  server?: string | URL;
  /** Waits and attempts after a cut. */
  retry?: RetryOptions;
  /** A connection that is silent for so long is taken for dead. Default 45,000. */
  heartbeatTimeout?: number;
  /** How long the head of a response is waited for when coming back. Default 15,000. */
  openTimeout?: number;
  /**
   * Whether aborting (`stop()` of `useChat`) stops the answer itself. Default true. Version 7 of
   * the SDK also aborts when the component of `useChat` goes away; with false, that only stops
   * reading, and `stop(chatId)` of the transport is what stops.
   */
  stopOnAbort?: boolean;
  /** Told what the connection of an answer does, for a discreet sign of it. */
  onConnection?: (state: AnswerConnection, chatId: string) => void;
  /** Makes body, headers and URL of a request to send. */
  prepareSendMessagesRequest?: (
    request: SendRequest<M>,
  ) => Prepared | PromiseLike<Prepared>;
}

/** What `prepareSendMessagesRequest` makes. */
export interface Prepared {
  body: object;
  headers?: HeadersInit;
  api?: string;
}

type Send<M extends UIMessage> = Parameters<ChatTransport<M>['sendMessages']>[0];
type Reconnect<M extends UIMessage> = Parameters<ChatTransport<M>['reconnectToStream']>[0];

/** Attempts to send a question that the server answers with an error of its own. */
const REFUSED_ATTEMPTS = 3;

/** How long a question that was stopped is waited for, to stop its answer. */
const STOPPED_WAIT_MS = 30_000;

/**
 * `useChat({ transport: new TidingsChatTransport({ api: '/api/chat' }) })`
 */
export class TidingsChatTransport<M extends UIMessage = UIMessage> implements ChatTransport<M> {
  /** What `reconnectToStream` hands out begins with the answer's beginning (SDK 6 and 7). */
  readonly resumeStreamIsReplay = true;

  private readonly options: TidingsChatTransportOptions<M>;
  private readonly api: string;

  constructor(options: TidingsChatTransportOptions<M> = {}) {
    this.options = options;
    this.api = options.api ?? '/api/chat';
  }

  /** Sends the chat's messages; the answer survives cuts. Aborting stops it. */
  async sendMessages(send: Send<M>): Promise<ReadableStream<UIMessageChunk>> {
    const { abortSignal, chatId } = send;
    const chat = chatOf(this.api, chatId);
    // A stop that is still on its way must not hit the answer to come.
    await chat.settled();
    if (abortSignal?.aborted === true) throw abortError();
    const base = await this.base(send.headers);
    const prepared = await this.prepare(send, base);
    const api = prepared.api ?? this.api;
    const headers = new Headers(prepared.headers ?? base);
    headers.set('content-type', 'application/json');
    // Whoever sends the same question again is given the same answer: nothing is paid twice.
    if (!headers.has('idempotency-key')) headers.set('idempotency-key', randomKey());
    const body = JSON.stringify(prepared.body);
    const post = async (signal: AbortSignal): Promise<Response> =>
      await this.fetch(api, { method: 'POST', headers, body, signal });
    const asked = new AbortController();
    const answered = this.answered(post, asked.signal);
    const response = await this.orStopped(answered, asked, chat, headers, abortSignal);
    const handle = answerOf(response, this.options.server ?? absolute(api, response));
    const open = this.opener(handle, async (after, signal) => ({
      response: await post(signal), skipThrough: after, isTopic: false,
    }));
    const first: Opened = { response, isTopic: false };
    return this.stream(chat, { first, open }, handle, headers, abortSignal);
  }

  /** The answer that runs, from its beginning; null if none does. */
  async reconnectToStream(
    reconnect: Reconnect<M>,
  ): Promise<ReadableStream<UIMessageChunk> | null> {
    const { chatId } = reconnect;
    // Only versions 6 and 7 hand it over.
    const { abortSignal } = reconnect as { abortSignal?: AbortSignal };
    const chat = chatOf(this.api, chatId);
    chat.takenOver();
    await chat.settled();
    const headers = new Headers(await this.base(reconnect.headers));
    headers.set('accept', 'text/event-stream');
    const get = async (after: string | undefined, signal?: AbortSignal): Promise<Response> => {
      const sent = new Headers(headers);
      if (after !== undefined) sent.set('last-event-id', after);
      const init: RequestInit = { headers: sent, cache: 'no-store' };
      if (signal !== undefined) init.signal = signal;
      return await this.fetch(below(this.api, chatId, 'stream'), init);
    };
    const response = await this.answered(
      async (signal) => await get(undefined, signal),
      abortSignal ?? new AbortController().signal,
    );
    if (response.status === 204) return null;
    const handle = answerOf(response, this.options.server ?? absolute(this.api, response));
    const open = this.opener(handle, async (after, signal) => {
      const again = await get(after, signal);
      // What was said between the cut and the end cannot be had this way.
      if (again.status === 204) throw new AnswerError('lost', 'the answer ended while cut off');
      return { response: again, isTopic: false };
    });
    const first: Opened = { response, isTopic: false };
    return this.stream(chat, { first, open }, handle, headers, abortSignal, true);
  }

  /**
   * Stops the answer of a chat for everybody who reads it. Stopping one that has ended is no error.
   * `useChat`'s own `stop` does the same; this is for elsewhere, and for an answer that version 5
   * of the SDK has resumed, which it cannot stop.
   */
  async stop(chatId: string): Promise<void> {
    const chat = chatOf(this.api, chatId);
    const headers = new Headers(await this.base(undefined));
    await chat.stopping(this.stopRequest(chat, chat.handle, headers));
  }

  private stream(
    chat: Chat,
    source: AnswerSource,
    handle: AnswerHandle | undefined,
    headers: Headers,
    abortSignal: AbortSignal | undefined,
    isResumed = false,
  ): ReadableStream<UIMessageChunk> {
    const { retry, heartbeatTimeout, openTimeout, onConnection } = this.options;
    chat.handle = handle;
    return chunks({
      source,
      retry,
      heartbeatTimeout,
      openTimeout,
      onConnection: (state) => onConnection?.(state, chat.id),
      abortSignal,
      onAbort: () => {
        if (this.options.stopOnAbort === false) return;
        const stop = (): Promise<void> => this.stopRequest(chat, handle, headers);
        // The SDK aborts the older of two resumptions as well: that is no stop.
        if (isResumed) chat.stopUnlessTakenOver(stop);
        else void chat.stopping(stop()).catch(() => undefined);
      },
      onEnd: () => {
        if (chat.handle === handle) chat.handle = undefined;
      },
    });
  }

  /** Asks until there is an answer to the question. */
  private async answered(
    post: (signal: AbortSignal) => Promise<Response>,
    signal: AbortSignal,
  ): Promise<Response> {
    const backoff = new Backoff(this.options.retry);
    let refused = 0;
    for (;;) {
      let response: Response;
      try {
        response = await post(signal);
      } catch (error) {
        if (signal.aborted || !(await backoff.next(signal))) throw error;
        continue;
      }
      if (response.ok) return response;
      refused += 1;
      const isFinal = !isTransient(response.status) || refused >= REFUSED_ATTEMPTS;
      const error = await refusal(response);
      if (isFinal || !(await backoff.next(signal, retryAfter(response)))) throw error;
    }
  }

  /** The response; if it is stopped before there is one, the answer that it will bring is. */
  private async orStopped(
    answered: Promise<Response>,
    asked: AbortController,
    chat: Chat,
    headers: Headers,
    abortSignal: AbortSignal | undefined,
  ): Promise<Response> {
    if (abortSignal === undefined) return await answered;
    return await new Promise<Response>((resolve, reject) => {
      const stopped = (): void => {
        reject(abortError());
        if (this.options.stopOnAbort === false) {
          asked.abort();
          return;
        }
        const timer = setTimeout(() => asked.abort(), STOPPED_WAIT_MS);
        const late = async (): Promise<void> => {
          try {
            const response = await answered;
            void response.body?.cancel().catch(() => undefined);
            const handle = answerOf(response, this.options.server ?? absolute(this.api, response));
            await this.stopRequest(chat, handle, headers);
          } finally {
            clearTimeout(timer);
          }
        };
        // At once for a server that has the question, and again for one that gets it only now.
        const now = this.stopRequest(chat, undefined, headers).catch(() => undefined);
        void chat.stopping(Promise.all([now, late().catch(() => undefined)]));
      };
      abortSignal.addEventListener('abort', stopped, { once: true });
      const done = (): void => abortSignal.removeEventListener('abort', stopped);
      answered.then(resolve, reject).finally(done);
    });
  }

  private async stopRequest(
    chat: Chat,
    handle: AnswerHandle | undefined,
    headers: Headers,
  ): Promise<void> {
    const { credentials, fetch, retry } = this.options;
    if (handle?.stop !== undefined) {
      const stopped = stopAnswer(handle.stop, { fetch, retry });
      // Where a proxy passes the chat route on and nothing besides, the chat's own stop is reached.
      if (await stopped.catch(() => false)) return;
    }
    const sent = new Headers(headers);
    for (const name of ['content-type', 'accept', 'idempotency-key']) sent.delete(name);
    const url = below(this.api, chat.id, 'stop');
    await stopAnswer(url, {
      fetch,
      retry,
      headers: sent,
      credentials: await resolved(credentials),
    });
  }

  /**
   * The way back into an answer: its own URL, or `other` if there is none or something else than the
   * server answers there, as where a proxy passes the chat route on and nothing besides.
   */
  private opener(
    handle: AnswerHandle | undefined,
    other: AnswerSource['open'],
  ): AnswerSource['open'] {
    let own =
      handle && opener(handle.url, { fetch: this.options.fetch, from: 'earliest' });
    return async (after, signal) => {
      if (own !== undefined) {
        const opened = await own(after, signal);
        const { response } = opened;
        const { status } = response;
        if (status === 204 || isTransient(status) || isEventStream(response)) return opened;
        void response.body?.cancel().catch(() => undefined);
        own = undefined;
      }
      return await other(after, signal);
    };
  }

  private async fetch(url: string, init: RequestInit): Promise<Response> {
    const credentials = await resolved(this.options.credentials);
    if (credentials !== undefined) init.credentials = credentials;
    return await (this.options.fetch ?? globalThis.fetch)(url, init);
  }

  private async base(more: HeadersInit | undefined): Promise<Record<string, string>> {
    const headers = new Headers(await resolved(this.options.headers));
    new Headers(more).forEach((value, name) => headers.set(name, value));
    const plain: Record<string, string> = {};
    headers.forEach((value, name) => (plain[name] = value));
    return plain;
  }

  private async prepare(send: Send<M>, headers: Record<string, string>): Promise<Prepared> {
    const { chatId: id, messages, trigger, messageId } = send;
    const extra = { ...(await resolved(this.options.body)), ...send.body };
    const prepare = this.options.prepareSendMessagesRequest;
    if (prepare === undefined) return { body: { ...extra, id, messages, trigger, messageId } };
    const { metadata: requestMetadata } = send;
    const { api } = this;
    return await prepare({
      api, id, messages, trigger, messageId, headers, body: extra, requestMetadata,
    });
  }
}

/** The error that the SDK's own transport would throw, in its words. */
async function refusal(response: Response): Promise<AnswerError> {
  const text = await response.text().catch(() => '');
  const said = detailOf(text) ?? (text || 'Failed to fetch the chat response.');
  return new AnswerError('refused', said, { status: response.status });
}

/** A chat's path below the API's, before its query. */
function below(api: string, chatId: string, what: string): string {
  const at = api.search(/[?#]/);
  const path = at < 0 ? api : api.slice(0, at);
  const rest = at < 0 ? '' : api.slice(at);
  return `${path.replace(/\/$/, '')}/${encodeURIComponent(chatId)}/${what}${rest}`;
}

/** The root of the server that `api` is on. A response that a test made has no URL of its own. */
function absolute(api: string, response: Response): string | undefined {
  if (response.url !== '') return undefined;
  return /^https?:/.test(api) ? new URL(api).origin : '';
}

async function resolved<T>(value: Resolvable<T> | undefined): Promise<T | undefined> {
  return typeof value === 'function' ? await (value as () => T | PromiseLike<T>)() : await value;
}

/** 122 random bits. `randomUUID` is for secure contexts only. */
function randomKey(): string {
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
