// The site that the tabs show: empty pages with the bundled client, on an origin of their own.
//
// Promises: the bundles are made once for each test file, of the sources as they are.

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

/** Bundles a page's script. */
async function bundle(name: string): Promise<string> {
  const result = await build({
    entryPoints: [fileURLToPath(new URL(`../page/${name}.ts`, import.meta.url))],
    bundle: true,
    write: false,
    format: 'iife',
    target: 'es2022',
    alias,
    sourcemap: 'inline',
  });
  const script = result.outputFiles[0]?.text;
  if (script === undefined) throw new Error('nothing was bundled');
  return script;
}

/** Serves pages: `/NAME` shows what `page/NAME.ts` makes. */
export async function site(...names: string[]): Promise<Site> {
  const scripts = new Map<string, string>();
  for (const name of names) scripts.set(`/${name}.js`, await bundle(name));
  const server = createServer((request, response) => {
    const script = scripts.get(request.url ?? '');
    if (script !== undefined) {
      response.writeHead(200, { 'content-type': 'text/javascript; charset=utf-8' });
      response.end(script);
    } else if (scripts.has(`${request.url}.js`)) {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
      response.end(`${PAGE}<script src="${request.url}.js"></script>`);
    } else {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    async end() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
