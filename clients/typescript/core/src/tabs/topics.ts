/**
 * Which events belong to which topics and patterns (PROTOCOL.md, section 2). Names are checked by
 * the server; here they are only compared.
 */

import type { WireEvent } from '../types.js';

/** Whether a pattern matches a name: `*` is one segment, a last `**` one or more. */
export function matches(pattern: string, name: string): boolean {
  const wanted = pattern.split('/');
  const given = name.split('/');
  const open = wanted[wanted.length - 1] === '**';
  if (open ? given.length < wanted.length : given.length !== wanted.length) return false;
  const fixed = open ? wanted.slice(0, -1) : wanted;
  return fixed.every((segment, index) => segment === '*' || segment === given[index]);
}

/** Names and patterns that are followed. */
export class TopicSet {
  readonly #names = new Set<string>();
  readonly #patterns = new Set<string>();

  add(topic: string): void {
    (topic.includes('*') ? this.#patterns : this.#names).add(topic);
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
    return this.#takes(event.topic) || (event.alternates?.some((name) => this.#takes(name)) ?? false);
  }

  #takes(name: string): boolean {
    if (this.#names.has(name)) return true;
    for (const pattern of this.#patterns) if (matches(pattern, name)) return true;
    return false;
  }
}
