// Measures in headless Chromium what `tidings bench transport` cannot: H10, the time that a page's
// main thread spends on events, and H12, how many tabs are live at once. Adds both rows to the
// file that the page shows.
//
//   node tools/transport-browser.mjs [--runs 5] [--quick] [--write FILE]
//
//   WEB_BINARY, WEB_CHROMIUM: as for the tests (tests/harness.mjs)
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'vite';
import { openBrowser, startServer } from '../tests/harness.mjs';
import { judgeTabs, judgeWork, merged, spread } from './transport-rules.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    quick: { type: 'boolean', default: false },
    write: { type: 'string' },
  },
});
const RUNS = values.quick ? 1 : Number(values.runs);
/** Events of one run of H10, and how many of them are on the way at once. */
const EVENTS = values.quick ? 200 : 2_000;
const AT_ONCE = 4;
/** Events before those that count. */
const WARM_UP = 100;
/** Tabs of H12: two more than a browser gives connections to a host over HTTP/1.1. */
const TABS = 8;
/** How long the tabs have to become live, and a run to end, in milliseconds. */
const LIVE_MS = values.quick ? 3_000 : 6_000;
const RUN_MS = 60_000;

/** The client and its shared connection, as one script that sets `globalThis.tidings`. */
async function bundle() {
  const core = (name) => here(`../../clients/typescript/core/src/${name}.ts`);
  const result = await build({
    configFile: false,
    logLevel: 'error',
    resolve: {
      alias: [
        { find: /^@tidings\/client$/, replacement: core('index') },
        { find: /^@tidings\/client\/(.*)$/, replacement: core('$1') },
      ],
    },
    build: {
      write: false,
      target: 'es2022',
      lib: { entry: here('transport-client.mjs'), formats: ['iife'], name: 'tidings' },
    },
  });
  return [result].flat()[0].output[0].code;
}

/** What runs in a tab: follows a topic in one of four ways, and counts. */
function follow({ way, topic }) {
  const seen = { count: 0, live: false };
  globalThis.seen = seen;
  const take = (data) => {
    JSON.parse(data);
    seen.count += 1;
  };
  const url = `${location.origin}/topics/${topic}`;
  if (way === 'EventSource') {
    const source = new EventSource(url);
    source.onopen = () => (seen.live = true);
    source.onmessage = (event) => take(event.data);
  } else if (way === 'fetch') {
    const parser = new globalThis.tidings.Parser({ onEvent: (event) => take(event.data) });
    void fetch(url, { headers: { accept: 'text/event-stream' } }).then(async ({ body }) => {
      seen.live = true;
      for await (const chunk of body) parser.feed(chunk);
    });
  } else if (way === 'WebSocket') {
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`, 'tidings.v1.json');
    socket.onopen = () =>
      socket.send(JSON.stringify({ op: 'subscribe', sub: 's', topics: [topic] }));
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.op === 'subscribed') seen.live = true;
      if (message.op === 'events') for (const event of message.events) take(event.data);
    };
  } else {
    const { createClient, tabs } = globalThis.tidings;
    const client = createClient({ url: location.origin, share: tabs() });
    const subscription = client.subscribe([topic], {});
    subscription.on('state', ({ state }) => (seen.live = state === 'live'));
    subscription.on('event', ({ data }) => take(data));
  }
}

/** Opens a tab on the server's origin; what it shows does not matter. */
async function tab(context, server, script) {
  const page = await context.newPage();
  await page.goto(`${server.url}/readyz`);
  await page.evaluate(script);
  return page;
}

async function publish(server, topic, count) {
  const one = async (n) => {
    const body = JSON.stringify({ n, text: 'x'.repeat(80) });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${server.url}/topics/${topic}`, { method: 'POST', headers, body });
    if (!answer.ok) throw new Error(`publishing: ${answer.status} ${await answer.text()}`);
    await answer.arrayBuffer();
  };
  for (let n = 0; n < count; n += AT_ONCE) {
    const some = Math.min(AT_ONCE, count - n);
    await Promise.all(Array.from({ length: some }, (_, k) => one(n + k)));
  }
}

const seen = (page) => page.evaluate(() => globalThis.seen);

/** Looks until `done` says so, at most so long; false when it never did. */
async function until(done, patience) {
  const end = Date.now() + patience;
  while (!(await done())) {
    if (Date.now() > end) return false;
    await new Promise((next) => setTimeout(next, 50));
  }
  return true;
}

