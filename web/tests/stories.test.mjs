// Each page's story, end to end: the real program, a real browser, and what a visitor would see.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PATIENCE_MS } from './harness.mjs';
import { figure, world } from './world.mjs';

const { server, visit } = await world();

/** Opens a page, runs the story, and fails for whatever went wrong in the browser. */
function story(name, path, run, options) {
  test(name, { timeout: 4 * PATIENCE_MS }, () =>
    visit(options, async (page, context) => {
      await page.goto(path);
      await run(page, context);
    }),
  );
}

/** Waits until a figure shows what is wanted. */
async function until(page, id, wanted) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await figure(page, id);
    if (wanted(value)) return value;
    assert.ok(Date.now() < end, `${id} stays at ${value}`);
    await page.waitForTimeout(100);
  }
}

const ask = (page) => page.getByRole('button', { name: 'How can an answer survive' }).click();
const condition = (page, is) => page.locator(`[data-condition="${is}"]`).waitFor();

story('an answer goes on at the next word after a cut', '/demo/chat', async (page) => {
  await ask(page);
  await until(page, 'pieces', (pieces) => pieces > 20);
  await page
    .getByRole('button', { name: /Cut the network/ })
    .first()
    .click();
  await condition(page, 'cut');
  const held = await figure(page, 'pieces');
  const replayed = await until(page, 'replayed', (pieces) => pieces > 0);
  await page.locator('[data-verdict]').waitFor();
  assert.match(await page.locator('[data-verdict]').textContent(), /identical/);
  assert.equal(await figure(page, 'lost'), 0);
  assert.equal(await figure(page, 'twice'), 0);
  assert.ok((await figure(page, 'pieces')) >= held + replayed);
  assert.ok((await page.locator('[data-resumed]').count()) > 0, 'where it went on is marked');
});

story(
  'an answer outlives a reload, and a second tab reads along',
  '/demo/chat',
  async (page, context) => {
    await ask(page);
    await until(page, 'pieces', (pieces) => pieces > 20);
    await page.reload();
    await until(page, 'replayed', (pieces) => pieces > 20);
    const second = await context.newPage();
    await second.goto('/demo/chat');
    for (const tab of [page, second]) {
      await tab.locator('[data-verdict]').waitFor({ timeout: PATIENCE_MS });
      assert.match(await tab.locator('[data-verdict]').textContent(), /identical/);
    }
    const text = (tab) => tab.locator('.prose').innerText();
    assert.equal(await text(page), await text(second));
  },
);

story('stopping ends the answer for everybody', '/demo/chat', async (page, context) => {
  // Before the answer begins: what a page needs is there then, and the answer is not over.
  const second = await context.newPage();
  await second.goto('/demo/rooms');
  await ask(page);
  await until(page, 'pieces', (pieces) => pieces > 10);
  await second.goto('/demo/chat');
  await second.locator('.prose').waitFor();
  await page.getByRole('button', { name: 'Stop generating' }).first().click();
  for (const tab of [page, second]) {
    await tab.locator('[data-phase="cancelled"]').waitFor({ timeout: PATIENCE_MS });
  }
});

story(
  'a crash of the server ends an answer with an error, never half',
  '/demo/chat',
  async (page) => {
    await ask(page);
    await until(page, 'pieces', (pieces) => pieces > 10);
    await server.kill();
    await condition(page, 'waiting');
    await server.start();
    await page.locator('[data-phase="error"]').waitFor();
  },
);

story('200 tokens a second do not stutter', '/demo/chat', async (page) => {
  await page.getByText('200 tokens/s').click();
  await page.evaluate(() => {
    window.frames_ = { count: 0, worst: 0, last: performance.now() };
    requestAnimationFrame(function step(now) {
      const { frames_: frames } = window;
      frames.worst = Math.max(frames.worst, now - frames.last);
      frames.last = now;
      frames.count += 1;
      requestAnimationFrame(step);
    });
  });
  await ask(page);
  await page.locator('[data-verdict]').waitFor();
  const frames = await page.evaluate(() => window.frames_);
  console.log(`    ${frames.count} frames, the longest ${frames.worst.toFixed(0)} ms`);
  assert.match(await page.locator('[data-verdict]').textContent(), /identical/);
});

story('rooms: written in the tunnel, nothing lost, nothing twice', '/demo/rooms', async (page) => {
  const box = page.getByRole('textbox');
  await condition(page, 'live');
  await box.fill('written with a network');
  await box.press('Enter');
  await page.locator('[data-message="kept"]', { hasText: 'written with a network' }).waitFor();
  await page
    .getByRole('button', { name: /Cut the network/ })
    .first()
    .click();
  await box.fill('written without a network');
  await box.press('Enter');
  await page
    .locator('[data-message="pending"]', { hasText: 'written without a network' })
    .waitFor();
  await page.locator('[data-message="kept"]', { hasText: 'written without a network' }).waitFor();
  await until(page, 'replayed', (count) => count > 0);
  assert.equal(await page.locator('article', { hasText: 'written without a network' }).count(), 1);
  assert.equal(await figure(page, 'lost'), 0);
  assert.equal(await figure(page, 'twice'), 0);
});

story(
  'rooms: a server that is killed and comes back loses nothing',
  '/demo/rooms',
  async (page) => {
    await condition(page, 'live');
    await until(page, 'received', (count) => count > 2);
    await server.kill();
    await condition(page, 'waiting');
    await server.start();
    await condition(page, 'live');
    const had = await figure(page, 'received');
    await until(page, 'received', (count) => count > had + 2);
    assert.equal(await figure(page, 'lost'), 0);
    assert.equal(await figure(page, 'twice'), 0);
  },
);

