// The clients of this repository: the TypeScript packages, and the Rust client inside `tidings
// subscribe`. The program is TIDINGS_BIN, or what cargo has built last; without it its row is left
// out.

import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));

function program() {
  const built = () => {
    const target = execFileSync(join(root, 'scripts/target-dir.sh')).toString().trim();
    return join(target, 'debug/tidings');
  };
  const path = process.env.TIDINGS_BIN ?? built();
  return existsSync(path) ? path : undefined;
}

/** `tidings subscribe`: each event is a line of JSON; it ends when there is nothing to wait for. */
function subscribe(url, options, sink) {
  // Variables with the prefix are settings.
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('TIDINGS_'));
  const args = ['subscribe', 't', '--json', '--wait', '--url', url];
  const stdio = ['ignore', 'pipe', 'ignore'];
  const child = spawn(program(), args, { stdio, env: Object.fromEntries(kept) });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { type = 'message', data, id } = JSON.parse(line);
    sink.event({ type, data, id });
  });
  const ended = new Promise((done) => child.on('close', done));
  ended.then(() => sink.closed());
  return () => {
    child.kill();
    return ended;
  };
}

/** What can be run here: clients by name. */
export function ours() {
  const clients = {};
  if (program()) {
    const skips = new Set(['silence']);
    const version = execFileSync(program(), ['--version']).toString().trim().split(' ')[1];
    clients['tidings-client'] = { open: subscribe, envelope: true, skips, version };
  }
  return clients;
}
