/**
 * Listeners: `on` for functions, `addEventListener` for those who are used to it.
 *
 * A listener that throws is reported as an uncaught error; it neither keeps others from hearing nor
 * breaks the stream.
 */

/** Runs what is not ours to fail with. */
export function guarded(run: () => void): void {
  try {
    run();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** An `EventTarget` whose events are typed. The value is the event's `detail`. */
export class Emitter<Events> extends EventTarget {
  #listeners = new Map<keyof Events, Set<(value: never) => void>>();
  #targets = new Set<string>();

  on<K extends keyof Events>(type: K, listener: (value: Events[K]) => void): () => void {
    let all = this.#listeners.get(type);
    if (!all) this.#listeners.set(type, (all = new Set()));
    // Its own function, so that the same listener can be added twice.
    const own = (value: Events[K]) => listener(value);
    all.add(own);
    return () => void all.delete(own);
  }

  override addEventListener(...args: Parameters<EventTarget['addEventListener']>): void {
    this.#targets.add(args[0]);
    super.addEventListener(...args);
  }

  /** Whether somebody listens. */
  protected heard(type: keyof Events & string): boolean {
    return !!this.#listeners.get(type)?.size || this.#targets.has(type);
  }

  protected emit<K extends keyof Events & string>(type: K, value: Events[K]): void {
    for (const listener of [...(this.#listeners.get(type) ?? [])]) {
      guarded(() => listener(value as never));
    }
    if (this.#targets.has(type)) {
      this.dispatchEvent(Object.assign(new Event(type), { detail: value }));
    }
  }
}
