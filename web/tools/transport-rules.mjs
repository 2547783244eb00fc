// How rows that a browser has measured are judged and put beside those of `tidings bench transport`.
// The rule is the one of crates/cli/src/bench/transport/claims.rs.

/** Differences below this share of the larger figure are none. */
const SAME = 0.15;

/** `[median, lowest, highest]` of some runs. */
export function spread(runs) {
  const sorted = runs.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return [median, sorted[0], sorted.at(-1)].map((value) => Math.round(value * 1e3) / 1e3);
}

/** -1, 0 or 1: how the first compares with the second; 0 without a difference worth the name. */
export function compare(one, other) {
  const larger = Math.max(Math.abs(one[0]), Math.abs(other[0]));
  if (larger === 0 || Math.abs(one[0] - other[0]) / larger < SAME) return 0;
  const within = (median, [, low, high]) => low <= median && median <= high;
  if (within(one[0], other) || within(other[0], one)) return 0;
  return Math.sign(one[0] - other[0]);
}

/** "EventSource streams cost the page more time than a WebSocket": milliseconds of both. */
export function judgeWork(source, socket) {
  return { 1: 'confirmed', '-1': 'refuted', 0: 'depends' }[compare(source, socket)];
}

/** "Six tabs are the end of SSE": live tabs of so many, in each run, plain and with one leader. */
export function judgeTabs(opened, plain, shared) {
  const all = (runs) => runs.every((live) => live === opened);
  if (all(plain)) return 'refuted';
  return all(shared) ? 'depends' : 'confirmed';
}

/** The file with these rows in it; the others are as they were. */
export function merged(file, rows) {
  return { ...file, rows: { ...file.rows, ...rows } };
}
