// Both lanes, and a publisher that throws the same balls to them: every other one by HTTP POST, the
// rest over the WebSocket.

import { Network } from '../../../src/lib/network';
import type { Tape } from '../../../src/lib/tape';
import { SseLane, TOPIC, WebSocketLane, bytesOf, now } from './lanes';

/** How often figures are shown, in milliseconds. */
const SHOW_MS = 250;

/** What is thrown. */
export interface Throwing {
  /** Messages a second. */
  rate: number;
  /** Bytes of each. */
  size: number;
  resume: boolean;
}

/** The race. */
export class Race {
  readonly sse: SseLane;
  readonly ws: WebSocketLane;
  readonly #run = crypto.randomUUID().slice(0, 4);
  /** The publisher is elsewhere: its network is never cut. */
  readonly #network = new Network();
  /** The publisher's own WebSocket, so that sending is not cut with reading. */
  readonly #sender: WebSocketLane;
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  readonly #off: () => void;
  #throwing: ReturnType<typeof setInterval> | undefined;
  #number = 0;

  constructor(network: Network, tape: Tape, throwing: Throwing) {
    this.sse = new SseLane(network, this.#run);
    this.ws = new WebSocketLane(network, this.#run);
    this.#sender = new WebSocketLane(this.#network, 'none');
    let seen = 0;
    const show = () => {
      this.sse.show();
      this.ws.show();
      const { messages } = this.sse.view.get();
      if (messages > seen) tape.add(messages - seen, false);
      seen = messages;
    };
    this.#timers.push(setInterval(show, SHOW_MS));
    this.#off = network.state.subscribe(() => {
      if (network.state.get().cut) return;
      this.sse.mended();
      this.ws.mended();
      tape.resumed();
    });
    this.set(throwing);
  }

  /** Changes what is thrown. */
  set({ rate, size, resume }: Throwing): void {
    this.sse.resume = resume;
    this.ws.resume = resume;
    clearInterval(this.#throwing);
    this.#throwing = setInterval(() => this.#throw(size), 1_000 / rate);
  }

  close(): void {
    clearInterval(this.#throwing);
    for (const timer of this.#timers) clearInterval(timer);
    this.#off();
    this.sse.close();
    this.ws.close();
    this.#sender.close();
  }

  #throw(size: number): void {
    if (document.hidden) return;
    this.#number += 1;
    const over = this.#number % 2 ? 'sse' : 'ws';
    const start = `${this.#run} ${this.#number} ${over} ${now().toFixed(2)} `;
    const data = start.padEnd(Math.max(size, bytesOf(start)), '.');
    if (over === 'ws' && this.#sender.send(data)) return;
    void this.#network
      .fetch(`/topics/${TOPIC}?ttl=1m`, { method: 'POST', body: data })
      .catch(() => undefined);
  }
}
