// What holds on every page: no accessibility fault, nothing inline, nothing from elsewhere, usable
// with the keyboard alone, in both languages, on a phone.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { PATIENCE_MS, openBrowser, openContext, startServer } from './harness.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const paths = ['/', ...['chat', 'rooms', 'document', 'prices', 'compare'].map((p) => `/demo/${p}`)];

let server;
let browser;

before(async () => {
  server = await startServer();
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

async function visit(options, run) {
  const { context, faults } = await openContext(browser, server, options);
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await run(page);
    assert.deepEqual(faults, []);
  } finally {
    await context.close();
  }
}

/** Until something has come and what moves in has moved in. */
async function settle(page) {
  await page.locator('h1').waitFor();
  await page.waitForTimeout(2_500);
  if (page.url().endsWith('/chat')) {
    await page.getByRole('log').getByRole('button').first().click();
    await page.waitForTimeout(2_500);
  }
}

for (const path of paths) {
  for (const [colorScheme, locale] of [
    ['light', 'en-US'],
    ['dark', 'zh-TW'],
  ]) {
    test(`axe finds nothing on ${path} (${colorScheme}, ${locale})`, async () => {
      // A page's policy allows no script of anybody else, not even of this test.
      const options = { colorScheme, locale, reducedMotion: 'reduce', bypassCSP: true };
      await visit(options, async (page) => {
        await page.goto(path);
        await settle(page);
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => window.axe.run(document));
        const found = violations.map(
          ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`,
        );
        assert.deepEqual(found, []);
      });
    });
  }

  test(`${path} speaks Chinese, and fits a narrow phone`, async () => {
    const viewport = { width: 360, height: 740 };
    await visit({ locale: 'zh-TW', viewport }, async (page) => {
      await page.goto(path);
      await page.locator('h1').waitFor();
      assert.equal(await page.locator('html').getAttribute('lang'), 'zh-Hant');
      assert.match(await page.locator('h1').innerText(), /[\u4e00-\u9fff]/);
      await page.waitForTimeout(1_500);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= viewport.width, `${wide} px wide`);
    });
  });
}

test('the keyboard alone leads from the first screen to an answer that is stopped', async () => {
  await visit({ locale: 'en-US' }, async (page) => {
    await page.goto('/');
    await page.locator('h1').waitFor();
    await reach(page, (focus) => focus.text === 'AI chat' && focus.tag === 'A');
    await page.keyboard.press('Enter');
    await page.locator('h1', { hasText: 'Cut the network' }).waitFor();
    await reach(page, (focus) => focus.tag === 'INPUT' && focus.label === 'Ask anything');
    await page.keyboard.type('Why?');
    await page.keyboard.press('Enter');
    await page.locator('[data-phase="streaming"]').waitFor();
    await reach(
      page,
      (focus) => focus.label === 'Stop generating' || focus.text === 'Stop generating',
    );
    assert.notEqual(
      await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle),
      'none',
    );
    await page.keyboard.press('Enter');
    await page.locator('[data-phase="cancelled"]').waitFor();
    // Tabs: arrows move.
    await reach(page, (focus) => focus.role === 'tab');
    await page.keyboard.press('ArrowRight');
    await page.getByRole('region', { name: 'TypeScript' }).waitFor();
  });
});

/** Presses Tab until the focus is where it is wanted. */
async function reach(page, wanted) {
  for (let presses = 0; presses < 80; presses += 1) {
    await page.keyboard.press('Tab');
    const focus = await page.evaluate(() => {
      const { activeElement: at } = document;
      return {
        tag: at.tagName,
        text: at.textContent.trim(),
        label: at.getAttribute('aria-label'),
        role: at.getAttribute('role'),
      };
    });
    if (wanted(focus)) return;
  }
  assert.fail('the keyboard does not get there');
}

test('the language and the colours can be chosen, and are remembered', async () => {
  await visit({ locale: 'en-US', colorScheme: 'light' }, async (page) => {
    await page.goto('/');
    const ground = () =>
      page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const light = await ground();
    await page.getByRole('button', { name: '中文' }).last().click();
    await page.getByRole('heading', { name: '即時串流，記得你讀到哪裡。' }).waitFor();
    // From the system's to light to dark.
    await page.getByRole('button', { name: /^配色/ }).last().click();
    await page.getByRole('button', { name: /^配色/ }).last().click();
    assert.notEqual(await ground(), light);
    await page.reload();
    await page.getByRole('heading', { name: '即時串流，記得你讀到哪裡。' }).waitFor();
    assert.notEqual(await ground(), light);
  });
});

test('files with a hash are kept for ever, pages are not; both are packed', async () => {
  const page = await fetch(`${server.url}/`, { headers: { 'accept-encoding': 'br' } });
  assert.equal(page.headers.get('cache-control'), 'no-cache');
  const html = await page.text();
  const name = /\/_\/assets\/[^"]+\.js/.exec(html)?.[0];
  assert.ok(name, html);
  const script = await fetch(server.url + name, { headers: { 'accept-encoding': 'gzip' } });
  assert.match(script.headers.get('cache-control'), /immutable/);
  assert.equal(script.headers.get('content-encoding'), 'gzip');
  assert.match(script.headers.get('content-type'), /^text\/javascript/);
  const again = await fetch(`${server.url}/`, {
    headers: { 'if-none-match': page.headers.get('etag') },
  });
  assert.equal(again.status, 304);
});
