// The site that the tabs show: one empty page with the bundled client, on an origin of its own.
//
// Promises: the bundle is made once for each test file, of the sources as they are.

import { build } from 'esbuild';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';

const core = (name: string) => fileURLToPath(new URL(`../../core/src/${name}.ts`, import.meta.url));
const ENTRIES = ['shared', 'parser', 'eventsource'];
/** The client's sources instead of what was built of them. */
const alias: Record<string, string> = { '@tidings/client': core('index') };
for (const name of ENTRIES) alias[`@tidings/client/${name}`] = core(name);

const PAGE = '<!doctype html><meta charset="utf-8"><title>Tidings</title>';

export interface Site {
  url: string;
  end(): Promise<void>;
}

/** Bundles `page/page.ts` and serves it. */
export async function site(): Promise<Site> {
  const entry = fileURLToPath(new URL('../page/page.ts', import.meta.url));
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'iife',
    target: 'es2022',
    alias,
    sourcemap: 'inline',
  });
  const script = result.outputFiles[0]?.text;
  if (script === undefined) throw new Error('nothing was bundled');
  const server = createServer((request, response) => {
    if (request.url === '/page.js') {
      response.writeHead(200, { 'content-type': 'text/javascript; charset=utf-8' });
      response.end(script);
    } else if (request.url === '/' || request.url?.startsWith('/?')) {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
      response.end(`${PAGE}<script src="/page.js"></script>`);
    } else {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}/`,
    async end() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