story(
  'rooms: two tabs are two people, and see each other type',
  '/demo/rooms',
  async (page, context) => {
    await page.getByRole('switch').click();
    const second = await context.newPage();
    await second.goto('/demo/rooms');
    await second.getByRole('switch').click();
    await condition(second, 'live');
    await second.getByRole('textbox').pressSequentially('Good morning');
    await page.getByText('is typing').waitFor();
    await second.keyboard.press('Enter');
    await page.locator('[data-message="kept"]', { hasText: 'Good morning' }).waitFor();
  },
);

story('rooms: history is read while scrolling, few of it is drawn', '/demo/rooms', async (page) => {
  await page.getByRole('switch').click();
  await page.getByRole('button', { name: 'night shift' }).click();
  await page.getByRole('button', { name: /Add 2,000/ }).click();
  await until(page, 'received', (count) => count >= 2_000);
  await page.reload();
  await page.getByRole('button', { name: 'night shift' }).click();
  const list = page.getByRole('log');
  const first = async () => {
    const text = await list.locator('article').first().textContent();
    return Number(/\((\d+)\)/.exec(text ?? '')?.[1] ?? Infinity);
  };
  await list.locator('article').first().waitFor();
  const end = Date.now() + PATIENCE_MS;
  for (let at = await first(); !(at < 1_700); at = await first()) {
    assert.ok(Date.now() < end, `stays at message ${at}`);
    await list.hover();
    await page.mouse.wheel(0, -1_500);
    await page.waitForTimeout(60);
  }
  assert.ok((await list.locator('article').count()) < 60, 'only what is in sight is drawn');
});

story(
  'document: a second reader sees it, a reminder waits',
  '/demo/document',
  async (page, context) => {
    await page.getByRole('switch', { name: /colleague/ }).click();
    const text = page.getByRole('textbox', { name: 'The shared text' });
    await text.fill('# Tides\n');
    await text.press('End');
    const second = await context.newPage();
    await second.goto('/demo/document');
    await second.getByRole('switch', { name: /colleague/ }).click();
    const other = second.getByRole('textbox', { name: 'The shared text' });
    await second.waitForFunction(() =>
      document.querySelector('textarea')?.value.includes('# Tides'),
    );
    await other.press('Control+End');
    await other.pressSequentially('written elsewhere');
    await page.waitForFunction(() =>
      document.querySelector('textarea')?.value.includes('written elsewhere'),
    );
    await page.locator('[data-notice="edit"]').first().waitFor();
    await page.getByRole('button', { name: 'Set the reminder' }).click();
    await page.getByRole('button', { name: /Step away/ }).click();
    await condition(page, 'cut');
    await page.locator('[data-digest]').waitFor();
    await page.locator('[data-notice="reminder"]', { hasText: 'while you were away' }).waitFor();
  },
);

story(
  'prices: a slow tab is late without conflation, and not with it',
  '/demo/prices',
  async (page) => {
    const rate = page.getByRole('slider').nth(0);
  const limit = page.getByRole('slider').nth(1);
    await until(page, 'read', (read) => read > 50);
    await rate.fill('4');
    await until(page, 'source', (source) => source > 600);
    await limit.fill('3');
    await until(page, 'spared', (spared) => spared > 300);
    const fresh = await age(page);
    await page.getByRole('switch').click();
    const end = Date.now() + PATIENCE_MS;
    while ((await age(page)) < 4_000) {
      assert.ok(Date.now() < end, 'it is never late');
      await page.waitForTimeout(200);
    }
    assert.ok(fresh < 4_000, `${fresh} ms`);
    console.log(`    frames per second: ${await figure(page, 'frames')}`);
  },
);

/** The age of a price that is shown, in milliseconds. */
async function age(page) {
  const shown = await page.locator('dd:has([data-figure="age"])').textContent();
  return Number(/[\d.,]+/.exec(shown)[0].replace(',', '')) * (/ms/.test(shown) ? 1 : 1_000);
}

story(
  'SSE and WebSocket: the same comes over both, also after a cut',
  '/demo/compare',
  async (page) => {
    await until(page, 'sse-messages', (count) => count > 25);
    await until(page, 'ws-messages', (count) => count > 25);
    await page.getByRole('button', { name: /Cut both/ }).click();
    await condition(page, 'cut');
    await until(page, 'sse-live', (ms) => ms > 0);
    await until(page, 'ws-live', (ms) => ms > 0);
    for (const lane of ['sse', 'ws']) {
      assert.equal(await figure(page, `${lane}-lost`), 0);
      assert.equal(await figure(page, `${lane}-twice`), 0);
    }
    const claim = page.locator('[data-claim="H8"]');
    assert.match(await claim.textContent(), /measured here/);
    // Without resuming both lose what was said during the cut.
    await page.getByRole('switch').click();
    await page.getByRole('button', { name: /Cut both/ }).click();
    for (const lane of ['sse', 'ws']) await until(page, `${lane}-lost`, (lost) => lost > 10);
  },
);

story(
  'the first screen: a reader who is cut off falls behind, and catches up',
  '/',
  async (page) => {
    await page.getByRole('button', { name: 'Cut off: Train' }).click();
    await page.getByText(/[3-9] behind/).waitFor();
    await page.getByRole('button', { name: 'Connect: Train' }).click();
    await page.waitForFunction(
      () => (document.body.innerText.match(/up to date/g) ?? []).length === 3,
    );
  },
);
