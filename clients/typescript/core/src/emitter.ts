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
  /** How many listeners there are. Those of `addEventListener` stay counted. */
  #heard: Record<string, number> = {};

  on<K extends keyof Events & string>(type: K, listener: (value: Events[K]) => void): () => void {
    // Its own function, so that the same listener can be added twice.
    let own: ((event: Event) => void) | undefined =
      (event) => listener((event as CustomEvent<Events[K]>).detail);
    this.addEventListener(type, own);
    return () => {
      if (!own) return;
      this.removeEventListener(type, own);
      this.#heard[type]!--;
      own = undefined;
    };
  }

  override addEventListener(...args: Parameters<EventTarget['addEventListener']>): void {
    this.#heard[args[0]] = (this.#heard[args[0]] ?? 0) + 1;
    super.addEventListener(...args);
  }

  /** Whether somebody listens. */
  protected heard(type: keyof Events & string): boolean {
    return !!this.#heard[type];
  }

  protected emit<K extends keyof Events & string>(type: K, value: Events[K]): void {
    if (this.heard(type)) this.dispatchEvent(Object.assign(new Event(type), { detail: value }));
  }
}
