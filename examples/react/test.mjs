// The component in a real browser: built, served, behind a shared relay, and its message changes.
//
// Needs npm's packages (fetched once), Chromium, and the program (TIDINGS_BIN, or what cargo has
// built last). Where Node's packages or Chromium are missing it says so and does nothing, unless
// TIDINGS_REQUIRE_BROWSER=1.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = dirname(fileURLToPath(import.meta.url));
// How long anything may take before the test gives up; nothing is measured against it.
const PATIENCE_MS = 60_000;

// What was begun last ends first.
const ends = [];
const atEnd = (end) => ends.unshift(end);

function skip(why) {
  const required = process.env.TIDINGS_REQUIRE_BROWSER === '1';
  const notice = required ? 'TIDINGS_REQUIRE_BROWSER=1, but' : 'SKIPPED, nothing was tested';
  console.error(`${notice}: ${why}`);
  process.exit(required ? 1 : 0);
}

function findChromium() {
  const usual = ['chromium', 'chromium-browser', 'google-chrome'].map((name) => `/usr/bin/${name}`);
  const found = [process.env.CHROMIUM, ...usual].find((place) => place && existsSync(place));
  return found ?? skip('no Chromium; get it with: apt-get install chromium');
}

async function packages() {
  if (!existsSync(join(folder, 'node_modules'))) {
    try {
      const options = { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] };
      execFileSync('npm', ['ci', '--no-audit', '--no-fund'], options);
    } catch (error) {
      skip(`npm's packages cannot be had: ${error.message}`);
    }
  }
  return { vite: await import('vite'), chromium: (await import('playwright-core')).chromium };
}

/** A program that speaks SSE: everybody who is connected hears what is said. */
async function upstream() {
  const listeners = new Set();
  let asked = 0;
  const server = createServer((request, response) => {
    asked += 1;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('retry: 100\n\n');
    listeners.add(response);
    response.on('close', () => listeners.delete(response));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  atEnd(() => server.closeAllConnections());
  atEnd(() => server.close());
  return {
    url: `http://127.0.0.1:${server.address().port}/stream`,
    asked: () => asked,
    hangUp() {
      listeners.forEach((response) => response.destroy());
      listeners.clear();
    },
    async say(text) {
      const deadline = Date.now() + PATIENCE_MS;
      while (listeners.size === 0) {
        assert.ok(Date.now() < deadline, 'the relay does not come');
        await new Promise((done) => setTimeout(done, 20));
      }
      listeners.forEach((response) => response.write(`data: ${text}\n\n`));
    },
  };
}

/** The program; returns its URL once it is ready. */
async function tidings(relay) {
  const cargo = join(folder, '../../scripts/target-dir.sh');
  const built = () => join(execFileSync(cargo).toString().trim(), 'debug/tidings');
  const program = process.env.TIDINGS_BIN ?? built();
  assert.ok(existsSync(program), `${program} is missing; build it with: cargo build`);
  const data = mkdtempSync(join(tmpdir(), 'tidings-react-'));
  atEnd(() => rmSync(data, { recursive: true, force: true }));
  const arguments_ = ['dev', '--listen', '127.0.0.1:0', '--data-dir', data, '--relay', relay];
  // Variables with the prefix are the server's settings.
  const env = Object.entries(process.env).filter(([name]) => !name.startsWith('TIDINGS_'));
  const options = { stdio: ['ignore', 'pipe', 'inherit'], env: Object.fromEntries(env) };
  const child = spawn(program, arguments_, options);
  const ended = new Promise((done) => child.on('exit', done));
  atEnd(() => (child.kill('SIGKILL'), ended));
  let said = '';
  for await (const chunk of child.stdout) {
    said += chunk;
    const url = said.match(/http:\/\/[\d.:]+/);
    if (url) return url[0];
  }
  throw new Error(`the server ended: ${said}`);
}

async function shows(page, message) {
  const heading = page.getByRole('heading', { name: `Real-time Message: ${message}`, exact: true });
  await heading.waitFor({ timeout: PATIENCE_MS });
}

async function test() {
  const executablePath = findChromium();
  const { vite, chromium } = await packages();
  const source = await upstream();
  process.env.TIDINGS_URL = await tidings(`/stream=${source.url}`);

  const outDir = mkdtempSync(join(tmpdir(), 'tidings-react-page-'));
  atEnd(() => rmSync(outDir, { recursive: true, force: true }));
  const common = { root: folder, logLevel: 'error', build: { outDir, emptyOutDir: true } };
  await vite.build(common);
  const served = await vite.preview({ ...common, preview: { host: '127.0.0.1' } });
  atEnd(() => served.close());
  const url = served.resolvedUrls.local[0];

  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  atEnd(() => browser.close());
  const page = await browser.newPage();
  await page.goto(url);
  await source.say('one');
  await shows(page, 'one');
  await source.say('two');
  await shows(page, 'two');

  // A second viewer sees the latest at once, over the same connection to the upstream.
  const second = await browser.newPage();
  await second.goto(url);
  await shows(second, 'two');
  assert.equal(source.asked(), 1);

  // The upstream breaks: nobody notices, except that it goes on.
  source.hangUp();
  await source.say('three');
  await Promise.all([shows(page, 'three'), shows(second, 'three')]);
  assert.equal(source.asked(), 2);

  // A reload is a new viewer.
  await page.reload();
  await shows(page, 'three');
}

try {
  await test();
  console.log('1 passed, 0 failed');
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  for (const end of ends) await end();
}
