// A value outside of React that components can follow: at most one redraw a frame, however often it
// changes, and none while the page is hidden but for a slow timer (frames pause there).

import { useSyncExternalStore } from 'react';

/** How often a hidden page is told of changes, in milliseconds. */
const HIDDEN_MS = 250;

/** A value, and who wants to know when it changes. */
export class Signal<T> {
  #value: T;
  readonly #listeners = new Set<() => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get = (): T => this.#value;

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of this.#listeners) listener();
  }

  update(change: (value: T) => T): void {
    this.set(change(this.#value));
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
}

/** The value of the moment. */
export const useSignal = <T>(signal: Signal<T>): T =>
  useSyncExternalStore(signal.subscribe, signal.get, signal.get);

/**
 * Calls `flush` once in the next frame after any number of calls; `now` calls it at once if it is
 * due, `stop` forgets it.
 */
export function coalesce(flush: () => void): { soon(): void; now(): void; stop(): void } {
  let frame = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = () => {
    if (frame) cancelAnimationFrame(frame);
    clearTimeout(timer);
    frame = 0;
    timer = undefined;
  };
  const run = () => {
    stop();
    flush();
  };
  return {
    soon() {
      if (frame || timer) return;
      if (document.hidden) timer = setTimeout(run, HIDDEN_MS);
      else frame = requestAnimationFrame(run);
    },
    now() {
      if (frame || timer) run();
    },
    stop,
  };
}
