// Serves the pages of these examples and, behind the same address, Tidings: page and stream share
// an origin, as they do behind a reverse proxy in production.
//
// Usage: npm start, then open the address that it prints. TIDINGS_URL says where Tidings is, if not
// at http://127.0.0.1:8080; PORT where to listen, if not at 8000.

import { createReadStream, statSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const folder = fileURLToPath(new URL('.', import.meta.url));
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };
// What Tidings answers; all else is a file below this folder.
const TIDINGS = /^\/(topics|events|api|answers)\b/;

/** The file that a path means, or none. */
function fileAt(path) {
  const file = join(folder, path.endsWith('/') ? `${path}index.html` : path);
  const isFile = file.startsWith(folder) && statSync(file, { throwIfNoEntry: false })?.isFile();
  return isFile ? file : undefined;
}

/** A script of ours, with the packages that it imports. */
async function bundle(entry) {
  const define = { 'process.env.NODE_ENV': '"production"' };
  const common = { bundle: true, format: 'esm', jsx: 'automatic', write: false, define };
  const built = await build({ ...common, entryPoints: [entry], logLevel: 'error' });
  return built.outputFiles[0].contents;
}

async function file(path, response) {
  const found = fileAt(path);
  if (!found) return void response.writeHead(404).end('there is no such page\n');
  const ours = /\.jsx?$/.test(found) && !path.startsWith('/node_modules/');
  const type = ours ? TYPES['.js'] : (TYPES[extname(found)] ?? 'application/octet-stream');
  response.setHeader('content-type', `${type}; charset=utf-8`);
  if (ours) response.end(await bundle(found));
  else createReadStream(found).pipe(response);
}

/**
 * Hands a request to Tidings. When Tidings is away the connection is closed without an answer, as
 * nginx does it with `return 444`: at a status of 502 a browser's EventSource gives up for good.
 */
function forward(tidings, incoming, response) {
  const { method, url, headers } = incoming;
  const outgoing = request(new URL(url, tidings), { method, headers, agent: false }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    response.flushHeaders();
    answer.pipe(response);
    answer.on('error', () => response.destroy());
  });
  outgoing.on('error', () => response.destroy());
  response.on('close', () => outgoing.destroy());
  incoming.pipe(outgoing);
}

/** A server of pages and streams. `intercept` may answer a stream's request in Tidings' place. */
export function pages(tidings, intercept = () => false) {
  return createServer((incoming, response) => {
    const { pathname } = new URL(incoming.url, 'http://localhost');
    if (!TIDINGS.test(pathname)) file(decodeURIComponent(pathname), response);
    else if (!intercept(incoming, response)) forward(tidings, incoming, response);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const tidings = process.env.TIDINGS_URL ?? 'http://127.0.0.1:8080';
  const port = process.env.PORT ?? 8000;
  pages(tidings).listen(port, '127.0.0.1', () => {
    console.log(`http://127.0.0.1:${port}/  (streams from ${tidings})`);
  });
}
