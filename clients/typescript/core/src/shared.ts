/**
 * `@tidings/client/shared`: any number of tabs, one connection.
 *
 * `createClient({ url, share: tabs() })`. One tab leads: it holds a Web Lock and the connection,
 * and hands on what comes by `BroadcastChannel`. Each tab keeps its own position; what it lacks
 * after a hand-over it reads from history. When the leader closes, crashes, freezes or hangs,
 * another takes over where it was. Tabs share only if address, user and headers are the same.
 */

import type { Share } from './link.js';
import { groupName } from './tabs/group.js';
import { TabLink } from './tabs/tab.js';

/** How to share. */
export interface TabsOptions {
  /**
   * Who is signed in: tabs share only with tabs of the same user. Unless given, the token says it:
   * by its claims if it is a JWT (RFC 7519), otherwise by all of it. Give it where users are told
   * apart by cookies, or where each tab has a token of its own.
   */
  user?: string;
}

/** Shares one connection among the tabs of a browser; a connection each where that cannot be. */
export function tabs(options: TabsOptions = {}): Share {
  return {
    link(context, handler) {
      const possible =
        typeof BroadcastChannel === 'function' &&
        typeof navigator === 'object' &&
        'locks' in navigator &&
        typeof crypto === 'object' &&
        'subtle' in crypto;
      if (!possible) return undefined;
      return new TabLink(context, handler, groupName(context, options.user));
    },
  };
}
