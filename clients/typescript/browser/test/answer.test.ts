// An answer of a model (the one that `tidings dev` plays), read in a page that is reloaded in the
// middle of it: the text after is the text of one that was not reloaded.

import { describe, expect, test } from 'vitest';
import { runs } from '../src/chromium.ts';
import { until } from '../src/wait.ts';
import { House } from '../src/world.ts';

const QUESTION = { model: 'demo', stream: true, messages: [{ role: 'user', content: 'Hello' }] };

describe.runIf(runs())('answers', () => {
  const house = new House();

  test('a reload in the middle of an answer', async () => {
    const world = await house.world('dev');
    const asked = await fetch(`${world.server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(QUESTION),
    });
    const link = /<([^>]+)>/.exec(asked.headers.get('link') ?? '')?.[1];
    if (link === undefined) throw new Error('no link to the answer');
    const url = world.proxy.url + link;
    // What the one who asked reads, to its end.
    const whole = asked.text();

    const tab = await world.tab();
    await tab.page.evaluate((from) => window.tab.answer('answer', from, '', ''), url);
    for (let reload = 0; reload < 3; reload += 1) {
      const had = await tab.page.evaluate(() => window.tab.answers('answer')?.text.length ?? 0);
      await until('more of the answer', async () => {
        const now = await tab.page.evaluate(() => window.tab.answers('answer'));
        return now !== undefined && now.text.length > had + 10;
      });
      await tab.page.reload();
      await tab.page.evaluate((from) => {
        const kept = JSON.parse(sessionStorage.getItem('answer') ?? '{}') as {
          text: string;
          id: string;
        };
        window.tab.answer('answer', from, kept.id, kept.text);
      }, url);
      world.proxy.cutAll();
    }
    await until('the end', async () => {
      return await tab.page.evaluate(() => window.tab.answers('answer')?.ended === true);
    });
    const read = await tab.page.evaluate(() => window.tab.answers('answer')?.text);
    expect(read).toBe(text(await whole));
    expect(read?.length).toBeGreaterThan(100);
  });
});

/** The text of a stream of chat chunks. */
function text(stream: string): string {
  const lines = stream.split('\n').filter((line) => line.startsWith('data: {'));
  return lines
    .flatMap((line) => {
      const chunk = JSON.parse(line.slice(6)) as { choices: { delta?: { content?: string } }[] };
      return chunk.choices.map(({ delta }) => delta?.content ?? '');
    })
    .join('');
}
