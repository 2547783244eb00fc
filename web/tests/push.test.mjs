// Reminders for a closed tab: the real program and a real browser. Messages are put in where a push
// service would (Chromium's debugging protocol), because a browser without the Internet cannot
// register with one; that the page says so is one of the stories.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { PATIENCE_MS } from './harness.mjs';
import { until, world } from './world.mjs';

/** What Chromium says of a private window, which is what tests have. */
const PRIVATE = /does not support the Push API in incognito mode/;

const PAGE = '/demo/document';
const TOPIC = 'demo/document/reminders';

const { server, visit } = await world();

function story(name, run, options = {}) {
  const tell = async (page, context) => {
    await context.addInitScript(() => {
      window.asked = 0;
      const ask = Notification.requestPermission.bind(Notification);
      Notification.requestPermission = () => {
        window.asked += 1;
        return ask();
      };
    });
    await page.goto(PAGE);
    await run(page, context);
  };
  test(name, { timeout: 4 * PATIENCE_MS }, () => visit(options, tell, PRIVATE));
}

const also = (page, name = /Also when this tab is closed/) => page.getByRole('switch', { name });

/** Registers the worker as the page does, and returns how to push to it. */
async function worker(page, context, language = 'en') {
  await page.evaluate(async (language) => {
    const url = `/_/push-worker.js?language=${language}`;
    await navigator.serviceWorker.register(url, { scope: '/demo/document' });
    await navigator.serviceWorker.ready;
  }, language);
  const debug = await context.newCDPSession(page);
  const found = new Promise((resolve) => {
    debug.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
      const ours = registrations.find(({ scopeURL }) => scopeURL === `${server.url}${PAGE}`);
      if (ours) resolve(ours.registrationId);
    });
  });
  await debug.send('ServiceWorker.enable');
  const registrationId = await found;
  return (event) =>
    debug.send('ServiceWorker.deliverPushMessage', {
      origin: server.url,
      registrationId,
      data: typeof event === 'string' ? event : JSON.stringify(event),
    });
}

/** The notifications that the worker shows. */
const shown = (page) =>
  page.evaluate(async () => {
    const registration = await navigator.serviceWorker.getRegistration('/demo/document');
    const all = await registration.getNotifications();
    return all.map(({ title, body, tag, lang }) => ({ title, body, tag, lang }));
  });

const told = (text) => JSON.stringify({ author: 'x', name: 'Ada', hue: 5, text });

/** Publishes a reminder; returns it as it is pushed. */
async function publish(text) {
  const answer = await fetch(`${server.url}/topics/${TOPIC}`, { method: 'POST', body: told(text) });
  const { id } = await answer.json();
  return { id, topic: TOPIC, time: new Date().toISOString(), data: told(text) };
}

story('nobody is asked before the switch is touched', async (page) => {
  await also(page).waitFor();
  assert.equal(await also(page).getAttribute('aria-checked'), 'false');
  assert.equal(await page.evaluate(() => window.asked), 0);
  assert.equal(await page.evaluate(() => navigator.serviceWorker.controller), null);
  await also(page).click();
  await page.locator('[data-why]').waitFor();
  assert.equal(await page.evaluate(() => window.asked), 1);
});

story(
  'a browser without a push service is told so, and the worker is there',
  async (page) => {
    await also(page).click();
    await page.locator('[data-why="push-no-service"]').waitFor();
    assert.match(await page.locator('[data-why]').textContent(), /no push service/);
    assert.equal(await also(page).getAttribute('aria-checked'), 'false');
    const state = await page.evaluate(async () => {
      const registration = await navigator.serviceWorker.getRegistration('/demo/document');
      return { scope: registration.scope, state: registration.active.state };
    });
    assert.deepEqual(state, { scope: `${server.url}${PAGE}`, state: 'activated' });
  },
  { permissions: ['notifications'] },
);

story(
  'the same in Chinese',
  async (page) => {
    await also(page, /分頁關掉時也提醒我/).click();
    await page.locator('[data-why="push-no-service"]').waitFor();
    assert.match(await page.locator('[data-why]').textContent(), /連不到推送服務/);
  },
  { permissions: ['notifications'], locale: 'zh-TW' },
);

story('who has forbidden it is told where to allow it', async (page) => {
  await page.evaluate(() => {
    Notification.requestPermission = async () => 'denied';
  });
  await also(page).click();
  await page.locator('[data-why="push-denied"]').waitFor();
  assert.match(await page.locator('[data-why]').textContent(), /blocked/);
});

