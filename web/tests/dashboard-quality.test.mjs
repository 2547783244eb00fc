// What holds on every page of the dashboard: no accessibility fault, nothing inline, nothing from
// elsewhere, the keyboard alone, both languages, light and dark, a narrow phone.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { ask, liven } from './dashboard.mjs';
import { PATIENCE_MS, openBrowser, openContext, startServer } from './harness.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Each page, and what is there when it is ready. */
const pages = {
  overview: ['', (page) => page.locator('[data-figure="connections"]')],
  topics: ['#/topics', (page) => page.getByRole('table').getByRole('link')],
  events: ['#/topics/chat%2Flobby', (page) => page.locator('[data-event]')],
  publish: ['#/topics/chat%2Flobby', (page) => page.locator('textarea'), 1],
  readers: ['#/topics/chat%2Flobby', (page) => page.locator('[data-connection]'), 2],
  policy: ['#/topics/chat%2Flobby', (page) => page.getByRole('radio', { name: /synced/ }), 3],
  connections: ['#/connections', (page) => page.locator('[data-connection]')],
  generations: ['#/generations', (page) => page.locator('[data-answer]')],
  trace: ['#/trace', (page) => page.locator('form')],
  configuration: ['#/configuration', (page) => page.locator('[data-setting]')],
};

let server;
let browser;
let still;

before(async () => {
  server = await startServer();
  still = await liven(server);
  await ask(server);
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await still?.();
  await server?.close();
});

async function visit(options, run) {
  const { context, faults } = await openContext(browser, server, options);
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await run(page, context);
    assert.deepEqual(faults, []);
  } finally {
    await context.close();
  }
}

async function open(page, [place, ready, tab]) {
  await page.goto(`/_/${place}`);
  await page.locator('h1').waitFor();
  if (tab) await page.getByRole('tab').nth(tab).click();
  await ready(page).first().waitFor();
}

/** Fails for each fault that axe finds. */
async function examine(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document));
  const found = violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 200)).join(' | ')}`,
  );
  assert.deepEqual(found, []);
}

for (const [name, entry] of Object.entries(pages)) {
  for (const [colorScheme, locale] of [
    ['light', 'en-US'],
    ['dark', 'zh-TW'],
  ]) {
    test(`axe finds nothing on ${name} (${colorScheme}, ${locale})`, async () => {
      // A page's policy allows no script of anybody else, not even of this test.
      const options = { colorScheme, locale, reducedMotion: 'reduce', bypassCSP: true };
      await visit(options, async (page) => {
        await open(page, entry);
        await examine(page);
      });
    });
  }

  test(`${name} speaks Chinese, and fits a narrow phone`, async () => {
    const viewport = { width: 360, height: 740 };
    for (const locale of ['zh-TW', 'en-US']) {
      await visit({ locale, viewport }, async (page) => {
        await open(page, entry);
        const isChinese = locale === 'zh-TW';
        const lang = await page.locator('html').getAttribute('lang');
        assert.equal(lang, isChinese ? 'zh-Hant' : 'en');
        if (isChinese) {
          assert.match(await page.locator('main').innerText(), /[\u4e00-\u9fff]{2}/);
        }
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= viewport.width, `${wide} px wide`);
      });
    }
  });
}

test('axe finds nothing on a question, and nothing on the page that asks for a token', async () => {
  const options = { colorScheme: 'dark', reducedMotion: 'reduce', bypassCSP: true };
  await visit(options, async (page, context) => {
    await open(page, pages.connections);
    await page.getByRole('button', { name: /^Disconnect/ }).first().click();
    await page.getByRole('dialog').waitFor();
    await examine(page);
    await context.route(
      (url) => !url.pathname.startsWith('/_/'),
      (route) => route.fulfill({ status: 401, body: '{}' }),
    );
    await page.reload();
    await page.getByRole('heading', { name: 'Sign in as the operator' }).waitFor();
    await page.keyboard.press('Enter');
    await page.locator('[data-fault="empty"]').waitFor();
    await examine(page);
  });
});

test('the keyboard alone leads from the overview to an event that is published', async () => {
  await visit({ locale: 'en-US', reducedMotion: 'reduce' }, async (page) => {
    await open(page, pages.overview);
    await reach(page, (focus) => focus.tag === 'A' && focus.text.startsWith('Topics'));
    await page.keyboard.press('Enter');
    await page.getByRole('table').waitFor();
    await reach(page, (focus) => focus.label === 'Search by name');
    await page.keyboard.type('night');
    await reach(page, (focus) => focus.tag === 'A' && focus.text === 'chat/night-shift');
    await page.keyboard.press('Enter');
    await page.locator('h1', { hasText: 'chat/night-shift' }).waitFor();
    await reach(page, (focus) => focus.role === 'tab');
    await page.keyboard.press('ArrowRight');
    await reach(page, (focus) => focus.tag === 'TEXTAREA');
    assert.notEqual(
      await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle),
      'none',
    );
    await page.keyboard.type('by hand');
    await page.keyboard.press('Control+Enter');
    await page.locator('[data-receipt]').waitFor();
  });
});

test('on a phone the menu leads everywhere, and Escape leaves it', async () => {
  await visit({ locale: 'en-US', viewport: { width: 360, height: 740 } }, async (page) => {
    await open(page, pages.overview);
    await page.getByRole('button', { name: 'Menu' }).click();
    await page.keyboard.press('Escape');
    await page.getByRole('navigation').waitFor({ state: 'hidden' });
    await page.getByRole('button', { name: 'Menu' }).click();
    await page.getByRole('link', { name: 'Configuration' }).click();
    await page.locator('[data-setting]').first().waitFor();
    await page.getByRole('navigation').waitFor({ state: 'hidden' });
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
