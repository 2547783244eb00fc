/**
 * Who shares a connection: tabs of one origin (the browser sees to that), with the same address,
 * the same user and the same headers. The name tells nothing of them to who reads it.
 */

import type { LinkContext } from '../link.js';
import { VERSION } from './messages.js';

/** Claims of a token that differ each time it is made anew (RFC 7519, section 4.1). */
const CHANGING = new Set(['exp', 'iat', 'nbf', 'jti']);

/** The name of the group of a client. */
export async function groupName(context: LinkContext, user: string | undefined): Promise<string> {
  const { headers } = context.options;
  const all = [
    context.url.href,
    user === undefined ? ['token', identity(await context.token())] : ['user', user],
    Object.entries((typeof headers === 'function' ? headers() : headers) ?? {}).sort(),
  ];
  const bytes = new TextEncoder().encode(JSON.stringify(all));
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return `tidings/${VERSION}/${hex}`;
}

/** What stays of a token when it is renewed: its claims, or the whole of it. */
export function identity(token: string | undefined): unknown {
  if (token === undefined) return null;
  try {
    const [, payload = ''] = token.split('.');
    const text = atob(payload.replaceAll('-', '+').replaceAll('_', '/'));
    const claims: unknown = JSON.parse(text);
    if (typeof claims !== 'object' || claims === null) return token;
    const lasting = Object.entries(claims).filter(([name]) => !CHANGING.has(name));
    return lasting.sort(([a], [b]) => (a < b ? -1 : 1));
  } catch {
    return token;
  }
}
