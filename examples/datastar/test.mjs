// Datastar's `@get`, with fragments and signals.

import assert from 'node:assert/strict';
import { Stage, shows } from '../harness.mjs';

const FRAGMENT = '?type=datastar-merge-fragments';
const SIGNALS = '?type=datastar-merge-signals';
const order = (text) =>
  `selector #orders\nmergeMode append\nfragments <li>\nfragments   ${text}\nfragments </li>`;

async function open(tools) {
  const stage = await Stage.set(tools);
  const page = await (await tools.launch()).newPage();
  await page.goto(`${stage.url}/datastar/`);
  await stage.tidings.publish('shop', order('tea'), FRAGMENT);
  await shows(page, '#orders li', ['tea']);
  return { stage, page };
}

export default {
  async 'fragments and signals come, and what was missed in a cut'(tools) {
    const { stage, page } = await open(tools);
    const { tidings } = stage;
    await tidings.publish('shop', 'signals {visitors: 7}', SIGNALS);
    await shows(page, '#visitors', ['7']);

    await stage.whileCut(() => tidings.publish('shop', order('milk'), FRAGMENT));
    await shows(page, '#orders li', ['tea', 'milk']);
    await tidings.publish('shop', 'signals {visitors: 8}', SIGNALS);
    await shows(page, '#visitors', ['8']);
    assert.ok(stage.requests.slice(1).every(({ lastEventId }) => lastEventId));
  },

  async 'a stream that ends is over for it, and a reload shows what there was'(tools) {
    const { stage, page } = await open(tools);
    await page.evaluate(() => {
      window.finished = new Promise((resolve) => {
        document.addEventListener('datastar-sse', ({ detail }) => {
          if (detail.type === 'finished') resolve();
        });
      });
    });
    // The line holds: what the page is sent ends as if all had been said.
    await stage.tidings.crashAndRestart();
    await page.evaluate(() => window.finished);
    await stage.tidings.publish('shop', order('milk'), FRAGMENT);
    await shows(page, '#orders li', ['tea']);
    await page.reload();
    await shows(page, '#orders li', ['tea', 'milk']);
  },
};
