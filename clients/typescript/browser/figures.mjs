// Runs the browser tests and prints the figures that they come by.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'tidings-figures-'));
const file = join(folder, 'figures');
writeFileSync(file, '');
const env = { ...process.env, TIDINGS_FIGURES: file, TIDINGS_REQUIRE_BROWSER: '1' };
const run = spawnSync('npx', ['vitest', 'run', '--reporter=dot'], {
  cwd: import.meta.dirname,
  env,
  stdio: ['ignore', 'inherit', 'inherit'],
});
const processors = cpus();
console.log(`\n${processors.length} × ${processors[0]?.model}, Node ${process.version}`);
console.log(readFileSync(file, 'utf8'));
rmSync(folder, { recursive: true });
process.exit(run.status ?? 1);
