/** Publishing and history: requests that are repeated until they are answered. */
import type { LinkContext } from './link.js';
import { type WirePage } from './intake.js';
import type { HistoryOptions, Page, Parse, PublishOptions, Receipt } from './types.js';
/** The requests of one client. */
export declare class Requests {
    #private;
    constructor(context: LinkContext);
    publish(topic: string, data: string | Uint8Array | object, options?: PublishOptions): Promise<Receipt>;
    history<T>(topics: string | readonly string[], options?: HistoryOptions & {
        parse?: Parse<T>;
    }): Promise<Page<T>>;
    /** Reads a page, again and again until it is there. Rejects if that is hopeless. */
    page(topics: readonly string[], query: [string, string][], signal: AbortSignal): Promise<WirePage>;
}
