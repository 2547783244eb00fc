// What holds on every page of the dashboard: no accessibility fault, nothing inline, nothing from
// elsewhere, the keyboard alone, both languages, light and dark, a narrow phone.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ask, liven } from './dashboard.mjs';
import { examine, examined, fits, phone, reach, showsFocus, world } from './world.mjs';

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

const { server, visit } = await world();
const still = await liven(server);
after(still);
await ask(server);

async function open(page, [place, ready, tab]) {
  await page.goto(`/_/${place}`);
  await page.locator('h1').waitFor();
  if (tab) await page.getByRole('tab').nth(tab).click();
  await ready(page).first().waitFor();
}

for (const [name, entry] of Object.entries(pages)) {
  for (const [colorScheme, locale] of [
    ['light', 'en-US'],
    ['dark', 'zh-TW'],
  ]) {
    test(`axe finds nothing on ${name} (${colorScheme}, ${locale})`, async () => {
      await visit({ ...examined, colorScheme, locale }, async (page) => {
        await open(page, entry);
        await examine(page);
      });
    });
  }

  test(`${name} speaks Chinese, and fits a narrow phone`, async () => {
    for (const locale of ['zh-TW', 'en-US']) {
      await visit({ locale, viewport: phone }, async (page) => {
        await open(page, entry);
        const isChinese = locale === 'zh-TW';
        const lang = await page.locator('html').getAttribute('lang');
        assert.equal(lang, isChinese ? 'zh-Hant' : 'en');
        if (isChinese) {
          assert.match(await page.locator('main').innerText(), /[\u4e00-\u9fff]{2}/);
        }
        await fits(page);
      });
    }
  });
}

test('axe finds nothing on a question, and nothing on the page that asks for a token', async () => {
  await visit({ ...examined, colorScheme: 'dark' }, async (page, context) => {
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
    await showsFocus(page);
    await page.keyboard.type('by hand');
    await page.keyboard.press('Control+Enter');
    await page.locator('[data-receipt]').waitFor();
  });
});

test('on a phone the menu leads everywhere, and Escape leaves it', async () => {
  await visit({ locale: 'en-US', viewport: phone }, async (page) => {
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
