// Clients that run in a real Chromium. CORS is not what is looked at here: it is switched off.

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';

/** Connections that a browser has to one server, less one. */
const PARALLEL = 5;
const NAMES = ['EventSource', '@microsoft/fetch-event-source', 'event-source-polyfill', 'sse.js'];

/** The browser's clients; none if there is no Chromium. `end` closes it. */
export async function inChromium() {
  const usual = ['chromium', 'chromium-browser', 'google-chrome'].map((name) => `/usr/bin/${name}`);
  const executablePath = [process.env.CHROMIUM, ...usual].find((path) => path && existsSync(path));
  if (!executablePath) return undefined;
  const entryPoints = [fileURLToPath(new URL('page.js', import.meta.url))];
  const built = await build({ entryPoints, bundle: true, write: false, logLevel: 'error' });
  const args = ['--no-sandbox', '--disable-web-security'];
  const browser = await chromium.launch({ executablePath, args });
  const page = await browser.newPage();
  const sinks = new Map();
  let count = 0;
  await page.exposeFunction('told', (key, what, event) => sinks.get(key)?.[what](event));
  await page.evaluate(built.outputFiles[0].text);

  const client = (name) => ({
    parallel: PARALLEL,
    remote: true,
    async open(url, options, sink) {
      const key = (count += 1);
      sinks.set(key, sink);
      const start = (args) => globalThis.follow(...args);
      await page.evaluate(start, [key, name, url, options]);
      return async () => {
        sinks.delete(key);
        await page.evaluate((one) => globalThis.leave(one), key);
      };
    },
  });
  const clients = Object.fromEntries(NAMES.map((name) => [name, client(name)]));
  return { clients, version: browser.version(), end: () => browser.close() };
}
