// What pages of other origins may do, decided by a real browser against a closed server (Fetch
// standard, CORS protocol): the listed ones everything that their token grants, the others nothing,
// also not in the dark.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { PATIENCE_MS, openBrowser, startServer } from './harness.mjs';

/** The pages: an empty one on two ports, each reached as 127.0.0.1 and as localhost. */
const ports = [];
const pages = [];
let listed;
let stranger;
let browser;
let server;
let wild;

const settings = (origins) =>
  `anonymous = []\n[server]\ntoken_cookie = "tidings"\ncors_origins = ${JSON.stringify(origins)}\n`;

before(async () => {
  for (let n = 0; n < 2; n += 1) {
    const page = createServer((_, response) => {
      response.setHeader('content-type', 'text/html');
      response.end('<!doctype html><title>A page</title>');
    });
    await new Promise((resolve) => page.listen(0, resolve));
    pages.push(page);
    ports.push(page.address().port);
  }
  listed = ['127.0.0.1', 'localhost'].map((host) => `http://${host}:${ports[0]}`);
  stranger = ['127.0.0.1', 'localhost'].map((host) => `http://${host}:${ports[1]}`);
  server = await startServer({ config: settings(listed) });
  wild = await startServer({ config: settings(['*']) });
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await server?.close();
  await wild?.close();
  for (const page of pages) {
    page.closeAllConnections();
    page.close();
  }
});

/** A token for everything below `cors/`, as the page's reader has it. */
const tokenOf = (of) => of.token({ sub: 'ada', tidings: { subscribe: ['cors/**'], publish: ['cors/**'] } });

/** Opens a page of that origin; with a cookie for the server, if one is given. */
async function visit(origin, of, run, cookie) {
  const context = await browser.newContext();
  try {
    if (cookie) {
      const { hostname } = new URL(of.url);
      const rest = { domain: hostname, path: '/', httpOnly: true, sameSite: 'Lax' };
      await context.addCookies([{ name: 'tidings', value: cookie, ...rest }]);
    }
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.goto(origin);
    await run(page);
  } finally {
    await context.close();
  }
}

/** What the page can tell about an answer: an error of the browser is one that it may not read. */
const ask = (page, url, options) =>
  page.evaluate(
    async ([at, init]) => {
      try {
        const response = await fetch(at, init);
        const { status } = response;
        return { status, text: await response.text(), headers: Object.fromEntries(response.headers) };
      } catch (error) {
        return { failed: error.name };
      }
    },
    [url, options],
  );

/** What is in a topic, read beside the browser. */
async function held(of, topic) {
  const headers = { authorization: `Bearer ${tokenOf(of)}`, accept: 'application/json' };
  const response = await fetch(`${of.url}/topics/${topic}?from=earliest&poll=0`, { headers });
  assert.equal(response.status, 200);
  return (await response.json()).events.map(({ data }) => data);
}

const limits = { timeout: 3 * PATIENCE_MS };

test('a listed page publishes and reads with a token in a header', limits, async () => {
  for (const [n, origin] of listed.entries()) {
    await visit(origin, server, async (page) => {
      const url = `${server.url}/topics/cors/header-${n}`;
      const headers = { authorization: `Bearer ${tokenOf(server)}`, 'idempotency-key': '"one"' };
      const posted = await ask(page, url, { method: 'POST', headers, body: 'from afar' });
      assert.equal(posted.status, 200, origin);
      assert.deepEqual(await held(server, `cors/header-${n}`), ['from afar']);
      const said = await ask(page, url, { method: 'HEAD', headers });
      assert.equal(said.headers['tidings-events'], '1');
      assert.ok(said.headers['tidings-newest']);
      const refused = await ask(page, `${server.url}/topics/elsewhere`, { method: 'POST', headers });
      assert.equal(refused.status, 403);
      assert.match(refused.text, /does not grant/, 'the page may read why');
      // What was not exposed is not there; of these the server has sent one.
      assert.equal(said.headers['access-control-allow-origin'], undefined);
    });
  }
});