/** Milliseconds of the main thread for 1,000 events that come one by one. */
async function work(browser, server, script, way, topic) {
  const context = await browser.newContext({ bypassCSP: true });
  try {
    await publish(server, topic, 1);
    const page = await tab(context, server, script);
    await page.evaluate(follow, { way, topic });
    const session = await context.newCDPSession(page);
    await session.send('Performance.enable');
    const busy = async () => {
      const { metrics } = await session.send('Performance.getMetrics');
      return metrics.find(({ name }) => name === 'TaskDuration').value * 1_000;
    };
    if (!(await until(async () => (await seen(page)).live, RUN_MS))) throw new Error('not live');
    // What the first events cost is not what an event costs.
    await publish(server, topic, WARM_UP);
    if (!(await until(async () => (await seen(page)).count >= WARM_UP, RUN_MS))) {
      throw new Error(`${way}: ${(await seen(page)).count} of ${WARM_UP} events`);
    }
    const before = await busy();
    await publish(server, topic, EVENTS);
    // Each look is work of its own: none until everything has been published.
    const due = WARM_UP + EVENTS;
    const all = await until(async () => (await seen(page)).count >= due, RUN_MS);
    if (!all) throw new Error(`${way}: ${(await seen(page)).count} of ${due} events`);
    const spent = await busy();
    return ((spent - before) / EVENTS) * 1_000;
  } finally {
    await context.close();
  }
}

/** How many of the tabs get an event that is published when all have had time to connect. */
async function live(browser, server, script, way, topic) {
  const context = await browser.newContext({ bypassCSP: true });
  try {
    await publish(server, topic, 1);
    // All pages first: with six streams open, a seventh page does not even load.
    const pages = [];
    for (let n = 0; n < TABS; n += 1) pages.push(await tab(context, server, script));
    for (const page of pages) await page.evaluate(follow, { way, topic });
    const count = async (is) => (await Promise.all(pages.map(seen))).filter(is).length;
    await until(async () => (await count(({ live }) => live)) === TABS, LIVE_MS);
    await publish(server, topic, 1);
    const have = () => count(({ count }) => count > 0);
    await until(async () => (await have()) === TABS, LIVE_MS);
    return await have();
  } finally {
    await context.close();
  }
}

async function measure(ways, one) {
  const found = Object.fromEntries(ways.map((way) => [way, []]));
  for (let run = 0; run < RUNS; run += 1) {
    for (const way of ways) {
      const figure = await one(way, run);
      found[way].push(figure);
      console.error(`${way}, run ${run + 1} of ${RUNS}: ${figure.toFixed(1)}`);
    }
  }
  return found;
}

const columns = (found) =>
  Object.fromEntries(Object.entries(found).map(([way, runs]) => [way, spread(runs)]));

const server = await startServer();
const browser = await openBrowser();
try {
  const script = await bundle();
  const made = new Date().toISOString();
  const by = `web/tools/transport-browser.mjs, Chromium ${browser.version()}`;
  const machine = `${cpus()[0].model}, ${cpus().length} cores, Chromium ${browser.version()}`;
  const topic = (name) => (way, run) => `${name}-${way.replace(/\W/g, '')}-${run}`;

  const name = topic('work');
  const spent = await measure(['EventSource', 'fetch', 'WebSocket'], (way, run) =>
    work(browser, server, script, way, name(way, run)),
  );
  const time = columns(spent);
  const ms = ([median]) => `${median.toFixed(1)} ms`;
  const H10 = {
    verdict: judgeWork(time['EventSource'], time['WebSocket']),
    sse: `${ms(time['EventSource'])} · ${ms(time['fetch'])}`,
    ws: ms(time['WebSocket']),
    by,
    made,
    machine,
    figures: [{ case: `${EVENTS} events one by one`, label: 'ms for 1,000 events', columns: time }],
  };

  const title = topic('tabs');
  const lived = await measure(['EventSource', 'tabs()', 'WebSocket'], (way, run) =>
    live(browser, server, script, way, title(way, run)),
  );
  const tabsLive = columns(lived);
  const of = (way) => `${tabsLive[way][0]}/${TABS}`;
  const H12 = {
    verdict: judgeTabs(TABS, lived['EventSource'], lived['tabs()']),
    sse: `${of('EventSource')} · ${of('tabs()')}`,
    ws: of('WebSocket'),
    by,
    made,
    machine,
    figures: [{ case: `${TABS} tabs, HTTP/1.1`, label: 'tabs that are live', columns: tabsLive }],
  };

  console.log(JSON.stringify({ H10, H12 }, undefined, 2));
  if (values.write) {
    const old = existsSync(values.write) ? JSON.parse(readFileSync(values.write, 'utf8')) : {};
    const file = merged(old, { H10, H12 });
    writeFileSync(values.write, `${JSON.stringify(file, undefined, 2)}\n`);
  }
} finally {
  await browser.close();
  await server.close();
}
