// The real program and a real browser, for tests and pictures: starts `tidings dev` on a free port
// with a folder of its own, or `tidings serve` with a key of its own, opens Chromium, and ends both.
//
//   WEB_BINARY    the program (target/release/tidings or target/debug/tidings unless given)
//   WEB_CHROMIUM the browser (/usr/bin/chromium unless given)
//   WEB_LIVE=1   pages from web/dist instead of from the binary, for work on the pages alone
import { spawn, spawnSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** How long anything may take until it is called a failure, in milliseconds. */
export const PATIENCE_MS = 20_000;

/** The program. */
export function binary() {
  if (process.env.WEB_BINARY) return process.env.WEB_BINARY;
  const script = here('../../scripts/target-dir.sh');
  const target = spawnSync(script, { encoding: 'utf8' }).stdout.trim();
  const found = ['release', 'debug'].map((kind) => join(target, kind, 'tidings')).find(existsSync);
  if (!found) throw new Error('there is no tidings: build it with cargo build, or set WEB_BINARY');
  return found;
}

/** Our environment without what is the program's: it refuses settings that it does not know. */
export function foreign() {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('TIDINGS_'));
  return Object.fromEntries(kept);
}

/**
 * Starts the server; `kill` ends it the hard way, `start` starts it again on its port. With a
 * `config` (TOML, which begins with the keys of the top level and may go on with sections other
 * than `[[issuer]]`) it is `tidings serve`, which knows one secret, made for it; `token` makes the
 * tokens.
 */
export async function startServer({ config } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'tidings-web-'));
  const server = { url: '', child: undefined };
  const closed = config === undefined ? undefined : join(folder, 'tidings.toml');
  if (closed) {
    const secret = randomBytes(48).toString('base64url');
    const file = join(folder, 'secret');
    writeFileSync(file, secret, { mode: 0o600 });
    const issuer = `[[issuer]]\nalgorithms = ["HS256"]\nsecret_file = ${JSON.stringify(file)}\n`;
    writeFileSync(closed, `${config}\n${issuer}`);
    server.token = (claims) => signed(secret, claims);
  }
  server.start = () =>
    new Promise((resolve, reject) => {
      const listen = server.url ? server.url.replace('http://', '') : '127.0.0.1:0';
      const mode = closed ? ['serve', '--config', closed] : ['dev'];
      const args = [...mode, '--listen', listen, '--data-dir', join(folder, 'data')];
      const child = spawn(binary(), args, { stdio: ['ignore', 'pipe', 'pipe'], env: foreign() });
      server.child = child;
      let said = '';
      const timer = setTimeout(() => reject(new Error(`it does not start: ${said}`)), PATIENCE_MS);
      const hear = (bytes) => {
        said += bytes;
        const found = / on\s+(http:\/\/[\d.:]+)/.exec(said);
        if (!found) return;
        clearTimeout(timer);
        server.url = found[1];
        resolve(server);
      };
      child.stdout.on('data', hear);
      child.stderr.on('data', hear);
      child.on('exit', (code) => reject(new Error(`it has ended with ${code}: ${said}`)));
    });
  server.kill = () =>
    new Promise((resolve) => {
      server.child.once('exit', resolve);
      server.child.kill('SIGKILL');
    });
  server.close = async () => {
    await server.kill();
    rmSync(folder, { recursive: true, force: true });
  };
  return server.start();
}

/** A token (RFC 7519) with these claims, an hour long unless they say otherwise. */
function signed(secret, claims) {
  const now = Math.floor(Date.now() / 1_000);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ iat: now, exp: now + 3_600, ...claims })}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

/** Opens the browser. */
export function openBrowser() {
  return chromium.launch({
    executablePath: process.env.WEB_CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-dev-shm-usage',
      '--force-color-profile=srgb',
      // A page that came from here and not from the server is not local to Chromium.
      ...(process.env.WEB_LIVE ? ['--disable-features=LocalNetworkAccessChecks'] : []),
    ],
  });
}

const media = {
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
};

/** A context in which nothing may go wrong unnoticed: `faults` collects what did. */
export async function openContext(browser, server, options = {}) {
  const context = await browser.newContext({ baseURL: server.url, ...options });
  const faults = [];
  context.on('weberror', (error) => faults.push(`error: ${error.error()?.message}`));
  context.on('console', (message) => {
    const text = message.text();
    if (message.type() === 'error' && !/ERR_|Failed to load resource/.test(text)) faults.push(text);
  });
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => {
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`);
    });
  });
  context.on('request', (request) => {
    const url = request.url();
    const own = url.startsWith(server.url) || /^(data|blob|about):/.test(url);
    if (!own && !url.startsWith(server.url.replace('http', 'ws'))) faults.push(`elsewhere: ${url}`);
  });
  if (process.env.WEB_LIVE) await live(context);
  return { context, faults };
}

/** The policy that the server would send, also if it was built without pages. */
function policy() {
  const source = readFileSync(here('../../crates/server/src/http/web.rs'), 'utf8');
  const found = /const POLICY: &str = "([^"]+)"/.exec(source)?.[1];
  return found.replaceAll(/\\\n\s*/g, '');
}

async function live(context) {
  const dist = here('../dist/');
  await context.route('**/_/**', (route) => {
    const name = new URL(route.request().url()).pathname.slice(3);
    if (!name || !existsSync(dist + name)) return route.continue();
    return route.fulfill({ body: readFileSync(dist + name), contentType: media[extname(name)] });
  });
  const page = (name) => (route) =>
    route.fulfill({
      body: readFileSync(`${dist}${name}/index.html`),
      contentType: 'text/html; charset=utf-8',
      headers: { 'content-security-policy': policy() },
    });
  const isDemo = ({ pathname }) => pathname === '/' || pathname.startsWith('/demo/');
  await context.route(isDemo, page('demo'));
  await context.route((url) => url.pathname === '/_/', page('dashboard'));
}
