/** The program that the tests of all these packages start, and when a missing one is a failure. */

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../../../..');

/** Where one of these is `1`, a test that needs the program is not left out. */
const REQUIRING = ['TIDINGS_REQUIRE_NODE', 'TIDINGS_REQUIRE_BROWSER'];

type Env = Readonly<Record<string, string | undefined>>;

/** The program: `TIDINGS_BIN`, or what cargo has built last (debug, then release). */
export function findProgram(env: Env = process.env): string | undefined {
  const given = env['TIDINGS_BIN'];
  if (given) return existsSync(given) ? given : undefined;
  const target = env['CARGO_TARGET_DIR'] ?? cargoTarget() ?? join(ROOT, 'target');
  const built = ['debug', 'release'].map((profile) => join(target, profile, 'tidings'));
  return built.find((place) => existsSync(place));
}

function cargoTarget(): string | undefined {
  try {
    return execFileSync(join(ROOT, 'scripts/target-dir.sh'), { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
}

/** The same, for tests that need it: says that they are left out, and throws if they may not be. */
export function needProgram(env: Env = process.env): string | undefined {
  const found = findProgram(env);
  if (found !== undefined) return found;
  const why = env['TIDINGS_BIN']
    ? `there is no program at TIDINGS_BIN=${env['TIDINGS_BIN']}`
    : 'there is no tidings program; build it with: cargo build (or say where it is: TIDINGS_BIN=...)';
  const requiring = REQUIRING.find((name) => env[name] === '1');
  if (requiring !== undefined) throw new Error(`${requiring}=1, but ${why}`);
  console.warn(`SKIPPED, nothing was tested against the server: ${why}`);
  return undefined;
}
