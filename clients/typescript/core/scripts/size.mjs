// Prints what each entry weighs for a page, minified and compressed, and fails above the limit.

import { gzipSync } from 'node:zlib';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** Most bytes of the main entry, minified and gzipped. */
const LIMIT = 6144;

const at = (name) => fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url));
const entries = ['index', 'parser', 'eventsource', 'shared', 'presence', 'testing'];
let tooLarge = false;
for (const name of entries.filter((name) => existsSync(at(name)))) {
  const { outputFiles } = await build({
    entryPoints: [at(name)],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
  });
  const size = gzipSync(outputFiles[0].contents, { level: 9 }).length;
  const limit = name === 'index' ? LIMIT : undefined;
  console.log(`${name}: ${size} bytes${limit ? ` of ${limit}` : ''}`);
  if (limit && size > limit) tooLarge = true;
}
if (tooLarge) {
  console.error('the main entry is larger than it may be');
  process.exit(1);
}
