// Runs the conformance cases with the clients that people use today and with our own.
//
// Usage: node run.mjs [--json] [--write] [CLIENT...]
//
// It says what each came to (on standard error); with --json everything that was found, as JSON;
// with --write it writes docs/conformance.md. It ends with a failure if a client of this repository
// fails a case. What is not there (Chromium, Python, the program) is left out and said.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { inChromium } from './clients/chromium.mjs';
import { clients as inNode } from './clients/node.mjs';
import { ours } from './clients/ours.mjs';
import { inPython } from './clients/python.mjs';
import { inTypeScript } from './clients/typescript.mjs';
import { Streams, decode } from './decode.mjs';
import { page, table } from './report.mjs';
import { reconnect } from './reconnect.mjs';

/** Clients at a time: most of the time is spent waiting for those that hold something back. */
const TOGETHER = 6;

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const args = process.argv.slice(2);
const asked = args.filter((arg) => !arg.startsWith('--'));
const has = (option) => args.includes(option);

/** The version of a package, as it is installed. */
function versionOf(name) {
  const file = at(`node_modules/${name}/package.json`);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).version : undefined;
}

/** All clients, with where they run. */
async function gather() {
  const found = [];
  const add = (where, clients, more = {}) => {
    for (const [name, client] of Object.entries(clients ?? {})) {
      found.push({ name, where, version: versionOf(name), ...client, ...more });
    }
  };
  add('Node', await inTypeScript(), { own: true });
  add('Rust', ours(), { own: true });
  const chromium = await inChromium();
  const python = inPython();
  if (!chromium) console.error('left out: the clients in Chromium; apt-get install chromium');
  if (!python) console.error('left out: the clients in Python');
  add('Chromium', chromium?.clients);
  add('Node', inNode);
  add('Python', python?.clients);
  for (const client of found) {
    if (client.name === 'EventSource') client.version = `Chromium ${chromium.version}`;
  }
  const end = async () => {
    await chromium?.end();
    python?.end();
  };
  return { found, end };
}

/** Some clients write to the console, and throw where nobody can catch it. */
function quiet() {
  process.on('unhandledRejection', () => {});
  process.on('uncaughtException', () => {});
  for (const name of ['debug', 'error', 'info', 'log', 'warn']) console[name] = () => {};
}

const { found, end } = await gather();
const chosen = found.filter(({ name }) => asked.length === 0 || asked.includes(name));
quiet();
const results = new Array(chosen.length);
const ask = async (client) => {
  const { name, where, version, promises = 'all', own = false } = client;
  const streams = await Streams.listen();
  // A client of topics takes enveloped events only: its parser is looked at by itself.
  const decoded = client.envelope ? null : await decode(streams, client);
  const connected = client.decodes ? null : await reconnect(client);
  streams.close();
  const result = { name, where, version, promises, own, decoded, connected };
  process.stderr.write(`${table([result])}\n`);
  return result;
};
let next = 0;
const work = async () => {
  for (let index; (index = next++) < chosen.length; ) results[index] = await ask(chosen[index]);
};
await Promise.all(Array.from({ length: TOGETHER }, work));
await end();
if (has('--json')) process.stdout.write(`${JSON.stringify(results, null, 1)}\n`);
if (has('--write')) writeFileSync(at('../../docs/conformance.md'), page(results));
const failed = results.filter(({ own }) => own).some(({ promises, decoded, connected }) => {
  const promised = ({ group }) => promises === 'all' || group === promises;
  const wrong = connected?.some((one) => one.wrong && promised(one));
  return wrong || decoded?.some((one) => one.failed.length > 0);
});
process.exit(failed ? 1 : 0);
