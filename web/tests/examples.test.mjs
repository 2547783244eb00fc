// What the pages tell people to type must work: the program itself is asked, which refuses every
// variable of its own that it does not know and every value that it cannot read.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { binary, foreign } from './harness.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** A variable of the program, and its value where the example gives one. */
const VARIABLE = /\b(TIDINGS_\w+)(?:=([^\s"'`]+))?/g;

/** Each example with a variable in the sources of the pages. */
function examples() {
  return ['demo', 'dashboard', 'src'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .flatMap((path) =>
        [...readFileSync(path, 'utf8').matchAll(VARIABLE)].map(([text, name, value]) => ({
          where: `${path.slice(root.length)}: ${text}`,
          name,
          value: value ?? 'something',
        })),
      ),
  );
}

test('every variable that the pages speak of is one of the program', () => {
  const found = examples();
  assert.ok(found.some(({ where }) => where.includes('configuration')), 'there are examples');
  for (const { where, name, value } of found) {
    const env = { ...foreign(), [name]: value };
    const shown = spawnSync(binary(), ['config', 'show', '--for', 'dev'], { env, encoding: 'utf8' });
    assert.equal(shown.status, 0, `${where}\n${shown.stderr}`);
  }
});
