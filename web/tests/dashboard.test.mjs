// The dashboard's stories, end to end: the real program, a real browser, and what an operator does.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { ask, follow, publish } from './dashboard.mjs';
import { PATIENCE_MS } from './harness.mjs';
import { figure, until, world } from './world.mjs';

const { server, visit } = await world();

/** Opens a page, runs the story, and fails for whatever went wrong in the browser. */
function story(name, place, run, options = {}) {
  test(name, { timeout: 4 * PATIENCE_MS }, () =>
    visit({ locale: 'en-US', ...options }, async (page, context) => {
      await options.before?.(context);
      await page.goto(`/_/${place}`);
      await run(page, context);
    }),
  );
}

const condition = (page, is) => page.locator(`[data-condition="${is}"]:visible`).waitFor();
const button = (page, name) => page.getByRole('button', { name, exact: true });

story('overview: figures come by themselves, and count who is there', '', async (page) => {
  await condition(page, 'live');
  await until('the page itself counts', async () => (await figure(page, 'connections')) >= 1);
  const before = await figure(page, 'connections');
  const readers = [];
  for (let n = 0; n < 3; n += 1) readers.push(await follow(server, 'overview/a'));
  await until('three more', async () => (await figure(page, 'connections')) >= before + 3);
  await publish(server, 'overview/a', 30);
  await until('events are counted', async () => (await figure(page, 'events-in')) > 0);
  assert.equal(await page.locator('section[aria-label="Charts"] [role=img]').count(), 6);
  for (const reader of readers) reader.leave();
});

story('a restart of the server is said, and over when it is over', '', async (page) => {
  await condition(page, 'live');
  await until('figures', async () => (await page.locator('h1 + p').textContent()).includes('up for'));
  await server.kill();
  await condition(page, 'waiting');
  await page.getByRole('link', { name: /^Connections/ }).click();
  await page.locator('[data-failure="network"]').waitFor();
  await server.start();
  await condition(page, 'live');
  await page.locator('[data-failure]').waitFor({ state: 'detached' });
  await page.locator('[data-connection]').first().waitFor();
  await page.getByRole('link', { name: /^Overview/ }).click();
  await page.getByText(/up for \d+ s/).waitFor();
});

story('topics: found among thousands, few of which are drawn', '#/topics', async (page) => {
  for (let from = 0; from < 2_400; from += 800) {
    const events = Array.from({ length: 800 }, (_, n) => ({
      topic: `many/${String(from + n).padStart(5, '0')}`,
      data: 'x',
    }));
    const body = JSON.stringify({ events });
    const headers = { 'content-type': 'application/json' };
    const { status } = await fetch(`${server.url}/publish`, { method: 'POST', body, headers });
    assert.equal(status, 200);
  }
  await page.reload();
  const table = page.getByRole('table');
  await table.getByRole('link').first().waitFor();
  assert.ok((await table.getByRole('row').count()) < 60, 'only what is in sight is drawn');
  await page.getByRole('searchbox').fill('MANY/02399');
  await table.getByRole('link', { name: 'many/02399' }).click();
  await page.locator('h1', { hasText: 'many/02399' }).waitFor();
  await page.goBack();
  // The next pages come while one scrolls.
  const rows = async () => Number(await table.getAttribute('aria-rowcount'));
  await until('it reads on', async () => {
    await table.evaluate((element) => element.scrollTo(0, element.scrollHeight));
    return (await rows()) > 2_400;
  });
});

story('topic: what is published here is read here', '#/topics/story%2Fone', async (page) => {
  await page.getByText('has had no event yet').waitFor();
  await page.getByRole('tab', { name: 'Publish' }).click();
  await page.getByLabel('Data').fill('first words');
  await page.getByLabel('Type').fill('said');
  await button(page, 'Publish').click();
  await page.locator('[data-receipt]').waitFor();
  await page.getByRole('tab', { name: 'Events' }).click();
  const events = page.locator('[data-event]');
  await events.filter({ hasText: 'first words' }).waitFor();
  assert.match(await events.first().textContent(), /said/);
  await publish(server, 'story/one', 5);
  await events.filter({ hasText: 'says 5' }).waitFor();
  assert.match(await events.first().textContent(), /says 5/, 'the newest is first');
  await button(page, 'Pause').click();
  await publish(server, 'story/one', 3);
  await page.locator('[data-held="3"]').waitFor();
  assert.equal(await events.count(), 6);
  await button(page, 'Go on').click();
  await until('what was held', async () => (await events.count()) === 9);
  // Replays: from an id, from a time, from the end.
  const id = await events.nth(2).getAttribute('data-event');
  await page.getByText('After id').click();
  await page.getByRole('textbox', { name: 'Event id' }).fill(id);
  await button(page, 'Read').click();
  await until('what is after the id', async () => (await events.count()) === 2);
  await page.getByText('Since', { exact: true }).click();
  await until('since five minutes', async () => (await events.count()) === 9);
  await page.getByText('Last', { exact: true }).click();
  await page.getByRole('textbox', { name: 'Number of events' }).fill('4');
  await button(page, 'Read').click();
  await until('the last four', async () => (await events.count()) === 4);
  await events.first().getByRole('button').first().click();
  await page.getByRole('region', { name: 'The whole event' }).waitFor();
});

