// Each page in a state worth a picture: something has happened on it.
import { ask, liven } from './dashboard.mjs';
import { PATIENCE_MS } from './harness.mjs';

const patient = { timeout: PATIENCE_MS };

/** A page of the dashboard, on a server on which something happens. */
const dashboard =
  (place, ready, act) =>
  async (page, language, server) => {
    const still = await liven(server);
    try {
      await page.goto(`/_/${place}`);
      await page.locator(ready).first().waitFor(patient);
      await act?.(page, server);
      await page.waitForTimeout(1_500);
    } finally {
      await still();
    }
  };

const tab = (n) => (page) => page.getByRole('tab').nth(n).click();

export const scenes = {
  'dash-overview': dashboard('', '[data-figure]', (page) => page.waitForTimeout(9_000)),
  'dash-topics': dashboard('#/topics', '[role=table] a'),
  'dash-topic': dashboard('#/topics/chat%2Flobby', '[data-event]', (page) =>
    page.locator('[data-event] button').nth(1).click(),
  ),
  'dash-publish': dashboard('#/topics/chat%2Flobby', '[data-event]', async (page) => {
    await tab(1)(page);
    await page.locator('form button[type=submit]').click();
  }),
  'dash-readers': dashboard('#/topics/chat%2Flobby', '[data-event]', tab(2)),
  'dash-policy': dashboard('#/topics/chat%2Flobby', '[data-event]', tab(3)),
  'dash-connections': dashboard('#/connections', '[data-connection]'),
  'dash-disconnect': dashboard('#/connections', '[data-connection]', (page) =>
    page.locator('[role=row]:has([data-connection]) button').first().click(),
  ),
  'dash-generations': dashboard('#/generations', 'h1', async (page, server) => {
    await ask(server);
    await ask(server, 'And what does a log have to do with it?');
    await page.locator('[data-answer] button').last().waitFor(patient);
    await page.locator('[data-answer] button').first().click();
  }),
  'dash-trace': dashboard('#/trace', 'form', async (page) => {
    await page.getByRole('textbox').fill('**');
    await page.keyboard.press('Enter');
    await page.waitForTimeout(4_000);
  }),
  'dash-trace-empty': dashboard('#/trace', 'form'),
  'dash-configuration': dashboard('#/configuration', '[data-setting]'),
  async 'dash-away'(page, language, server) {
    await page.goto('/_/#/connections');
    await page.locator('[data-connection]').first().waitFor(patient);
    await server.kill();
    await page.locator('[data-failure]').waitFor(patient);
    await page.waitForTimeout(1_500);
    await server.start();
  },
  async 'dash-sign-in'(page) {
    await page.route(
      (url) => !url.pathname.startsWith('/_/'),
      (route) =>
        route.fulfill({
          status: 401,
          body: '{"detail":"this needs a token with the grant admin"}',
        }),
    );
    await page.goto('/_/');
    await page.locator('form').waitFor(patient);
    await page.locator('input').fill('eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl');
    await page.keyboard.press('Enter');
    await page.locator('[data-fault]').waitFor(patient);
  },
  async landing(page) {
    await page.goto('/');
    await page.waitForTimeout(4_500);
    await page.locator('ol ~ div button').last().click();
    await page.waitForTimeout(3_500);
  },
  async chat(page, language) {
    await page.goto('/demo/chat');
    const ask =
      language === 'zh' ? '一個回答怎麼撐過隧道？' : 'How can an answer survive a tunnel?';
    await page.getByRole('button', { name: ask }).click(patient);
    await page.waitForTimeout(2_500);
    await page.locator('button.bg-cut:visible').first().click();
    await page.waitForTimeout(6_500);
  },
  async prices(page) {
    await page.goto('/demo/prices');
    await page.getByRole('slider').first().fill('5');
    await page.waitForTimeout(7_000);
  },
  async rooms(page) {
    await page.goto('/demo/rooms');
    await page.waitForTimeout(6_000);
    await page.getByRole('textbox').fill('Hello, everybody');
    await page.keyboard.press('Enter');
    await page.waitForTimeout(2_000);
    await page.locator('button.bg-cut:visible').first().click();
    await page.waitForTimeout(2_000);
    await page.getByRole('textbox').fill('I am in the tunnel now');
    await page.keyboard.press('Enter');
    await page.waitForTimeout(7_500);
  },
  async document(page) {
    await page.goto('/demo/document');
    await page.waitForTimeout(12_000);
    await page.locator('form button[type=submit]').click();
    await page.waitForTimeout(300);
    await page.locator('button.bg-cut:visible').first().click();
    await page.waitForTimeout(15_000);
  },
  async compare(page) {
    await page.goto('/demo/compare');
    await page.waitForTimeout(5_000);
    await page.locator('button.bg-cut:visible').first().click();
    await page.waitForTimeout(7_000);
  },
};
