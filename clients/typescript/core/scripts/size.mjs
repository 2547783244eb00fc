// Prints what each entry weighs for a page, minified and compressed, and fails above the limit.
// `index` is what its import loads at once; what that loads later by itself is printed beside it.

import { gzipSync } from 'node:zlib';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** Most bytes of the main entry, minified and gzipped. */
const LIMIT = 6144;

/** The chunk that is loaded later (`src/lazy.ts`). */
const LATER = 'rest';

const at = (name) => fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url));

/** Leaves out what is imported with `import()`: a bundler makes a chunk of its own of it. */
const later = {
  name: 'later',
  setup: ({ onResolve }) =>
    onResolve({ filter: /^\./ }, ({ kind, path }) =>
      kind === 'dynamic-import' ? { path, external: true } : undefined),
};

const weigh = (bytes) => gzipSync(bytes, { level: 9 }).length;

const bundle = async (options) => {
  const { outputFiles } = await build({
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    outdir: 'out',
    write: false,
    ...options,
  });
  return outputFiles;
};

const entries = ['index', 'parser', 'eventsource', 'shared', 'presence', 'push', 'testing'];
let tooLarge = false;
for (const name of entries.filter((name) => existsSync(at(name)))) {
  const [file] = await bundle({ entryPoints: [at(name)], plugins: [later] });
  const size = weigh(file.contents);
  const limit = name === 'index' ? LIMIT : undefined;
  console.log(`${name}: ${size} bytes${limit ? ` of ${limit}, at once` : ''}`);
  if (limit && size > limit) tooLarge = true;
}
const [all] = await bundle({ entryPoints: [at('index')], splitting: false });
const chunks = await bundle({ entryPoints: [at('index')], splitting: true, chunkNames: '[name]' });
const chunk = chunks.find(({ path }) => path.endsWith(`${LATER}.js`));
console.log(`index, its second chunk: ${weigh(chunk.contents)} bytes, later`);
console.log(`index, both in one file: ${weigh(all.contents)} bytes`);
if (tooLarge) {
  console.error('the main entry is larger than it may be');
  process.exit(1);
}