story('topic: a refused beginning says so, and the page lives on', '#/topics/story%2Ftwo', async (page) => {
  await condition(page, 'live');
  // It moves what is below it when it comes.
  await page.getByText('has had no event yet').waitFor();
  await page.getByText('Since', { exact: true }).click();
  await page.getByRole('textbox', { name: /How long ago/ }).fill('yesterday');
  await button(page, 'Read').click();
  await page.locator('[data-failure]').waitFor();
  await condition(page, 'live');
  await page.getByText('Oldest', { exact: true }).last().click();
  await publish(server, 'story/two');
  await page.locator('[data-event]').filter({ hasText: 'says 1' }).waitFor();
});

story('topic: its policy is changed, and kept', '#/topics/story%2Fpolicy', async (page) => {
  await publish(server, 'story/policy', 2);
  await page.getByRole('tab', { name: 'Policy' }).click();
  await page.getByText('As the configuration says').waitFor();
  await page.getByRole('radio', { name: /synced/ }).check();
  await page.getByLabel('Events', { exact: true }).fill('many');
  await page.getByText('is not a number').waitFor();
  assert.ok(await button(page, 'Save the policy').isDisabled());
  await page.getByLabel('Events', { exact: true }).fill('500');
  await page.getByLabel('Time', { exact: true }).fill('1d12h');
  await page.getByLabel('Bytes', { exact: true }).fill('2MB');
  await button(page, 'Save the policy').click();
  await page.getByText('Saved.').waitFor();
  const answer = await fetch(`${server.url}/topics?name=story/policy`);
  const [topic] = (await answer.json()).topics;
  assert.equal(topic.own_policy, true);
  assert.equal(topic.policy.durability, 'synced');
  assert.deepEqual(topic.policy.retain, { count: 500, age_ms: 129_600_000, bytes: 2_000_000 });
  await button(page, 'Remove').click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove the topic' }).click();
  await page.getByText('has had no event yet').waitFor();
});

story('topic: its readers, and the way to each of them', '#/topics/story%2Fread', async (page) => {
  await publish(server, 'story/read');
  const reader = await follow(server, 'story/read');
  await page.getByRole('tab', { name: 'Readers' }).click();
  await page.locator(`[data-connection="${reader.name}"]`).waitFor();
  reader.leave();
  await page.locator(`[data-connection="${reader.name}"]`).waitFor({ state: 'detached' });
});

story('connections: searched, sorted, closed after a question', '#/connections', async (page) => {
  const [one, other] = [await follow(server, 'who/is/this'), await follow(server, 'who/else')];
  await page.locator(`[data-connection="${one.name}"]`).waitFor();
  await page.getByRole('searchbox').fill('who/is');
  await page.locator(`[data-connection="${other.name}"]`).waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Lag' }).click();
  await page.getByRole('columnheader', { name: 'Lag' }).waitFor();
  assert.equal(
    await page.getByRole('columnheader', { name: 'Lag' }).getAttribute('aria-sort'),
    'descending',
  );
  const close = page.getByRole('button', { name: `Disconnect: ${one.name}` });
  await close.click();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await close.click();
  await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
  assert.equal(await one.done, 'closed');
  await page.getByText('No connection is like this').waitFor();
  other.leave();
});

