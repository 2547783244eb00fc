// An answer of a model (the one that `tidings dev` plays), read in a page that is reloaded in the
// middle of it: the text after is the text of one that was not reloaded.

import { describe, expect, test } from 'vitest';
import { runs } from '../src/chromium.ts';
import { until } from '../src/wait.ts';
import { House } from '../src/world.ts';

// The one that tells a story takes ten seconds, which two reloads fit into.
const MODEL = 'scripted-story';
const QUESTION = { model: MODEL, stream: true, messages: [{ role: 'user', content: 'Hello' }] };

describe.runIf(runs())('answers', () => {
  const house = new House('answer');

  for (const native of [false, true]) {
    const how = native ? "the browser's EventSource" : 'our EventSource';

    test(`two reloads and a cut in the middle of an answer, ${how}`, async () => {
      const world = await house.world('dev');
      const asked = await fetch(`${world.server.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(QUESTION),
      });
      const link = /<([^>]+)>/.exec(asked.headers.get('link') ?? '')?.[1];
      if (link === undefined) throw new Error('no link to the answer');
      // What the one who asked reads, to its end.
      const whole = asked.text();

      const { page } = await world.tab();
      const read = async () => {
        const url = world.proxy.url + link;
        await page.evaluate(([from, by]) => window.answer.read(from, by), [url, native] as const);
      };
      const kept = async () => await page.evaluate(() => window.answer.kept());
      await read();
      for (let reload = 0; reload < 2; reload += 1) {
        const had = (await kept()).text.length;
        await until('more of the answer', async () => (await kept()).text.length > had + 10);
        expect((await kept()).ended, 'in the middle').toBe(false);
        await page.reload();
        await read();
      }
      const had = (await kept()).text.length;
      await until('it reads on', async () => (await kept()).text.length > had);
      world.proxy.cutAll();
      await until('the end', async () => (await kept()).ended);
      expect((await kept()).text).toBe(text(await whole));
      expect((await kept()).text.length).toBeGreaterThan(100);
    });
  }
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
