// When what has come is shown: at most once a frame, for all streams of the page together.
//
// Animation frames stop in a hidden tab, and in some windows that are covered, so a timer runs
// beside them. What is urgent (an end, an error) does not wait.

/** Shortest time between two flushes while there are no frames, in milliseconds: below 60 a second. */
const HIDDEN_MS = 17;

/** How long a frame is waited for before the timer takes its place, in milliseconds. */
const LATE_MS = 250;

const due = new Set<() => void>();
let frame: number | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Runs `flush` with the next frame; several calls until then are one. */
export function schedule(flush: () => void): void {
  due.add(flush);
  if (timer !== undefined) return;
  const hasFrames =
    typeof requestAnimationFrame === 'function' &&
    !(typeof document !== 'undefined' && document.hidden);
  timer = setTimeout(run, hasFrames ? LATE_MS : HIDDEN_MS);
  if (hasFrames) frame = requestAnimationFrame(run);
}

/** Runs `flush` now, and not again with the next frame. */
export function flushNow(flush: () => void): void {
  due.delete(flush);
  flush();
}

/** Takes `flush` off the list. */
export function unschedule(flush: () => void): void {
  due.delete(flush);
}

function run(): void {
  clearTimeout(timer);
  timer = undefined;
  if (frame !== undefined) cancelAnimationFrame(frame);
  frame = undefined;
  const flushes = [...due];
  due.clear();
  // In one task: React renders once for all of them.
  for (const flush of flushes) flush();
}

/** Reports what a caller's own function threw, as a browser does, and goes on. */
export function report(error: unknown): void {
  if (typeof reportError === 'function') reportError(error);
  else setTimeout(() => { throw error; }, 0);
}
