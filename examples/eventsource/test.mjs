// The page as it is, opened from the disk; its address leads to the test's server.

import assert from 'node:assert/strict';
import { Stage, folder, shows } from '../harness.mjs';

const file = `file://${folder}eventsource/index.html`;

/** A browser in which the address that the page names is the stage's. */
async function browserAt(tools, stage) {
  const place = stage.url.replace('http://', '');
  return tools.launch([`--host-resolver-rules=MAP localhost:8080 ${place}`]);
}

export default {
  async 'nothing is lost and nothing comes twice'(tools) {
    const stage = await Stage.set(tools);
    await stage.tidings.publish('news', 'before');
    const page = await (await browserAt(tools, stage)).newPage();
    await page.goto(file);
    await shows(page, 'li', ['before']);
    await stage.tidings.publish('news', 'one');
    await shows(page, 'li', ['before', 'one']);

    await stage.whileCut(() => stage.tidings.publish('news', 'two'));
    await shows(page, 'li', ['before', 'one', 'two']);

    await stage.tidings.crashAndRestart();
    await stage.tidings.publish('news', 'three');
    await shows(page, 'li', ['before', 'one', 'two', 'three']);
    // It says itself where it was.
    assert.equal(stage.requests[0].lastEventId, undefined);
    assert.ok(stage.requests.slice(1).every(({ lastEventId }) => lastEventId));
  },

  async 'after an answer of 502 it never comes back'(tools) {
    const stage = await Stage.set(tools);
    const page = await (await browserAt(tools, stage)).newPage();
    await page.goto(file);
    await stage.tidings.publish('news', 'one');
    await shows(page, 'li', ['one']);
    await stage.cut();
    stage.refusing = 502;
    await stage.mend();
    await page.waitForFunction('source.readyState === EventSource.CLOSED');
    stage.refusing = 0;
    // A reload is what helps: with `last=5` it shows what there was.
    await page.reload();
    await shows(page, 'li', ['one']);
  },

  async 'a page of a listed origin may send its cookies along'(tools) {
    const stage = await Stage.set(tools);
    const other = await Stage.set(tools, '--cors-origins', stage.url);
    await other.tidings.publish('news', 'one');
    const page = await (await tools.launch()).newPage();
    await page.goto(`${stage.url}/eventsource/`);
    const data = await page.evaluate(
      (url) =>
        new Promise((resolve) => {
          const source = new EventSource(url, { withCredentials: true });
          source.onmessage = (event) => resolve(event.data);
          source.onerror = () => resolve('refused');
        }),
      `${other.url}/topics/news?last=1`,
    );
    assert.equal(data, 'one');
  },
};
