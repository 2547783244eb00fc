// The network of one page, which can be cut: a `fetch` through which everything goes that the page
// asks for.
//
// Cutting it ends every request that is open and refuses new ones until it is mended, as a radio
// does that has lost its signal; the server sees connections that end in the middle. (A real dead
// spot may also leave it with a connection that says nothing, which its heartbeats then find.) The
// bytes that pass are kept for the inspector as they are, the newest of them at most.

import { Signal } from './signal';

/** Entries that the inspector keeps. */
const ENTRIES_MAX = 300;

/** Characters of an answer that one entry keeps. */
const TEXT_MAX = 1_500;

/** How often the inspector is told, in milliseconds: it is for reading, not for keeping up. */
const SHOW_MS = 150;

/** Something that went over the wire. */
export interface WireEntry {
  key: number;
  /** Milliseconds since 1970. */
  at: number;
  /** Which request it belongs to. */
  request: number;
  kind: 'request' | 'response' | 'data' | 'end';
  text: string;
  /** Bytes of `data`; what `text` shows may be shorter. */
  bytes: number;
  /** Whether an `end` was the network's fault. */
  broken?: boolean;
}

/** How the network is. */
export interface NetworkState {
  cut: boolean;
  /** When it mends by itself, in milliseconds since 1970. */
  until: number;
}

/** What a page counts. */
export interface Traffic {
  up: number;
  down: number;
  requests: number;
}

/** The network of one page. */
export class Network {
  readonly state = new Signal<NetworkState>({ cut: false, until: 0 });
  /** What the inspector shows; a new list several times a second. */
  readonly entries = new Signal<readonly WireEntry[]>([]);
  /** Payload bytes: request bodies and lines, and bodies of answers. */
  readonly traffic: Traffic = { up: 0, down: 0, requests: 0 };
  /** Told of each piece of an answer, before it is handed on. */
  onData?: (request: number, text: string) => void;
  readonly #open = new Set<() => void>();
  #log: WireEntry[] = [];
  #next = 1;
  #keys = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #showing: ReturnType<typeof setTimeout> | undefined;

  /** Cuts it for so many milliseconds; without a number until `mend`. */
  cut(ms?: number): void {
    clearTimeout(this.#timer);
    this.state.set({ cut: true, until: ms ? Date.now() + ms : 0 });
    for (const end of [...this.#open]) end();
    window.dispatchEvent(new Event('offline'));
    if (ms) this.#timer = setTimeout(() => this.mend(), ms);
  }

  /** Lets requests through again, and says so as a browser does. */
  mend(): void {
    clearTimeout(this.#timer);
    if (!this.state.get().cut) return;
    this.state.set({ cut: false, until: 0 });
    window.dispatchEvent(new Event('online'));
  }

  /** Ends what is open. */
  close(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#showing);
    for (const end of [...this.#open]) end();
  }

  /** Forgets what the inspector shows. */
  clear(): void {
    this.#log = [];
    this.#show();
  }

  /** As `fetch` does, over this network. */
  fetch = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    const request = this.#next++;
    const url = new URL(input instanceof Request ? input.url : input, location.href);
    const method = init.method ?? 'GET';
    const line = `${method} ${url.pathname}${url.search}`;
    const body = typeof init.body === 'string' ? init.body : '';
    this.traffic.requests += 1;
    this.traffic.up += line.length + 11 + body.length;
    const headers = [...new Headers(init.headers)].map(([name, value]) => `${name}: ${value}`);
    const head = [`${line} HTTP/1.1`, ...headers].join('\n');
    this.#add(request, 'request', body ? `${head}\n\n${body}` : head);
    const abort = new AbortController();
    const signals = init.signal ? [init.signal, abort.signal] : [abort.signal];
    let cut = this.state.get().cut;
    const end = () => {
      cut = true;
      abort.abort();
    };
    this.#open.add(end);
    try {
      if (cut) throw new TypeError('the network is cut');
      const response = await fetch(input, { ...init, signal: AbortSignal.any(signals) });
      this.#add(request, 'response', headOf(response));
      return this.#watched(request, response, end, () => cut);
    } catch (error) {
      this.#open.delete(end);
      this.#add(request, 'end', cut ? 'cut' : String(error), cut);
      throw cut ? new TypeError('the network is cut') : error;
    }
  };

  #watched(request: number, response: Response, end: () => void, cut: () => boolean): Response {
    const over = (why: string, broken = false) => {
      if (this.#open.delete(end)) this.#add(request, 'end', why, broken);
    };
    if (!response.body) {
      over('');
      return response;
    }
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const body = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          if (done) {
            over('');
            controller.close();
            return;
          }
          this.traffic.down += value.length;
          const text = decoder.decode(value, { stream: true });
          this.#add(request, 'data', text.slice(0, TEXT_MAX), false, value.length);
          this.onData?.(request, text);
          controller.enqueue(value);
        } catch (error) {
          over(cut() ? 'cut' : String(error), true);
          controller.error(cut() ? new TypeError('the network is cut') : error);
        }
      },
      cancel: (reason) => {
        over('');
        return reader.cancel(reason);
      },
    });
    const { status, statusText, headers } = response;
    const watched = new Response(body, { status, statusText, headers });
    Object.defineProperty(watched, 'url', { value: response.url });
    return watched;
  }

  #show(): void {
    this.#showing ??= setTimeout(() => {
      this.#showing = undefined;
      this.entries.set(this.#log.slice());
    }, SHOW_MS);
  }

  #add(request: number, kind: WireEntry['kind'], text: string, broken = false, bytes = 0): void {
    this.#log.push({ key: this.#keys++, at: Date.now(), request, kind, text, bytes, broken });
    if (this.#log.length > ENTRIES_MAX * 2) this.#log = this.#log.slice(-ENTRIES_MAX);
    this.#show();
  }
}

function headOf(response: Response): string {
  const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`);
  return [`HTTP/1.1 ${response.status} ${response.statusText}`, ...headers].join('\n');
}
