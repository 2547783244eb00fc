// `useChat` with its own transport, on the relay's /api/chat and its scripted answers.

import assert from 'node:assert/strict';
import { Stage, until } from '../harness.mjs';

const QUESTION = 'How do I get to the sea?';

/** Opens the chat in a tab of its own and asks. */
async function ask(tools, stage) {
  const page = await (await tools.launch()).newPage();
  await page.goto(`${stage.url}/usechat/`);
  await page.locator('input:enabled').fill(QUESTION);
  await page.keyboard.press('Enter');
  return page;
}

const texts = (page, role) => page.locator(`p.${role}`).allTextContents();
const answer = async (page) => (await texts(page, 'assistant')).join('\n');
const begun = (page) => until('the answer runs', async () => (await answer(page)).length > 20);
const says = (page, status) => page.locator('output', { hasText: status }).waitFor();

async function finished(page) {
  await says(page, 'ready');
  assert.deepEqual(await texts(page, 'user'), [QUESTION]);
  return answer(page);
}

const questions = (stage) => stage.requests.filter(({ path }) => path === '/api/chat').length;

export default {
  async 'a reload in mid-answer goes on with the same answer'(tools) {
    const stage = await Stage.set(tools);
    const other = await ask(tools, stage);
    const page = await ask(tools, stage);
    await begun(page);
    await page.reload();
    await begun(page);
    const text = await finished(page);
    // Word for word what a page sees that stayed.
    assert.equal(text, await finished(other));
    assert.match(text, /scripted answer/);
    assert.equal(questions(stage), 2);

    // Nothing runs any more, and what is over stays.
    await page.reload();
    assert.equal(await finished(page), text);
  },

  async 'a cut in mid-answer is shown, and a reload goes on'(tools) {
    const stage = await Stage.set(tools);
    const page = await ask(tools, stage);
    await begun(page);
    await stage.cut();
    await says(page, /network|fetch/i);
    await stage.mend();
    await page.reload();
    await begun(page);
    assert.match(await finished(page), /scripted answer/);
    assert.equal(questions(stage), 1);
  },
};
