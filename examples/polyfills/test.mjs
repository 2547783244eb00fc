// Three packages that stand in for the browser's EventSource.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Stage, shows, until } from '../harness.mjs';

/** Publishes with a reader there, with its line cut, and after a crash; it must see all, once. */
async function follow(stage, seen) {
  const { tidings } = stage;
  await tidings.publish('news', 'before');
  await seen(['before']);
  await tidings.publish('news', 'one');
  await seen(['before', 'one']);
  await stage.whileCut(() => tidings.publish('news', 'two'));
  await seen(['before', 'one', 'two']);
  await tidings.crashAndRestart();
  await tidings.publish('news', 'three');
  await seen(['before', 'one', 'two', 'three']);
}

async function open(tools, name) {
  const stage = await Stage.set(tools);
  const page = await (await tools.launch()).newPage();
  await page.goto(`${stage.url}/polyfills/${name}.html`);
  return { stage, page, seen: (texts) => shows(page, '#news li', texts) };
}

export default {
  async '@microsoft/fetch-event-source resumes, also after an answer of 502'(tools) {
    const { stage, seen } = await open(tools, 'fetch-event-source');
    await follow(stage, seen);
    await stage.cut();
    stage.refusing = 502;
    const asked = stage.requests.length;
    await stage.mend();
    await stage.request(asked);
    await stage.tidings.publish('news', 'four');
    stage.refusing = 0;
    await seen(['before', 'one', 'two', 'three', 'four']);
    assert.ok(stage.requests.slice(1).every(({ lastEventId }) => lastEventId));
  },

  async 'event-source-polyfill resumes, with the id in the query'(tools) {
    const { stage, seen } = await open(tools, 'event-source-polyfill');
    await follow(stage, seen);
    for (const { path, lastEventId } of stage.requests.slice(1)) {
      assert.match(path, /&lastEventId=./);
      assert.equal(lastEventId, undefined);
    }
  },

  async 'eventsource, in Node, resumes'(tools) {
    const stage = await Stage.set(tools);
    const program = fileURLToPath(new URL('node.mjs', import.meta.url));
    const stdio = ['ignore', 'pipe', 'inherit'];
    const child = spawn(process.execPath, [program, stage.url], { stdio });
    try {
      let said = '';
      child.stdout.on('data', (chunk) => (said += chunk));
      await follow(stage, async (texts) => {
        const wanted = texts.map((text) => `${text}\n`).join('');
        await until(`it says ${texts}`, () => said.length >= wanted.length);
        assert.equal(said, wanted);
      });
      assert.ok(stage.requests.slice(1).every(({ lastEventId }) => lastEventId));
    } finally {
      child.kill();
    }
  },
};
