// A request of this page as a line for a shell. The token is never in it: the line names the
// variable that has it.

import type { Call } from './session';

/** Quotes a word for a POSIX shell. */
export const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

/** What a curl line can say besides the request. */
export interface CurlOptions {
  /** Whether the page sends a token with it. */
  token: boolean;
  /** The server; the one this page came from unless given. */
  origin?: string;
}

/** The line. */
export function curlOf(call: Omit<Call, 'signal'>, options: CurlOptions): string {
  const { method = 'GET', path, body } = call;
  const headers = { ...call.headers };
  const words = ['curl'];
  if (headers['accept'] === 'text/event-stream') words.push('-N');
  if (method !== 'GET' && !(method === 'POST' && body !== undefined)) words.push('-X', method);
  if (options.token) words.push('-H', '"Authorization: Bearer $TIDINGS_TOKEN"');
  if (body !== undefined && typeof body !== 'string') headers['content-type'] ??= 'application/json';
  for (const [name, value] of Object.entries(headers)) words.push('-H', quoted(`${name}: ${value}`));
  if (body !== undefined) {
    words.push('--data-binary', quoted(typeof body === 'string' ? body : JSON.stringify(body)));
  }
  words.push(quoted((options.origin ?? location.origin) + path));
  return words.join(' ');
}
