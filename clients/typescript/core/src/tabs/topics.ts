/** Names and patterns that a tab follows: each event is asked for, so names are looked up. */

import { isPattern, matches } from '../names.js';
import type { WireEvent } from '../types.js';

/** Names and patterns that are followed. */
export class TopicSet {
  readonly #names = new Set<string>();
  readonly #patterns = new Set<string>();

  add(topic: string): void {
    (isPattern(topic) ? this.#patterns : this.#names).add(topic);
  }

  delete(topic: string): boolean {
    return this.#names.delete(topic) || this.#patterns.delete(topic);
  }

  has(topic: string): boolean {
    return this.#names.has(topic) || this.#patterns.has(topic);
  }

  clear(): void {
    this.#names.clear();
    this.#patterns.clear();
  }

  *[Symbol.iterator](): IterableIterator<string> {
    yield* this.#names;
    yield* this.#patterns;
  }

  /** Whether an event is in one of the topics, by its name or an alternate. */
  takes(event: WireEvent): boolean {
    const { topic, alternates = [] } = event;
    return this.#takes(topic) || alternates.some((name) => this.#takes(name));
  }

  #takes(name: string): boolean {
    if (this.#names.has(name)) return true;
    for (const pattern of this.#patterns) if (matches(pattern, name)) return true;
    return false;
  }
}
