/** Waiting for something to be so, rather than for time to pass. */

/** Longest wait, in milliseconds. */
const BOUND_MS = 30_000;

/** Waits until it is so. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
): Promise<void> {
  const end = Date.now() + BOUND_MS;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`it has not come to pass: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
