// The conversation of this browser: which questions were asked, and where their answers live. The
// answers themselves are not kept here; they are in the log.

import type { Network } from '../../../src/lib/network';
import { Signal } from '../../../src/lib/signal';
import type { Tape } from '../../../src/lib/tape';
import { Answer, type Message, type Turn } from './answer';

const STORED = 'tidings-chat';

/** Turns that are remembered. */
const TURNS_MAX = 20;

function stored(): Turn[] {
  try {
    const turns = JSON.parse(localStorage.getItem(STORED) ?? '[]') as Turn[];
    return Array.isArray(turns) ? turns.filter((turn) => turn.key && turn.question) : [];
  } catch {
    return [];
  }
}

/** The answers of the conversation, oldest first. */
export class Conversation {
  readonly answers: Signal<readonly Answer[]>;
  readonly #network: Network;
  readonly #tape: Tape;

  constructor(network: Network, tape: Tape) {
    this.#network = network;
    this.#tape = tape;
    this.answers = new Signal<readonly Answer[]>(stored().map((turn) => this.#follow(turn, [])));
    addEventListener('storage', this.#elsewhere);
  }

  ask(question: string, model: string): void {
    const earlier = this.answers.get().flatMap((answer): Message[] => [
      { role: 'user', content: answer.turn.question },
      { role: 'assistant', content: answer.view.get().text },
    ]);
    const answer = this.#follow({ key: crypto.randomUUID(), question, model }, earlier);
    this.answers.update((answers) => [...answers, answer].slice(-TURNS_MAX));
    this.#keep();
  }

  clear(): void {
    for (const answer of this.answers.get()) answer.leave();
    this.answers.set([]);
    this.#keep();
  }

  close(): void {
    removeEventListener('storage', this.#elsewhere);
    for (const answer of this.answers.get()) answer.leave();
  }

  #follow(turn: Turn, earlier: readonly Message[]): Answer {
    return new Answer(turn, earlier, this.#network, this.#tape, () => this.#keep());
  }

  #keep(): void {
    try {
      const turns = this.answers.get().map((answer) => answer.turn);
      localStorage.setItem(STORED, JSON.stringify(turns));
    } catch {
      // Storage is refused: the conversation ends with the page.
    }
  }

  /** Another tab has asked something, or begun anew. */
  readonly #elsewhere = (event: StorageEvent) => {
    if (event.key !== STORED) return;
    const known = new Map(this.answers.get().map((answer) => [answer.turn.key, answer]));
    // A turn without an address yet is the other tab's to ask.
    const turns = stored().filter((turn) => turn.link || known.has(turn.key));
    const answers = turns.map((turn) => known.get(turn.key) ?? this.#follow(turn, []));
    for (const answer of known.values()) if (!answers.includes(answer)) answer.leave();
    this.answers.set(answers);
  };
}
