/**
 * Requests: headers, token, and the wait for an answer. What one from 300 means: `answers.ts`.
 *
 * The token is asked for once however many requests need it, kept until it expires or is refused,
 * and renewed once for a request that was refused with 401.
 */

import { asError, TidingsError } from './errors.js';
import { load } from './lazy.js';
import type { LinkContext, LinkRequest } from './link.js';
import { encodeQuery } from './names.js';
import type { TokenRequest } from './types.js';

/** How long before its `exp` a token counts as expired, in milliseconds. */
const EXPIRY_MARGIN = 10_000;

/** When a JSON Web Token expires, in milliseconds since 1970; never, if it does not say. */
function expiry(token: string): number {
  try {
    const payload = token.split('.')[1] ?? '';
    const { exp } = JSON.parse(atob(payload.replace(/-/g, '+').replace(/_/g, '/')));
    return exp > 0 ? exp * 1000 - EXPIRY_MARGIN : Infinity;
  } catch {
    return Infinity;
  }
}

/** Sends the requests of one client. */
export class Transport {
  #context: LinkContext;
  #token: string | undefined;
  #asking: Promise<string> | undefined;

  constructor(context: LinkContext) {
    this.#context = context;
  }

  async #authorize(refused?: string): Promise<string | undefined> {
    const { options, clock } = this.#context;
    const { getToken } = options;
    if (!getToken) return undefined;
    const token = this.#token;
    let reason: TokenRequest['reason'] = 'connect';
    if (token !== undefined) {
      // Somebody else's 401 may have renewed it meanwhile.
      if (token === refused) reason = 'unauthorized';
      else if (expiry(token) <= clock.now()) reason = 'expired';
      else return token;
    }
    this.#asking ??= Promise.resolve()
      .then(() => getToken({ reason }))
      .then((given) => (this.#token = given))
      .finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  /** See {@link LinkContext.token}. */
  token(): Promise<string | undefined> {
    return this.#authorize();
  }

  /** See {@link LinkContext.send}. */
  async send(request: LinkRequest): Promise<Response> {
    const { clock, openTimeout } = this.#context;
    let timer: unknown;
    const late = new Promise<never>((_, reject) => {
      timer = clock.setTimeout(
        () => reject(new TidingsError('timeout', 'no answer in time', { retryable: true })),
        openTimeout,
      );
    });
    const answer = this.#exchange(request);
    answer.catch(() => {});
    try {
      return await Promise.race([answer, late]);
    } catch (error) {
      throw asError(error, request.signal);
    } finally {
      clock.clearTimeout(timer);
    }
  }

  async #exchange(request: LinkRequest): Promise<Response> {
    const token = await this.#authorize();
    let response = await this.#fetch(request, token);
    if (response.status === 401 && token !== undefined) {
      response.body?.cancel().catch(() => {});
      response = await this.#fetch(request, await this.#authorize(token));
    }
    if (response.status >= 400) {
      // One attempt: whoever has asked asks again.
      const { refusal } = await load(this.#context, request.signal, 1);
      throw await refusal(response, this.#context.clock);
    }
    return response;
  }

  async #fetch(request: LinkRequest, token: string | undefined): Promise<Response> {
    const { options, url: base } = this.#context;
    const url = new URL(base);
    url.pathname = base.pathname.replace(/\/$/, '') + request.path;
    url.search = [base.search.slice(1), encodeQuery(request.query ?? [])].filter(Boolean).join('&');
    const { headers } = options;
    const own = { ...(typeof headers === 'function' ? headers() : headers), ...request.headers };
    if (token !== undefined) own['Authorization'] = `Bearer ${token}`;
    const response = await this.#hop({ ...request, headers: own }, url, 'manual');
    const { status, type } = response;
    if (type !== 'opaqueredirect' && (status < 300 || status >= 400)) return response;
    const { follow } = await load(this.#context, request.signal, 1);
    return follow(response, url, request, own, (...to) => this.#hop(...to));
  }

  /** Sends a request to an address, and no further. */
  async #hop(
    { method, body, headers, keepalive, signal }: LinkRequest,
    { href }: URL,
    redirect: RequestRedirect,
  ): Promise<Response> {
    const { fetch = globalThis.fetch, credentials, onFrame } = this.#context.options;
    onFrame?.({ kind: 'request', method, url: href });
    const init = { method, redirect, cache: 'no-store', headers, body, keepalive, signal };
    const response = await fetch(href, {
      ...(init as RequestInit),
      ...(credentials && { credentials }),
    });
    if (response.status) onFrame?.({ kind: 'response', status: response.status });
    return response;
  }
}

/** Whether a status says "later" (501 says that this server never will). */
export const isRetryable = (status: number): boolean =>
  [408, 425, 429, 500].includes(status) || status >= 502;
