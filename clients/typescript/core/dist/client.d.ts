/**
 * The client: subscriptions on one connection, publishing, and history.
 *
 * It tells its link what is wanted by all subscriptions together, and gives each of them what is
 * theirs of what comes.
 */
import type { Client, ClientOptions, Parse, Subscription } from './types.js';
/** `parse` for topics whose data is JSON. */
export declare const json: Parse<any>;
/**
 * Makes a client. Nothing is sent before something is asked for.
 *
 * @throws {TypeError} if `url` is not a URL.
 */
export declare function createClient<Events extends Record<string, unknown> = Record<string, unknown>>(options: ClientOptions): Client<Events>;
export type { Subscription };
