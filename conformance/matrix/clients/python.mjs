// Clients that run in Python; ./python.py is the other side.

import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const REQUIREMENTS = '../python/requirements.txt';
/** Their versions, and whether they make connections anew by themselves. */
const NAMES = { 'httpx-sse': false, 'sseclient-py': false, 'aiohttp-sse-client': true };
const PARALLEL = 8;

/** Python's clients; none if there is no Python or its packages cannot be had. */
export function inPython() {
  let python;
  try {
    const script = at('../../../scripts/python-env.sh');
    python = execFileSync(script, [at(REQUIREMENTS)]).toString().trim();
  } catch {
    return undefined;
  }
  const pinned = readFileSync(at(REQUIREMENTS), 'utf8');
  const child = spawn(python, [at('python.py')], { stdio: ['pipe', 'pipe', 'ignore'] });
  const sinks = new Map();
  let count = 0;
  const send = (command) => child.stdin.write(`${JSON.stringify(command)}\n`);
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { key, what, event } = JSON.parse(line);
    sinks.get(key)?.[what](event);
  });
  const client = (name, reconnects) => ({
    parallel: PARALLEL,
    remote: true,
    decodes: !reconnects,
    version: pinned.match(new RegExp(`^${name}==([\\d.]+)`, 'm'))[1],
    open(url, options, sink) {
      const key = (count += 1);
      sinks.set(key, sink);
      send({ key, client: name, url });
      return () => {
        sinks.delete(key);
        send({ key });
      };
    },
  });
  const entries = Object.entries(NAMES).map(([name, anew]) => [name, client(name, anew)]);
  return { clients: Object.fromEntries(entries), end: () => child.kill() };
}