story('generations: seen while it runs, read with its token, and stopped', '#/generations', async (page) => {
  await page.getByText('Nothing generated yet').waitFor();
  const link = await ask(server);
  const row = page.locator('[data-answer="streaming"]').first();
  await row.waitFor();
  await row.getByRole('button', { name: 'Read', exact: true }).click();
  await row.getByRole('textbox').fill(link);
  await page.keyboard.press('Enter');
  const text = row.getByRole('region', { name: 'Text so far' });
  await until('words', async () => (await text.innerText()).length > 40);
  await row.getByRole('button', { name: 'Stop', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Stop it' }).click();
  await page.locator('[data-answer="stopped"]').waitFor();
});

story('trace: what happens, when it happens', '#/trace', async (page) => {
  await page.getByRole('textbox').fill('traced/*');
  await page.keyboard.press('Enter');
  await page.getByText('Tracing traced/*').waitFor();
  const records = (type) => page.locator(`[data-record="${type}"]`);
  await until('a record', async () => {
    await publish(server, 'traced/a');
    return (await records('published').count()) > 0;
  });
  assert.match(await records('published').first().textContent(), /traced\/a/);
  const reader = await follow(server, 'traced/a');
  await records('subscribed').first().waitFor();
  reader.leave();
  await records('unsubscribed').first().waitFor();
  await page.reload();
  await records('subscribed').first().waitFor();
  await button(page, 'Pause').click();
  const held = await records('published').count();
  await publish(server, 'traced/b', 2);
  await page.locator('[data-held="2"]').waitFor();
  assert.equal(await records('published').count(), held);
  await button(page, 'Go on').click();
  await records('published').filter({ hasText: 'traced/b' }).first().waitFor();
  await page.getByRole('group', { name: 'Kinds shown' }).getByText('published').click();
  await records('published').first().waitFor({ state: 'detached' });
  await button(page, 'Clear').click();
  await page.getByText('Nothing has happened yet').waitFor();
  await button(page, 'End').click();
  await page.getByText('Follow what happens').waitFor();
});

story('configuration: values with their source', '#/configuration', async (page) => {
  const listen = page.locator('[data-setting="server.listen"]');
  await listen.waitFor();
  assert.match(await listen.textContent(), /127\.0\.0\.1.*flag.*--listen/s);
  const settings = page.locator('[data-setting]');
  const all = await settings.count();
  await page.getByText(/^Changed/).click();
  await until('fewer', async () => (await settings.count()) < all);
  await page.getByText('All', { exact: true }).click();
  await page.getByRole('searchbox').fill('heartbeat');
  await until('some', async () => (await settings.count()) < all);
  await page.locator('[data-setting="server.heartbeat"]').waitFor();
});

story(
  'copy as curl: a terminal gets the same answer',
  '#/topics',
  async (page) => {
    await publish(server, 'curl/it’s', 1);
    const copied = async () => {
      await page.locator('[data-curl]').first().click();
      const read = () => page.evaluate(() => navigator.clipboard.readText());
      await until('it is copied', async () => (await read()).startsWith('curl '));
      return read();
    };
    const list = await copied();
    assert.match(list, /^curl /);
    assert.match(execFileSync('sh', ['-c', `${list} -s`], { encoding: 'utf8' }), /"topics":\[/);
    await page.goto('/_/#/topics/curl%2Fit%E2%80%99s');
    await page.getByRole('tab', { name: 'Publish' }).click();
    await page.getByLabel('Data').fill(`it's "quoted" $HOME \`no\` \\n`);
    const line = await page.locator('form [data-curl][title*="quoted"]').getAttribute('title');
    execFileSync('sh', ['-c', `${line} -s`]);
    await page.getByRole('tab', { name: 'Events' }).click();
    await page.locator('[data-event]').filter({ hasText: `it's "quoted" $HOME \`no\` \\n` }).waitFor();
  },
  { permissions: ['clipboard-read', 'clipboard-write'] },
);

/** Refuses whoever has not the token, as a server with access control does. */
const guarded = async (context) => {
  await context.route(
    (url) => !url.pathname.startsWith('/_/'),
    (route) =>
      route.request().headers()['authorization'] === 'Bearer let-me-in'
        ? route.fallback()
        : route.fulfill({
            status: 401,
            contentType: 'application/problem+json',
            body: JSON.stringify({ code: 'unauthorized', status: 401, detail: 'who are you?' }),
          }),
  );
};

story(
  'sign in: a token opens it, is never shown, and is forgotten',
  '#/connections',
  async (page) => {
    const addresses = [];
    page.on('request', (request) => addresses.push(request.url()));
    await page.getByRole('heading', { name: 'Sign in as the operator' }).waitFor();
    await page.getByText('who are you?').waitFor();
    await button(page, 'Sign in').click();
    await page.locator('[data-fault="empty"]').waitFor();
    await page.getByLabel('Token').fill('wrong');
    await page.keyboard.press('Enter');
    await page.locator('[data-fault="refused"]').waitFor();
    await page.getByLabel('Token').fill('let-me-in');
    await page.keyboard.press('Enter');
    await condition(page, 'live');
    await page.locator('[data-connection]').first().waitFor();
    assert.match(page.url(), /#\/connections$/, 'it is where it was to be');
    const line = await page.locator('[data-curl]').first().getAttribute('title');
    assert.match(line, /Bearer \$TIDINGS_TOKEN/);
    assert.ok(!(await page.content()).includes('let-me-in'));
    assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes('let-me')), false);
    await page.reload();
    await condition(page, 'live');
    await button(page, 'Sign out').click();
    await page.getByRole('heading', { name: 'Sign in as the operator' }).waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.getItem('tidings-operator')), null);
    assert.ok(!addresses.some((address) => address.includes('let-me-in')));
  },
  { before: guarded },
);

story('a refused change is no reason to sign in', '#/topics/%24tidings%2Foverview', async (page) => {
  await page.locator('[data-event]').first().waitFor();
  const status = await page.evaluate(async () => {
    const response = await fetch('/topics/$tidings/overview', { method: 'POST', body: 'x' });
    return response.status;
  });
  assert.equal(status, 403);
  assert.equal(await page.getByRole('tab', { name: 'Publish' }).count(), 0);
});
