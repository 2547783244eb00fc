// The operator's way into the dashboard of a closed server: the real `tidings serve`, real tokens.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PATIENCE_MS } from './harness.mjs';
import { world } from './world.mjs';

const { server, visit } = await world({ config: 'anonymous = []\n' });

const operator = () => server.token({ sub: 'ops', tidings: { admin: ['**'] } });
const ada = () => server.token({ sub: 'ada', tidings: { subscribe: ['**'], publish: ['**'] } });
const bearer = (token) => ({ authorization: `Bearer ${token}` });
const button = (page, name) => page.getByRole('button', { name, exact: true });
const rowOf = (page, subject) =>
  page.getByRole('row').filter({ has: page.getByTitle(subject, { exact: true }) }).first();
const asked = (page) => page.getByRole('heading', { name: 'Sign in as the operator' }).waitFor();

/** Opens a page, runs the story, and fails for whatever went wrong in the browser. */
function story(name, place, run) {
  test(name, { timeout: 4 * PATIENCE_MS }, () =>
    visit({ locale: 'en-US' }, async (page) => {
      await page.goto(`/_/${place}`);
      await asked(page);
      await run(page);
    }),
  );
}

async function enter(page, token) {
  await page.getByLabel('Token').fill(token);
  await page.keyboard.press('Enter');
}

/** Follows a topic with a token; resolves when it is followed. */
async function follow(topic, token) {
  const left = new AbortController();
  const headers = { accept: 'text/event-stream', ...bearer(token) };
  const response = await fetch(`${server.url}/topics/${topic}`, { headers, signal: left.signal });
  assert.equal(response.status, 200);
  void response.text().catch(() => undefined);
  return { name: response.headers.get('tidings-connection').split('.')[0], leave: () => left.abort() };
}

const publish = (topic, token) =>
  fetch(`${server.url}/topics/${topic}`, { method: 'POST', headers: bearer(token), body: 'x' });

story('whoever is no operator is told what is missing', '', async (page) => {
  await page.getByText(/needs a token/).waitFor();
  const refused = async (token, fault, sentence) => {
    await enter(page, token);
    await page.locator(`[data-fault="${fault}"]`, { hasText: sentence }).waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.getItem('tidings-operator')), null);
    assert.equal(await page.locator('[data-figure]').count(), 0);
  };
  await refused(ada(), 'lacks', /needs the grant admin for \*\*/);
  const some = server.token({ sub: 'eve', tidings: { admin: ['chat/**'] } });
  await refused(some, 'lacks', /needs the grant admin for \*\*/);
  await refused(server.token({ sub: 'ops', exp: 1, tidings: { admin: ['**'] } }), 'refused', /expired/);
  const whole = operator();
  await refused(`${whole.slice(0, -4)}AAAA`, 'refused', /Is it whole/);
  // An unsigned token of the same claims, as libraries once took it.
  const none = Buffer.from('{"alg":"none"}').toString('base64url');
  await refused(`${none}.${whole.split('.')[1]}.`, 'refused', /Is it whole/);
});

story('an operator sees figures, connections with their subject, and a trace of one', '', async (page) => {
  const token = operator();
  await enter(page, token);
  await page.locator('[data-condition="live"]:visible').waitFor();
  await page.getByText(/up for \d+ s/).waitFor();

  const reader = await follow('chat/7', ada());
  await page.getByRole('link', { name: /^Connections/ }).click();
  const hers = page.locator(`[data-connection="${reader.name}"]`);
  await rowOf(page, 'ada').filter({ has: hers }).waitFor();
  await rowOf(page, 'ops').waitFor();
  await page.getByRole('searchbox').fill('ada');
  await rowOf(page, 'ops').waitFor({ state: 'detached' });
  await hers.waitFor();
  // Where there is no room for a column it is beside the address.
  await page.setViewportSize({ width: 390, height: 800 });
  await hers.getByText('ada', { exact: false }).and(page.locator(':visible')).waitFor();
  await page.setViewportSize({ width: 1_280, height: 800 });

  await page.getByRole('link', { name: /^Trace/ }).click();
  await page.getByText('Subject', { exact: true }).click();
  await page.getByRole('textbox', { name: 'Subject' }).fill('ada');
  await page.keyboard.press('Enter');
  await page.getByText('Tracing ada').waitFor();
  const records = page.locator('[data-record]');
  const end = Date.now() + PATIENCE_MS;
  while ((await records.count()) === 0) {
    assert.ok(Date.now() < end, 'never a record of ada');
    // Another subject does the same beside her, and is not in her trace.
    assert.equal((await publish('of/ops', token)).status, 403);
    const bob = server.token({ sub: 'bob', tidings: { publish: ['of/bob'] } });
    assert.equal((await publish('of/bob', bob)).status, 200);
    assert.equal((await publish('of/ada', ada())).status, 200);
    await page.waitForTimeout(100);
  }
  const ended = await follow('of/last', ada());
  await page.locator('[data-record="subscribed"]').first().waitFor();
  const text = (await records.allTextContents()).join('\n');
  assert.match(text, /of\/ada/);
  assert.doesNotMatch(text, /of\/bob|of\/ops/);
  await button(page, 'End').click();
  await page.getByText('Follow what happens').waitFor();
  // An operator's token need not read topics to list them.
  await page.getByRole('link', { name: /^Topics/ }).click();
  await page.getByRole('link', { name: 'of/ada' }).waitFor();
  reader.leave();
  ended.leave();
});

story('signing out forgets the token, and everything that it showed', '#/connections', async (page) => {
  const token = operator();
  await enter(page, token);
  await rowOf(page, 'ops').waitFor();
  await page.reload();
  await rowOf(page, 'ops').waitFor();
  const kept = () =>
    page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie]));
  assert.ok((await kept()).includes(token), 'it is known where it is kept');
  await button(page, 'Sign out').click();
  await asked(page);
  assert.ok(!(await kept()).includes(token));
  assert.equal(await page.locator('[data-connection]').count(), 0);
  assert.equal(await page.getByLabel('Token').inputValue(), '');
  await page.reload();
  await asked(page);
  const answers = [];
  page.on('response', (response) => answers.push(response.status()));
  await page.goto('/_/#/configuration');
  await page.reload();
  await asked(page);
  assert.ok(answers.includes(401), 'it is the server that refuses');
});
