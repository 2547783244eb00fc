// The TypeScript client of this repository, bundled from its sources: the parser, the class in
// place of EventSource, and the client that follows topics.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { standard } from './node.mjs';

const core = fileURLToPath(new URL('../../../clients/typescript/core/', import.meta.url));

async function load(name) {
  const entry = join(core, 'src', `${name}.ts`);
  if (!existsSync(entry)) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'tidings-conformance-'));
  try {
    const outfile = join(folder, `${name}.mjs`);
    const common = { bundle: true, format: 'esm', platform: 'neutral', target: 'es2022' };
    await build({ ...common, entryPoints: [entry], outfile, logLevel: 'error' });
    return await import(pathToFileURL(outfile));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The parser behind a plain `fetch`. */
const parsing = ({ Parser }) => (url, options, sink) => {
  const abort = new AbortController();
  const run = async () => {
    const response = await fetch(url, { signal: abort.signal });
    const parser = new Parser({
      onEvent: ({ type, data, lastEventId }) => sink.event({ type, data, id: lastEventId }),
    });
    for await (const chunk of response.body) parser.feed(chunk);
  };
  run().then(sink.closed, sink.closed);
  return () => abort.abort();
};

/** The client: a topic, with its usual waits. */
const following = ({ createClient }) => (url, { silence }, sink) => {
  const times = silence ? { heartbeatTimeout: silence, openTimeout: silence } : {};
  const client = createClient({ url, ...times });
  const subscription = client.subscribe('t');
  subscription.on('event', ({ type = 'message', data, id }) => sink.event({ type, data, id }));
  subscription.on('state', () => {
    if (subscription.readyState === 2) sink.closed();
  });
  subscription.on('error', () => {});
  return () => client.close();
};

/** What there is of it: clients by name. */
export async function inTypeScript() {
  const { version } = JSON.parse(readFileSync(join(core, 'package.json'), 'utf8'));
  const modules = ['index', 'parser', 'eventsource'].map(load);
  const [main, parser, eventsource] = await Promise.all(modules);
  const clients = {
    '@tidings/client/parser': { open: parsing(parser), decodes: true, version },
    '@tidings/client': { open: following(main), envelope: true, version },
  };
  if (eventsource) {
    const open = standard((url) => new eventsource.EventSource(url));
    // As the standard has it, so it promises nothing beyond.
    clients['@tidings/client/eventsource'] = { open, version, promises: 'standard' };
  }
  return clients;
}
