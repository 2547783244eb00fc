// Turbo's <turbo-stream-source>.

import assert from 'node:assert/strict';
import { Stage, shows } from '../harness.mjs';

const append = (id, text) =>
  `<turbo-stream action="append" target="messages">
  <template><li id="${id}">${text}</li></template>
</turbo-stream>`;

export default {
  async 'messages are appended, changed and removed, over cuts'(tools) {
    const stage = await Stage.set(tools);
    const { tidings } = stage;
    const page = await (await tools.launch()).newPage();
    await page.goto(`${stage.url}/turbo/`);
    await tidings.publish('room', append('m1', 'Hello'));
    await shows(page, '#messages li', ['Hello']);

    await stage.whileCut(() => tidings.publish('room', append('m2', 'Anybody?')));
    await shows(page, '#messages li', ['Hello', 'Anybody?']);
    await tidings.crashAndRestart();
    await tidings.publish(
      'room',
      `<turbo-stream action="update" target="m1"><template>Hi</template></turbo-stream>
<turbo-stream action="remove" target="m2"></turbo-stream>`,
    );
    await shows(page, '#messages li', ['Hi']);
    assert.ok(stage.requests.slice(1).every(({ lastEventId }) => lastEventId));

    // A page that is opened now goes through the same.
    await page.reload();
    await shows(page, '#messages li', ['Hi']);
  },
};
