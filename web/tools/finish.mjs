// After the build: a packed form beside each file (the server sends what the browser takes), and
// what a visitor loads first, in bytes; more than the budget is an error.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const dist = new URL('../dist/', import.meta.url).pathname;

/** First load of each entry, gzipped, in bytes. */
const BUDGETS = { demo: 250_000, dashboard: 200_000 };

/** Smaller files are sent as they are. */
const PACKED_MIN = 400;

const files = (folder) =>
  readdirSync(folder, { withFileTypes: true }).flatMap((item) =>
    item.isDirectory() ? files(join(folder, item.name)) : [join(folder, item.name)],
  );

const sizes = new Map();
for (const file of files(dist)) {
  if (/\.(gz|br)$|\/\.keep$/.test(file)) continue;
  const bytes = readFileSync(file);
  const gzip = gzipSync(bytes, { level: 9 });
  const brotli = brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  });
  if (bytes.length >= PACKED_MIN && gzip.length < bytes.length) {
    writeFileSync(`${file}.gz`, gzip);
    writeFileSync(`${file}.br`, brotli);
  }
  sizes.set(relative(dist, file), {
    plain: bytes.length,
    gzip: gzip.length,
    brotli: brotli.length,
  });
}

const shown = (bytes) => `${(bytes / 1000).toFixed(1).padStart(7)} kB`;
console.log('\n  file'.padEnd(46), '     gzip', '    brotli');
for (const [name, size] of [...sizes].sort(([, a], [, b]) => b.gzip - a.gzip)) {
  console.log(`  ${name.padEnd(44)}`, shown(size.gzip), shown(size.brotli));
}

/** What a page asks for before it can be used: its own text and what that names. */
function firstLoad(entry) {
  const page = `${entry}/index.html`;
  if (!sizes.has(page)) return undefined;
  const html = readFileSync(join(dist, page), 'utf8');
  if (/<style|\sstyle=|<script>|<script(?![^>]*\ssrc=)[^>]*>/.test(html)) {
    throw new Error(`${page} has something inline, which its policy refuses`);
  }
  const named = [...html.matchAll(/(?:src|href)="\/_\/([^"]+)"/g)].map(([, name]) => name);
  return [page, ...new Set(named)].reduce((sum, name) => sum + (sizes.get(name)?.gzip ?? 0), 0);
}

let failed = false;
console.log('');
for (const [entry, budget] of Object.entries(BUDGETS)) {
  const bytes = firstLoad(entry);
  if (bytes === undefined) continue;
  failed ||= bytes > budget;
  console.log(`  first load of ${entry}: ${shown(bytes)} gzipped (at most ${shown(budget)})`);
}
const total = [...sizes.keys()].reduce((sum, name) => sum + statSync(join(dist, name)).size, 0);
console.log(`  everything, plain: ${shown(total)}`);
if (failed) process.exit(1);
