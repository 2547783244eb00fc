// What the tests of the examples share: a real Tidings that can be killed, a front that can cut the
// line between it and a page, and a real Chromium.
//
// Needs npm's packages (fetched once), Chromium, and the program (TIDINGS_BIN, or what cargo has
// built last). Where packages or Chromium are missing it says so and does nothing, unless
// TIDINGS_REQUIRE_BROWSER=1.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const folder = fileURLToPath(new URL('.', import.meta.url));
// How long anything may take before a test gives up; nothing is measured against it.
export const PATIENCE_MS = 60_000;
const POLL_MS = 20;

// What was begun last ends first.
const ends = [];
const atEnd = (end) => ends.unshift(end);

/** Ends all that was begun. */
export async function endAll() {
  for (const end of ends.splice(0)) await end();
}

function skip(why) {
  const required = process.env.TIDINGS_REQUIRE_BROWSER === '1';
  const notice = required ? 'TIDINGS_REQUIRE_BROWSER=1, but' : 'SKIPPED, nothing was tested';
  console.error(`${notice}: ${why}`);
  process.exit(required ? 1 : 0);
}

/** The packages that the tests need, and where Chromium is; ends the process without them. */
export async function needs() {
  const usual = ['chromium', 'chromium-browser', 'google-chrome'].map((name) => `/usr/bin/${name}`);
  const found = [process.env.CHROMIUM, ...usual].find((place) => place && existsSync(place));
  const executablePath = found ?? skip('no Chromium; get it with: apt-get install chromium');
  if (!existsSync(join(folder, 'node_modules'))) {
    const options = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    try {
      execFileSync('npm', options, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
    } catch (error) {
      skip(`npm's packages cannot be had: ${error.message}`);
    }
  }
  const { chromium } = await import('playwright-core');
  const launch = async (args = []) => {
    const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', ...args] });
    atEnd(() => browser.close());
    return browser;
  };
  return { launch, pages: (await import('./serve.mjs')).pages };
}

/** Waits until `probe` gives something true, and returns it. */
export async function until(what, probe) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await probe();
    if (found) return found;
    assert.ok(Date.now() < deadline, `${what}: not in ${PATIENCE_MS} ms`);
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

function program() {
  const script = join(folder, '../scripts/target-dir.sh');
  const built = () => join(execFileSync(script).toString().trim(), 'debug/tidings');
  const found = process.env.TIDINGS_BIN ?? built();
  assert.ok(existsSync(found), `${found} is missing; build it with: cargo build`);
  return found;
}

/** A server of its own, which can crash and come back at the same address with its events. */
export class Tidings {
  #data = mkdtempSync(join(tmpdir(), 'tidings-examples-'));
  #child;
  #args;
  #port = 0;

  constructor(args) {
    this.#args = args;
    atEnd(() => rmSync(this.#data, { recursive: true, force: true }));
    atEnd(() => this.#kill());
  }

  static async start(...args) {
    const tidings = new Tidings(args);
    await tidings.#start();
    return tidings;
  }

  async #start() {
    const listen = ['--listen', `127.0.0.1:${this.#port}`, '--data-dir', this.#data];
    // Variables with the prefix are the server's settings.
    const env = Object.entries(process.env).filter(([name]) => !name.startsWith('TIDINGS_'));
    const options = { stdio: ['ignore', 'pipe', 'inherit'], env: Object.fromEntries(env) };
    this.#child = spawn(program(), ['dev', ...listen, ...this.#args], options);
    let said = '';
    this.#child.stdout.on('data', (chunk) => (said += chunk));
    const ready = () => said.match(/http:\/\/[\d.]+:(\d+)/) ?? this.#child.exitCode !== null;
    const [url, port] = await until('the server is ready', ready);
    assert.ok(url, `the server ended: ${said}`);
    this.url = url;
    this.#port = port;
  }

  async #kill() {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((done) => child.on('exit', done));
    child.kill('SIGKILL');
    await ended;
  }

  /** Without a warning, as by `kill -9`; and there again. */
  async crashAndRestart() {
    await this.#kill();
    await this.#start();
  }

  /** One POST. `query` holds the options of the event; its type for instance. */
  async publish(topic, data, query = '') {
    const request = { method: 'POST', body: data };
    const answer = await fetch(`${this.url}/topics/${topic}${query}`, request);
    assert.equal(answer.status, 200, await answer.text());
  }
}

/** Tidings, the pages in front of it, and the line between the two. */
export class Stage {
  /** What was asked of Tidings through the front: `path` and `lastEventId`, in order. */
  requests = [];
  /** A status with which the front answers in place of Tidings, as strict proxies do. */
  refusing = 0;
  #front;
  #port = 0;

  static async set({ pages }, ...args) {
    const stage = new Stage();
    stage.tidings = await Tidings.start(...args);
    stage.#front = pages(stage.tidings.url, (request, response) => stage.#seen(request, response));
    atEnd(() => stage.cut());
    await stage.mend();
    return stage;
  }

  #seen(request, response) {
    this.requests.push({ path: request.url, lastEventId: request.headers['last-event-id'] });
    if (this.refusing) response.writeHead(this.refusing).end();
    return this.refusing !== 0;
  }

  get url() {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** The line breaks: whoever reads is cut off, and nobody comes through. */
  async cut() {
    if (!this.#front.listening) return;
    const closed = new Promise((done) => this.#front.close(done));
    this.#front.closeAllConnections();
    await closed;
  }

  /** It is there again, at the same address. */
  async mend() {
    await new Promise((done) => this.#front.listen(this.#port, '127.0.0.1', done));
    this.#port = this.#front.address().port;
  }

  /** What happens while nobody can read: `meanwhile` runs between cut and mend. */
  async whileCut(meanwhile) {
    await this.cut();
    await meanwhile();
    await this.mend();
  }

  /** Waits for the next request after `from` requests, and returns it. */
  async request(from) {
    return until('another request', () => this.requests[from]);
  }
}

/** Waits until the texts of the elements are these. */
export async function shows(page, selector, texts) {
  let found;
  try {
    await until(selector, async () => {
      found = (await page.locator(selector).allTextContents()).map((text) => text.trim());
      return JSON.stringify(found) === JSON.stringify(texts);
    });
  } catch {
    assert.deepEqual(found, texts, selector);
  }
}
