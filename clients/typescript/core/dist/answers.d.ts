/**
 * What an answer other than success means: redirects are followed, problem documents are read.
 *
 * Another server that a redirect leads to gets neither token nor headers.
 */
import { TidingsError } from './errors.js';
import type { LinkRequest } from './link.js';
import type { Clock } from './types.js';
/** Sends a request to an address, and no further. */
type Hop = (request: LinkRequest, to: URL, redirect: RequestRedirect) => Promise<Response>;
/** Goes where an answer from `url` leads. `headers` are those for the server that was asked. */
export declare function follow(response: Response, url: URL, request: LinkRequest, headers: Record<string, string>, hop: Hop): Promise<Response>;
/** An answer above 400 as an error. */
export declare function refusal(response: Response, clock: Clock): Promise<TidingsError>;
export {};
