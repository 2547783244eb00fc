// When what has come is shown: at most once a frame, for all that has one scheduler together.
//
// Animation frames stop in a hidden tab, and in some windows that are covered, so a timer runs
// beside them. What is urgent (an end, an error) does not wait.

/** Shortest time between two flushes while there are no frames, in ms: below 60 a second. */
const HIDDEN_MS = 17;

/** How long a frame is waited for before the timer takes its place, in milliseconds. */
const LATE_MS = 250;

/** See the head of this file. */
export class Scheduler {
  private readonly due = new Set<() => void>();
  private frame: number | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** Runs `flush` with the next frame; several calls until then are one. */
  schedule(flush: () => void): void {
    this.due.add(flush);
    if (this.timer !== undefined) return;
    const hasFrames =
      typeof requestAnimationFrame === 'function' &&
      !(typeof document !== 'undefined' && document.hidden);
    this.timer = setTimeout(this.run, hasFrames ? LATE_MS : HIDDEN_MS);
    if (hasFrames) this.frame = requestAnimationFrame(this.run);
  }

  /** Runs `flush` now, and not again with the next frame. */
  flushNow(flush: () => void): void {
    this.unschedule(flush);
    flush();
  }

  /** Takes `flush` off the list. */
  unschedule(flush: () => void): void {
    this.due.delete(flush);
    if (this.due.size === 0) this.disarm();
  }

  private disarm(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.frame !== undefined) cancelAnimationFrame(this.frame);
    this.frame = undefined;
  }

  private readonly run = (): void => {
    this.disarm();
    const flushes = [...this.due];
    this.due.clear();
    // In one task: React renders once for all of them.
    for (const flush of flushes) flush();
  };
}

/** Reports what a caller's own function threw, as a browser does, and goes on. */
export function report(error: unknown): void {
  if (typeof reportError === 'function') reportError(error);
  else setTimeout(() => { throw error; }, 0);
}
