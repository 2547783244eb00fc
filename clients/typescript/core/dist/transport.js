/**
 * Requests: headers, token, redirects, the wait for an answer, and what an answer above 400 means.
 *
 * The token is asked for once however many requests need it, kept until it expires or is refused,
 * and renewed once for a request that was refused with 401. Another server that a redirect leads to
 * gets neither token nor headers.
 */
import { retryAfter } from './backoff.js';
import { TidingsError, UnauthorizedError } from './errors.js';
import { encodeQuery } from './names.js';
/** Redirects that are followed, where `fetch` lets itself be asked not to. */
const REDIRECTS_MAX = 5;
/** Longest problem document that is read, in bytes; of a longer one nothing is. */
const PROBLEM_BYTES_MAX = 64 << 10;
/** How long before its `exp` a token counts as expired, in milliseconds. */
const EXPIRY_MARGIN = 10_000;
/** Any error as one of ours. */
export const asError = (error, signal) => error instanceof TidingsError
    ? error
    : signal?.aborted
        ? new TidingsError('aborted', 'aborted', { cause: signal.reason })
        : new TidingsError('network', `no answer: ${String(error)}`, {
            retryable: true,
            cause: error,
        });
/** Whether a status says "later" (501 says that this server never will). */
export const isRetryable = (status) => [408, 425, 429, 500].includes(status) || status >= 502;
/** When a JSON Web Token expires, in milliseconds since 1970; never, if it does not say. */
function expiry(token) {
    try {
        const payload = token.split('.')[1] ?? '';
        const { exp } = JSON.parse(atob(payload.replace(/-/g, '+').replace(/_/g, '/')));
        return exp > 0 ? exp * 1000 - EXPIRY_MARGIN : Infinity;
    }
    catch {
        return Infinity;
    }
}
/** Sends the requests of one client. */
export class Transport {
    #context;
    #token;
    #asking;
    constructor(context) {
        this.#context = context;
    }
    async #authorize(refused) {
        const { options, clock } = this.#context;
        const { getToken } = options;
        if (!getToken)
            return undefined;
        const token = this.#token;
        let reason = 'connect';
        if (token !== undefined) {
            // Somebody else's 401 may have renewed it meanwhile.
            if (token === refused)
                reason = 'unauthorized';
            else if (expiry(token) <= clock.now())
                reason = 'expired';
            else
                return token;
        }
        this.#asking ??= Promise.resolve()
            .then(() => getToken({ reason }))
            .then((given) => (this.#token = given))
            .finally(() => (this.#asking = undefined));
        return this.#asking;
    }
    /** See {@link LinkContext.send}. */
    async send(request) {
        const { clock, openTimeout } = this.#context;
        let timer;
        const late = new Promise((_, reject) => {
            timer = clock.setTimeout(() => reject(new TidingsError('timeout', 'no answer in time', { retryable: true })), openTimeout);
        });
        const answer = this.#exchange(request);
        answer.catch(() => { });
        try {
            return await Promise.race([answer, late]);
        }
        catch (error) {
            throw asError(error, request.signal);
        }
        finally {
            clock.clearTimeout(timer);
        }
    }
    async #exchange(request) {
        let token = await this.#authorize();
        let response = await this.#fetch(request, token);
        if (response.status === 401 && token !== undefined) {
            response.body?.cancel().catch(() => { });
            token = await this.#authorize(token);
            response = await this.#fetch(request, token);
        }
        const { status } = response;
        if (status < 400)
            return response;
        const problem = await readProblem(response);
        const details = {
            status,
            problem,
            retryable: problem?.retryable ?? isRetryable(status),
            retryAfter: retryAfter(response.headers.get('retry-after'), this.#context.clock.now()),
        };
        const message = problem?.detail ?? problem?.title ?? `status ${status}`;
        throw status === 401
            ? new UnauthorizedError(message, details)
            : new TidingsError(problem?.code ?? 'http', message, details);
    }
    async #fetch(request, token) {
        const { options, url: base } = this.#context;
        const url = new URL(base);
        url.pathname = base.pathname.replace(/\/$/, '') + request.path;
        url.search = [base.search.slice(1), encodeQuery(request.query ?? [])].filter(Boolean).join('&');
        const own = typeof options.headers === 'function' ? options.headers() : options.headers;
        const headers = { ...own, ...request.headers };
        if (token !== undefined)
            headers['Authorization'] = `Bearer ${token}`;
        const send = options.fetch ?? globalThis.fetch;
        let { method } = request;
        let body = request.body;
        let to = url;
        let redirect = 'manual';
        for (let hops = 0;; hops++) {
            options.onFrame?.({ kind: 'request', method, url: to.href });
            const response = await send(to.href, {
                method,
                redirect,
                cache: 'no-store',
                headers: to.origin === url.origin ? headers : { ...request.headers },
                ...(options.credentials && { credentials: options.credentials }),
                ...(body !== undefined && { body }),
                ...(request.keepalive && { keepalive: true }),
                ...(request.signal && { signal: request.signal }),
            });
            if (response.type === 'opaqueredirect') {
                // A browser does not say where to; it goes there by itself.
                redirect = 'follow';
                continue;
            }
            options.onFrame?.({ kind: 'response', status: response.status });
            if (![301, 302, 303, 307, 308].includes(response.status))
                return response;
            const location = response.headers.get('location');
            response.body?.cancel().catch(() => { });
            const next = location ? new URL(location, to) : undefined;
            if (!next || hops === REDIRECTS_MAX || !/^https?:$/.test(next.protocol)) {
                throw new TidingsError('redirect', `redirected to ${location || 'nowhere'}`, {
                    status: response.status,
                });
            }
            if (response.status === 303) {
                method = 'GET';
                body = undefined;
            }
            to = next;
        }
    }
}
/** The problem document of an answer, if it has one that can be read. */
async function readProblem({ body }) {
    const reader = body?.getReader();
    const decoder = new TextDecoder();
    let text = '';
    try {
        while (reader && text.length <= PROBLEM_BYTES_MAX) {
            const { done, value } = await reader.read();
            if (done)
                return JSON.parse(text);
            text += decoder.decode(value, { stream: true });
        }
    }
    catch {
        // Not JSON, or cut: the status has to do.
    }
    finally {
        reader?.cancel().catch(() => { });
    }
    return undefined;
}
//# sourceMappingURL=transport.js.map