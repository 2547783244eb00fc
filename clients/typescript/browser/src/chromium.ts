// One headless Chromium for all tests of a file, and what of its debugging protocol they need.
//
// Promises: where Chromium or the program is missing, `why` says so and how to get it, and nothing
// is tested; with `TIDINGS_REQUIRE_BROWSER=1` that is a failure.

import { existsSync } from 'node:fs';
import { chromium, type Browser, type CDPSession, type Page } from 'playwright-core';
import { findProgram } from '../../core/test/program.ts';

const USUAL = ['chromium', 'chromium-browser', 'google-chrome'].map((name) => `/usr/bin/${name}`);

/** Where Chromium is: `CHROMIUM`, or one of the usual places. */
export function findChromium(): string | undefined {
  const places = [process.env['CHROMIUM'], ...USUAL];
  return places.find((place) => place !== undefined && existsSync(place));
}

/** Why nothing can be tested here; undefined if it can. */
export function why(): string | undefined {
  if (findChromium() === undefined) {
    return 'no Chromium; get it with: apt-get install chromium (or say where it is: CHROMIUM=...)';
  }
  if (findProgram() === undefined) {
    return 'no tidings program; build it with: cargo build (or say where it is: TIDINGS_BIN=...)';
  }
  return undefined;
}

/** Whether the tests run here; says why not, and fails if they are required. */
export function runs(): boolean {
  const reason = why();
  if (reason === undefined) return true;
  if (process.env['TIDINGS_REQUIRE_BROWSER'] === '1') {
    throw new Error(`TIDINGS_REQUIRE_BROWSER=1, but: ${reason}`);
  }
  console.error(`SKIPPED, nothing was tested in a browser: ${reason}`);
  return false;
}

export async function launch(...more: string[]): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined) throw new Error('no Chromium');
  const args = ['--no-sandbox', '--disable-gpu', ...more];
  return await chromium.launch({ executablePath, args });
}

const sessions = new WeakMap<Page, CDPSession>();

/** The debugging protocol of a page. */
export async function cdp(page: Page): Promise<CDPSession> {
  const known = sessions.get(page);
  if (known !== undefined) return known;
  const session = await page.context().newCDPSession(page);
  sessions.set(page, session);
  return session;
}

/** Freezes or thaws a page as the browser does with tabs in the background: it is told first. */
export async function freeze(page: Page, state: 'frozen' | 'active'): Promise<void> {
  await (await cdp(page)).send('Page.setWebLifecycleState', { state });
}

/** Stops all scripts of a page without telling it, as an open dialog or a debugger does. */
export async function stop(page: Page): Promise<void> {
  const session = await cdp(page);
  await session.send('Debugger.enable');
  const paused = new Promise<void>((done) => session.once('Debugger.paused', () => done()));
  await session.send('Debugger.pause');
  // A page stops at its next statement; this is one.
  void session.send('Runtime.evaluate', { expression: '0' }).catch(() => {});
  await paused;
}

/** The end of `stop`. */
export async function go(page: Page): Promise<void> {
  const session = await cdp(page);
  await session.send('Debugger.resume');
  await session.send('Debugger.disable');
}

/** Bytes of the page's heap that are in use, after garbage was collected. */
export async function heap(page: Page): Promise<number> {
  const session = await cdp(page);
  await session.send('HeapProfiler.enable');
  await session.send('HeapProfiler.collectGarbage');
  await session.send('HeapProfiler.collectGarbage');
  return (await session.send('Runtime.getHeapUsage')).usedSize;
}