test('an EventSource of a listed page comes in with a cookie, and resumes', limits, async () => {
  const topic = 'cors/resumes';
  const publish = async (body) => {
    const headers = { authorization: `Bearer ${tokenOf(server)}` };
    const options = { method: 'POST', headers, body };
    assert.equal((await fetch(`${server.url}/topics/${topic}`, options)).status, 200);
  };
  await publish('one');
  await visit(
    listed[0],
    server,
    async (page) => {
      const resumed = [];
      // What was sent in truth: the browser adds the header after the page's request was made.
      page.on('request', (request) => resumed.push(request.headerValue('last-event-id')));
      await page.evaluate((url) => {
        window.seen = [];
        window.source = new EventSource(url, { withCredentials: true });
        window.source.onmessage = ({ data, lastEventId }) => window.seen.push([data, lastEventId]);
      }, `${server.url}/topics/${topic}?from=earliest`);
      await page.waitForFunction(() => window.seen.length === 1);
      const [[, first]] = await page.evaluate(() => window.seen);
      await server.kill();
      await server.start();
      await publish('two');
      await page.waitForFunction(() => window.seen.length >= 2);
      await publish('three');
      await page.waitForFunction(() => window.seen.length >= 3);
      const seen = await page.evaluate(() => window.seen);
      assert.deepEqual(seen.map(([data]) => data), ['one', 'two', 'three'], 'each of them once');
      const ids = (await Promise.all(resumed)).filter(Boolean);
      assert.ok(ids.length > 0 && ids.every((id) => id === first), `${ids}`);
    },
    tokenOf(server),
  );
});

test('a page that is not listed changes nothing and reads nothing', limits, async () => {
  for (const [n, origin] of stranger.entries()) {
    const topic = `cors/stranger-${n}`;
    const run = async (page) => {
      const url = `${server.url}/topics/${topic}`;
      const headers = { authorization: `Bearer ${tokenOf(server)}` };
      const asked = await ask(page, url, { method: 'POST', headers, body: 'preflighted' });
      assert.deepEqual(asked, { failed: 'TypeError' });
      // These need no preflight: they reach the server, with the cookie, and it must refuse them.
      const answers = [];
      page.on('response', (response) => answers.push(response.status()));
      for (const mode of ['cors', 'no-cors']) {
        const options = { method: 'POST', body: 'simple', credentials: 'include', mode };
        const said = await ask(page, url, options);
        assert.ok(said.failed === 'TypeError' || said.status === 0, JSON.stringify(said));
      }
      await page.evaluate((action) => {
        const form = document.createElement('form');
        Object.assign(form, { method: 'post', enctype: 'text/plain', action });
        document.body.append(form);
        form.submit();
      }, url);
      await page.waitForURL(url);
      // A cookie goes to another port of its host, and to no other site.
      assert.ok(answers.length > 0);
      assert.deepEqual(new Set(answers), new Set([n === 0 ? 403 : 401]));
      await page.goto(origin);
      const state = await page.evaluate(
        (at) =>
          new Promise((resolve) => {
            const source = new EventSource(at, { withCredentials: true });
            source.onopen = () => resolve('open');
            source.onerror = () => resolve(source.readyState);
          }),
        url,
      );
      assert.equal(state, 2, 'closed for good');
    };
    await visit(origin, server, run, tokenOf(server));
    assert.deepEqual(await held(server, topic), []);
  }
});

test('the wildcard never goes together with cookies', limits, async () => {
  const url = `${wild.url}/topics/cors/wild`;
  const run = async (page) => {
    const headers = { authorization: `Bearer ${tokenOf(wild)}` };
    const posted = await ask(page, url, { method: 'POST', headers, body: 'a header' });
    assert.equal(posted.status, 200);
    for (const mode of ['cors', 'no-cors']) {
      const options = { method: 'POST', body: 'a cookie', credentials: 'include', mode };
      const said = await ask(page, url, options);
      assert.ok(said.failed === 'TypeError' || said.status === 0, JSON.stringify(said));
    }
    const read = await ask(page, `${url}?from=earliest&poll=0`, { credentials: 'include' });
    assert.deepEqual(read, { failed: 'TypeError' });
  };
  await visit(stranger[0], wild, run, tokenOf(wild));
  assert.deepEqual(await held(wild, 'cors/wild'), ['a header']);
  const { headers } = await fetch(`${wild.url}/healthz`, { headers: { origin: stranger[0] } });
  assert.equal(headers.get('access-control-allow-origin'), '*');
  assert.equal(headers.get('access-control-allow-credentials'), null);
});
