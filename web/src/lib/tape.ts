// The last half minute of a connection, in slices of a tenth of a second: what came live, what was
// replayed after an interruption, and when there was no network.

/** Milliseconds of one slice. */
export const SLICE_MS = 100;

/** Slices that are kept: 30 seconds. */
export const SLICES = 300;

/** One slice. */
export interface Slice {
  live: number;
  replayed: number;
  cut: boolean;
  /** A moment worth a mark: a connection that was resumed. */
  resumed: boolean;
}

const none = (): Slice => ({ live: 0, replayed: 0, cut: false, resumed: false });

/** What happened, newest last. */
export class Tape {
  readonly slices: Slice[] = Array.from({ length: SLICES }, none);
  #now = Math.floor(Date.now() / SLICE_MS);
  #cut = false;

  /** Moves on to the present. */
  advance(): void {
    const now = Math.floor(Date.now() / SLICE_MS);
    const steps = Math.min(now - this.#now, SLICES);
    this.#now = now;
    for (let step = 0; step < steps; step += 1) {
      this.slices.shift();
      this.slices.push({ ...none(), cut: this.#cut });
    }
  }

  /** Events have come. */
  add(count: number, replayed: boolean): void {
    this.advance();
    this.#last()[replayed ? 'replayed' : 'live'] += count;
  }

  /** The network was cut, or is back. */
  cut(cut: boolean): void {
    this.advance();
    this.#cut = cut;
    this.#last().cut = cut;
  }

  /** A connection goes on where another one ended. */
  resumed(): void {
    this.advance();
    this.#last().resumed = true;
  }

  #last(): Slice {
    return this.slices[SLICES - 1] ?? none();
  }
}
