// Reminders for a closed tab, outside of React: whether they are on, what is in the way, and what
// the service worker (public/push-worker.js) asks of an open page.

import { TidingsError, type Client } from '@tidings/client';
import {
  pushProblem,
  subscribeToPush,
  unsubscribeFromPush,
  type PushProblem,
} from '@tidings/client/push';
import type { Network } from '../../../src/lib/network';
import { Signal } from '../../../src/lib/signal';

const SCOPE = '/demo/document';
const WORKER = '/_/push-worker.js';

/** Where the subscription's id is kept, to end it. */
const KEPT = 'tidings-document-push';

/** How long a page that does not have an event yet waits for it, in milliseconds. */
const SOON_MS = 1_000;

/** How long the browser may look for its push service, in milliseconds: somebody waits. */
const SERVICE_MS = 8_000;

/** Whether reminders reach a closed tab. */
export type ClosedState =
  | { is: 'off' | 'asking' | 'on' }
  | { is: 'refused'; why: PushProblem | 'failed'; detail: string };

/** The switch "also when this tab is closed". */
export class Closed {
  readonly state = new Signal<ClosedState>({ is: 'off' });
  /** The event that a notification has led to. */
  readonly shown = new Signal('');
  readonly #client: Client;
  readonly #network: Network;
  readonly #has: (id: string) => boolean;
  readonly #over = new AbortController();

  /** `has`: whether the page shows the event of this id. */
  constructor(client: Client, network: Network, has: (id: string) => boolean) {
    [this.#client, this.#network, this.#has] = [client, network, has];
    const { signal } = this.#over;
    const container = navigator.serviceWorker as ServiceWorkerContainer | undefined;
    container?.addEventListener('message', (event: MessageEvent) => this.#hear(event), { signal });
    container?.startMessages();
    const note = () => this.shown.set(noticeOf(location.hash));
    addEventListener('hashchange', note, { signal });
    note();
    void this.#look().catch(() => undefined);
  }

  /** Whether it was on when the page was opened. Asks nobody anything. */
  async #look(): Promise<void> {
    if (pushProblem() || !localStorage.getItem(KEPT)) return;
    const registration = await navigator.serviceWorker.getRegistration(SCOPE);
    const subscription = await registration?.pushManager.getSubscription();
    if (subscription && this.state.get().is === 'off') this.state.set({ is: 'on' });
  }

  /** Switches it; to be called when it was clicked, because the browser asks the visitor. */
  async set(on: boolean, topics: string, language: string): Promise<void> {
    if (this.state.get().is === 'asking') return;
    this.state.set({ is: 'asking' });
    const { fetch } = this.#network;
    try {
      if (on) {
        const worker = { url: `${WORKER}?language=${language}`, scope: SCOPE };
        const serviceTimeout = SERVICE_MS;
        const options = { worker, fetch, serviceTimeout, ttl: '1h', urgency: 'high' } as const;
        const { id } = await subscribeToPush(this.#client, topics, options);
        localStorage.setItem(KEPT, id);
      } else {
        const id = localStorage.getItem(KEPT) ?? '';
        const registration = await navigator.serviceWorker.getRegistration(SCOPE);
        await unsubscribeFromPush(this.#client, { id, registration }, { fetch });
        localStorage.removeItem(KEPT);
      }
      this.state.set({ is: on ? 'on' : 'off' });
    } catch (error) {
      const code = error instanceof TidingsError ? error.code : '';
      const why = code.startsWith('push-') ? (code as PushProblem) : 'failed';
      this.state.set({ is: 'refused', why, detail: String((error as Error).message) });
    }
  }

  close(): void {
    this.#over.abort();
  }

  #hear({ data, ports }: MessageEvent<{ tidings?: string; id?: string } | null>): void {
    const { tidings, id = '' } = data ?? {};
    if (tidings === 'show') this.shown.set(id);
    if (tidings !== 'has') return;
    // The push service may be faster than the stream.
    const began = performance.now();
    const answer = () => {
      const has = this.#has(id);
      if (has || performance.now() - began > SOON_MS) ports[0]?.postMessage(has);
      else setTimeout(answer, 50);
    };
    answer();
  }
}

/** The event that a hash leads to. */
function noticeOf(hash: string): string {
  const [, id = ''] = /^#notice-(.+)$/.exec(hash) ?? [];
  return decodeURIComponent(id);
}
