// htmx 2 with its extension `sse`, and htmx 4 with its extension `hx-sse`.

import assert from 'node:assert/strict';
import { Stage, shows } from '../harness.mjs';

async function open(tools, name) {
  const stage = await Stage.set(tools);
  const page = await (await tools.launch()).newPage();
  await page.goto(`${stage.url}/htmx/${name}.html`);
  return { stage, page };
}

export default {
  async 'htmx 2 resumes after a cut'(tools) {
    const { stage, page } = await open(tools, 2);
    const { tidings } = stage;
    await tidings.publish('match', '<b>1:0</b>', '?type=score');
    await shows(page, '#score b', ['1:0']);
    await tidings.publish('match', '<li>Ada</li>', '?type=goal');
    await shows(page, '#goals li', ['Ada']);

    await stage.whileCut(() => tidings.publish('match', '<li>Grace</li>', '?type=goal'));
    await shows(page, '#goals li', ['Ada', 'Grace']);
    await tidings.crashAndRestart();
    await tidings.publish('match', '<li>Alan</li>', '?type=goal');
    await shows(page, '#goals li', ['Ada', 'Grace', 'Alan']);
    assert.ok(stage.requests.slice(1).every(({ lastEventId }) => lastEventId));
  },

  async 'htmx 2 begins anew after an answer of 502: it shows the newest score, and goals twice'(
    tools,
  ) {
    const { stage, page } = await open(tools, 2);
    const { tidings } = stage;
    await tidings.publish('match', '<li>Ada</li>', '?type=goal');
    await shows(page, '#goals li', ['Ada']);
    await stage.cut();
    stage.refusing = 502;
    const asked = stage.requests.length;
    await stage.mend();
    await stage.request(asked);
    await tidings.publish('match', '<b>1:0</b>', '?type=score');
    stage.refusing = 0;
    await shows(page, '#score b', ['1:0']);
    assert.equal(stage.requests.at(-1).lastEventId, undefined);
    await shows(page, '#goals li', ['Ada', 'Ada']);
  },

  async 'htmx 4 resumes after a cut, and after an answer of 502'(tools) {
    const { stage, page } = await open(tools, 4);
    const { tidings } = stage;
    await tidings.publish('goals', '<li>Ada</li>');
    await shows(page, '#goals li', ['Ada']);

    await stage.whileCut(() => tidings.publish('goals', '<li>Grace</li>'));
    await shows(page, '#goals li', ['Ada', 'Grace']);
    await tidings.crashAndRestart();
    await tidings.publish('goals', '<li>Alan</li>');
    await shows(page, '#goals li', ['Ada', 'Grace', 'Alan']);

    await stage.cut();
    stage.refusing = 502;
    const asked = stage.requests.length;
    await stage.mend();
    await stage.request(asked);
    await tidings.publish('goals', '<li>Emmy</li>');
    stage.refusing = 0;
    await shows(page, '#goals li', ['Ada', 'Grace', 'Alan', 'Emmy']);
    assert.ok(stage.requests.slice(1).every(({ lastEventId }) => lastEventId));
  },

  async 'htmx 4 lets the stream go while its tab is hidden, and resumes'(tools) {
    const { stage, page } = await open(tools, 4);
    await stage.tidings.publish('goals', '<li>Ada</li>');
    await shows(page, '#goals li', ['Ada']);
    const setHidden = (hidden) =>
      page.evaluate((value) => {
        Object.defineProperty(document, 'hidden', { value, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      }, hidden);
    await setHidden(true);
    await stage.tidings.publish('goals', '<li>Grace</li>');
    await setHidden(false);
    await shows(page, '#goals li', ['Ada', 'Grace']);
    assert.equal(stage.requests.length, 2);
  },
};
