// Waiting for a condition instead of for a time, and ends that happen whatever a test does.
//
// Promises: nothing here waits longer than `PATIENCE_MS`, and who gives up says for what it waited.

/** How long anything may take before a test gives up, in ms; nothing is measured by it. */
export const PATIENCE_MS = 60_000;

/** How long between two looks at a condition, in milliseconds. */
const LOOK_MS = 20;

/** Resolves after some milliseconds: for things that have to last, never to wait for things. */
export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Resolves with the first value of `look` that is neither undefined, null nor false. */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
): Promise<Exclude<T, undefined | null | false>> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await look();
    if (value !== undefined && value !== null && value !== false) {
      return value as Exclude<T, undefined | null | false>;
    }
    if (Date.now() > deadline) throw new Error(`gave up after ${PATIENCE_MS} ms: ${what}`);
    await pause(LOOK_MS);
  }
}

/** What is to be undone, the last first. */
export class Ends {
  readonly #ends: (() => unknown)[] = [];

  add(end: () => unknown): void {
    this.#ends.unshift(end);
  }

  /** Undoes everything, also when some of it fails; the first failure is thrown at the end. */
  async run(): Promise<void> {
    const errors: unknown[] = [];
    for (const end of this.#ends.splice(0)) {
      try {
        await end();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}
