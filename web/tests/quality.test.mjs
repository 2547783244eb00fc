// What holds on every page: no accessibility fault, nothing inline, nothing from elsewhere, usable
// with the keyboard alone, in both languages, on a phone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { examine, examined, fits, phone, reach, showsFocus, world } from './world.mjs';

const paths = ['/', ...['chat', 'rooms', 'document', 'prices', 'compare'].map((p) => `/demo/${p}`)];

/** Pixels in which a sentence can be read. */
const CLAIM_MIN = 160;

const { server, visit } = await world();

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
      await visit({ ...examined, colorScheme, locale }, async (page) => {
        await page.goto(path);
        await settle(page);
        await examine(page);
      });
    });
  }

  test(`${path} speaks Chinese, and fits a narrow phone`, async () => {
    for (const locale of ['zh-TW', 'en-US']) {
      await visit({ locale, viewport: phone }, async (page) => {
        await page.goto(path);
        await page.locator('h1').waitFor();
        const isChinese = locale === 'zh-TW';
        const lang = await page.locator('html').getAttribute('lang');
        assert.equal(lang, isChinese ? 'zh-Hant' : 'en');
        assert.equal(/[\u4e00-\u9fff]/.test(await page.locator('h1').innerText()), isChinese);
        await page.waitForTimeout(1_500);
        await fits(page);
      });
    }
  });
}

test('a claim has room beside its figures, on a narrow phone too', async () => {
  await visit({ locale: 'en-US', viewport: phone }, async (page) => {
    await page.goto('/demo/compare');
    const claims = page.locator('[data-claim] th');
    await claims.first().waitFor();
    for (const claim of await claims.all()) {
      const { width } = await claim.boundingBox();
      assert.ok(width >= CLAIM_MIN, `${width} px for ${await claim.innerText()}`);
    }
  });
});

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
    await showsFocus(page);
    await page.keyboard.press('Enter');
    await page.locator('[data-phase="cancelled"]').waitFor();
    // Tabs: arrows move.
    await reach(page, (focus) => focus.role === 'tab');
    await page.keyboard.press('ArrowRight');
    await page.getByRole('region', { name: 'TypeScript' }).waitFor();
  });
});

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