story(
  'a push to a closed page is shown, once for each event',
  async (page, context) => {
    const push = await worker(page, context);
    // The page of the document is closed; this one is another.
    await page.goto('/demo/prices');
    const event = await publish('The tide turns');
    await push(event);
    await push(event);
    const [first] = await until('a notification', async () => {
      const all = await shown(page);
      return all.length > 0 && all;
    });
    assert.deepEqual(first, {
      title: 'Reminder from Ada',
      body: 'The tide turns',
      tag: event.id,
      lang: 'en',
    });
    await push({ id: 'e-2', topic: TOPIC, truncated: true });
    await until('a second notification', async () => (await shown(page)).length === 2);
    const bodies = (await shown(page)).map(({ body }) => body);
    assert.ok(bodies.includes('Open the document to read it.'), `${bodies}`);
    await push('not JSON');
    await until('a third notification', async () => (await shown(page)).length === 3);
  },
  { permissions: ['notifications'] },
);

story(
  'a notification speaks Chinese where the page did',
  async (page, context) => {
    const push = await worker(page, context, 'zh');
    await page.goto('/demo/prices');
    await push(await publish('潮水'));
    const [one] = await until('a notification', async () => {
      const all = await shown(page);
      return all.length > 0 && all;
    });
    assert.deepEqual([one.title, one.lang], ['Ada 的提醒', 'zh-Hant']);
  },
  { permissions: ['notifications'] },
);

story(
  'who looks at the page is told by the page alone',
  async (page, context) => {
    const push = await worker(page, context);
    const seen = await publish('Seen here');
    await page.locator('[data-notice]', { hasText: 'Seen here' }).waitFor();
    await push(seen);
    // What the page does not have is shown although somebody looks: this one was never published.
    await push({ id: 'e-9', topic: TOPIC, data: told('Not here') });
    await until('the other notification', async () => (await shown(page)).length > 0);
    assert.deepEqual(
      (await shown(page)).map(({ body }) => body),
      ['Not here'],
    );
  },
  { permissions: ['notifications'] },
);

story(
  'a click leads to the place of the event',
  async (page, context) => {
    const push = await worker(page, context);
    const event = await publish('Look here');
    await page.locator('[data-notice]', { hasText: 'Look here' }).waitFor();
    await push({ ...event, id: 'e-7' });
    await until('the worker has run', async () => (await shown(page)).length === 1);
    const [sw] = context.serviceWorkers();
    // As the system does it, but without a hand on a mouse, which a browser wants to see before it
    // puts a window in front: so what is asked of it is written down instead.
    const click = (id) =>
      sw.evaluate(async (id) => {
        const done = [];
        WindowClient.prototype.focus = async function () {
          done.push(`focus ${new URL(this.url).pathname}`);
        };
        self.clients.openWindow = async (url) => void done.push(`open ${url}`);
        await self.registration.showNotification('x', { tag: 'x', data: { id } });
        const [notification] = await self.registration.getNotifications({ tag: 'x' });
        const event = new NotificationEvent('notificationclick', { notification });
        let finished;
        event.waitUntil = (promise) => (finished = promise);
        self.dispatchEvent(event);
        await finished;
        done.push(`left ${(await self.registration.getNotifications({ tag: 'x' })).length}`);
        return done;
      }, id);
    assert.deepEqual(await click(event.id), ['focus /demo/document', 'left 0']);
    await page.locator('li[aria-current="true"]', { hasText: 'Look here' }).waitFor();
    await page.goto('/demo/prices');
    assert.deepEqual(await click(event.id), [`open ${PAGE}#notice-${event.id}`, 'left 0']);
    await page.goto(`${PAGE}#notice-${event.id}`);
    await page.locator('li[aria-current="true"]', { hasText: 'Look here' }).waitFor();
  },
  { permissions: ['notifications'] },
);

test('a browser that never finds its push service is not waited for', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidings-profile-'));
  // A window that is not private: without the Internet it looks for its push service for ever.
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: process.env.WEB_CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
    baseURL: server.url,
  });
  try {
    await context.grantPermissions(['notifications'], { origin: server.url });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.goto(PAGE);
    await also(page).click();
    const outcome = page.locator('[data-closed="on"], [data-why="push-no-service"]');
    await outcome.first().waitFor();
  } finally {
    await context.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
