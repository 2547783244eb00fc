// Twenty tabs of one browser, which has six connections to a server over HTTP/1.1 for all of them:
// tabs that nobody looks at give theirs up, and miss nothing by it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PATIENCE_MS, openContext } from './harness.mjs';
import { figure, until, world } from './world.mjs';

/** What browsers allow. */
const CONNECTIONS_MAX = 6;

const TABS = 20;
const SAID = 5;

const { server, browser } = await world();

/** Without a screen every tab counts as visible: here the page is told what it is. */
function hideable() {
  let hidden = false;
  Object.defineProperty(document, 'visibilityState', { get: () => (hidden ? 'hidden' : 'visible') });
  Object.defineProperty(document, 'hidden', { get: () => hidden });
  window.hide = (now) => {
    hidden = now;
    document.dispatchEvent(new Event('visibilitychange'));
  };
}

async function connections() {
  const { total } = await (await fetch(`${server.url}/connections`)).json();
  return total;
}

test('twenty tabs: one is looked at, and each has everything', { timeout: 180_000 }, async () => {
  const { context, faults } = await openContext(browser, server);
  await context.addInitScript(hideable);
  const tabs = [];
  let most = 0;
  const show = async (tab) => {
    for (const other of tabs) if (other !== tab) await other.evaluate(() => window.hide(true));
    await tab.evaluate(() => window.hide(false));
    await tab.locator('[data-condition="live"]').first().waitFor({ timeout: PATIENCE_MS });
    most = Math.max(most, await connections());
  };
  try {
    for (let at = 0; at < TABS; at += 1) {
      const tab = await context.newPage();
      tab.setDefaultTimeout(PATIENCE_MS);
      await tab.goto(at % 2 ? '/demo/rooms' : '/demo/document');
      tabs.push(tab);
      await show(tab);
      // The scripted company would keep two connections of its own.
      await tab.getByRole('switch').first().click();
    }
    const rooms = tabs.filter((_, at) => at % 2);
    const [writer, ...readers] = rooms;
    await show(writer);
    const box = writer.getByRole('textbox');
    for (let at = 1; at <= SAID; at += 1) {
      await box.fill(`to nineteen tabs, ${at}`);
      await box.press('Enter');
    }
    const said = (tab) => tab.locator('[data-message="kept"]', { hasText: 'to nineteen tabs' });
    await until('the writer sees what he wrote', async () => (await said(writer).count()) === SAID);
    for (const tab of readers) assert.equal(await said(tab).count(), 0, 'a hidden tab is paused');
    for (const tab of readers) {
      await show(tab);
      await until('a tab that is shown has it all', async () => (await said(tab).count()) === SAID);
      assert.equal(await figure(tab, 'lost'), 0);
      assert.equal(await figure(tab, 'twice'), 0);
    }
    // One browser, one text: the last document tab has what the first one types.
    const documents = tabs.filter((_, at) => at % 2 === 0);
    await show(documents[0]);
    const text = (tab) => tab.getByRole('textbox', { name: 'The shared text' });
    await text(documents[0]).fill('# written in the first of twenty tabs');
    await until('it is sent', async () => {
      const page = await fetch(`${server.url}/topics/demo%2Fdocument%2Fupdates?last=1&poll=0`);
      return page.ok && (await page.text()).length > 2;
    });
    await show(documents.at(-1));
    await until('the last tab has it', async () =>
      (await text(documents.at(-1)).inputValue()).includes('the first of twenty tabs'),
    );
    console.log(`    ${TABS} tabs, at most ${most} connections`);
    assert.ok(most <= CONNECTIONS_MAX, `${most} connections`);
    assert.deepEqual(faults, []);
  } finally {
    await context.close();
  }
});
