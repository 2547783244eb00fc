// Renders each second, main-thread time per 1,000 events and heap, in a real Chromium: visible and
// hidden, at 1,000 and 10,000 events a second. It prints and asserts nothing.
//
//   npm run bench            CHROMIUM=/usr/bin/chromium unless given

import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { fileURLToPath } from 'node:url';

/** How long each run is, in seconds. */
const SECONDS = Number(process.env.SECONDS ?? 5);

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

const bundle = await build({
  entryPoints: [at('page.ts')],
  bundle: true,
  write: false,
  minify: true,
  format: 'iife',
  define: { 'process.env.NODE_ENV': '"production"' },
  alias: {
    '@tidings/client': at('../../core/src/index.ts'),
    '@tidings/client/parser': at('../../core/src/parser.ts'),
    '@tidings/ai/answer': at('../../ai/src/answer/index.ts'),
  },
});
const script = bundle.outputFiles[0].text;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--enable-precise-memory-info'],
});
const rows = [];
try {
  for (const isHidden of [false, true]) {
    for (const perSecond of [1_000, 10_000]) rows.push(await measure(isHidden, perSecond));
  }
  console.log(`Chromium ${browser.version()}, React production build, ${SECONDS} s each`);
  console.table(rows);
} finally {
  await browser.close();
}

async function measure(isHidden, perSecond) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.on('pageerror', (error) => console.error(error));
  if (isHidden) await page.addInitScript(hide);
  await page.goto('about:blank');
  await page.setContent('<!doctype html><title>bench</title>');
  if (isHidden) await page.evaluate(hide);
  await page.addScriptTag({ content: script });
  await page.waitForFunction(() => globalThis.bench.ready());
  const session = await context.newCDPSession(page);
  await session.send('Performance.enable');
  // What is compiled and allocated once does not count.
  await page.evaluate((n) => globalThis.bench.run(n, 1), perSecond);
  const before = await metrics(session);
  const figures = await page.evaluate(
    ([n, s]) => globalThis.bench.run(n, s),
    [perSecond, SECONDS],
  );
  const after = await metrics(session);
  const busy = (after.TaskDuration - before.TaskDuration) * 1_000;
  await context.close();
  return {
    page: isHidden ? 'hidden' : 'visible',
    'events/s': Math.round(figures.events / figures.seconds),
    'renders/s': round(figures.renders / figures.seconds),
    'main-thread ms/1,000 events': round((busy / figures.events) * 1_000),
    'heap MB before': round(before.JSHeapUsedSize / 1e6),
    'heap MB after': round(after.JSHeapUsedSize / 1e6),
  };
}

// A headless page is never hidden: it is told that it is, and gets no frames.
function hide() {
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });
  Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => 'hidden' });
  globalThis.requestAnimationFrame = () => 0;
}

async function metrics(session) {
  await session.send('HeapProfiler.collectGarbage');
  const { metrics } = await session.send('Performance.getMetrics');
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
}

function round(value) {
  return Math.round(value * 10) / 10;
}
