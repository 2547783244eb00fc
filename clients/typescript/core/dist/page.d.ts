/** What happens to a page that concerns its connections: it is hidden, put away, woken up. */
import type { Link, LinkContext } from './link.js';
/** Tells the link of a client of it, until the signal says that it is over. */
export declare function watchPage({ options, clock }: LinkContext, link: () => Link | undefined, over: AbortSignal): void;
