/**
 * What an answer other than success means: redirects are followed, problem documents are read.
 *
 * Another server that a redirect leads to gets neither token nor headers.
 */

import { retryAfter } from './backoff.js';
import { TidingsError, UnauthorizedError, type Problem } from './errors.js';
import type { LinkRequest } from './link.js';
import { isRetryable } from './transport.js';
import type { Clock } from './types.js';

/** Redirects that are followed, where `fetch` lets itself be asked not to. */
const REDIRECTS_MAX = 5;

/** Longest problem document that is read, in characters; of a longer one nothing is. */
const PROBLEM_CHARS_MAX = 64 << 10;

/** Sends a request to an address, and no further. */
type Hop = (request: LinkRequest, to: URL, redirect: RequestRedirect) => Promise<Response>;

/** Goes where an answer from `url` leads. `headers` are those for the server that was asked. */
export async function follow(
  response: Response,
  url: URL,
  request: LinkRequest,
  headers: Record<string, string>,
  hop: Hop,
): Promise<Response> {
  let to = url;
  let next: LinkRequest = request;
  for (let hops = 0; ; hops++) {
    if (response.type === 'opaqueredirect') {
      // A browser does not say where to; it goes there by itself.
      response = await hop({ ...next, headers }, to, 'follow');
    }
    const { status } = response;
    if (![301, 302, 303, 307, 308].includes(status)) return response;
    const location = response.headers.get('location');
    response.body?.cancel().catch(() => {});
    const target = location ? new URL(location, to) : undefined;
    if (!target || hops === REDIRECTS_MAX || !/^https?:$/.test(target.protocol)) {
      throw new TidingsError('redirect', `redirected to ${location || 'nowhere'}`, { status });
    }
    if (status === 303) {
      const { body, ...rest } = next;
      next = { ...rest, method: 'GET' };
    }
    to = target;
    const told = to.origin === url.origin ? headers : request.headers ?? {};
    response = await hop({ ...next, headers: told }, to, 'manual');
  }
}

/** An answer above 400 as an error. */
export async function refusal(response: Response, clock: Clock): Promise<TidingsError> {
  const { status, headers } = response;
  const problem = await readProblem(response);
  const details = {
    status,
    problem,
    retryable: problem?.retryable ?? isRetryable(status),
    retryAfter: retryAfter(headers.get('retry-after'), clock.now()),
  };
  const message = problem?.detail ?? problem?.title ?? `status ${status}`;
  return status === 401
    ? new UnauthorizedError(message, details)
    : new TidingsError(problem?.code ?? 'http', message, details);
}

/** The problem document of an answer, if it has one that can be read. */
async function readProblem({ body }: Response): Promise<Problem | undefined> {
  const reader = body?.getReader();
  const decoder = new TextDecoder();
  let text = '';
  try {
    while (reader && text.length <= PROBLEM_CHARS_MAX) {
      const { done, value } = await reader.read();
      if (done) return JSON.parse(text);
      text += decoder.decode(value, { stream: true });
    }
  } catch {
    // Not JSON, or cut: the status has to do.
  } finally {
    reader?.cancel().catch(() => {});
  }
  return undefined;
}
