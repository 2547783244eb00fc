/** Answers as text, in every dialect, cut and uncut, followed late and stopped. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  AnswerError, answerOf, emptyText, followAnswer, readAnswer, takeEvent, type AnswerText,
} from '../src/answer/index.js';
import { startProxy, type Proxy } from './support/proxy.js';
import { hasProgram, startServer, type Server } from './support/server.js';
import { until } from './support/wait.js';

const quick = { min: 1, max: 5, attempts: 100 };
const messages = [{ role: 'user', content: 'Ça va? 👋' }];

const dialects: [name: string, path: string, body: object][] = [
  ['chat', '/v1/chat/completions', { messages, stream_options: { include_usage: true } }],
  ['messages', '/v1/messages', { messages, max_tokens: 500 }],
  ['responses', '/v1/responses', { input: 'Ça va? 👋' }],
];

describe.skipIf(!hasProgram)('answers of a relay', () => {
  let server: Server;
  let proxy: Proxy;

  beforeAll(async () => {
    server = await startServer();
    proxy = await startProxy(server.port);
    proxy.plan = (connection) => 1_500 + ((connection * 977) % 4_000);
  });
  afterAll(async () => {
    await proxy.close();
    await server.stop();
  });

  async function ask(base: string, path: string, body: object): Promise<Response> {
    return await fetch(base + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'scripted', stream: true, ...body }),
    });
  }

  test.concurrent.each(dialects)('%s: cut, it is the whole text', async (_, path, body) => {
    const direct = readAnswer(await ask(server.url, path, body));
    const cut = readAnswer(await ask(proxy.url, path, body), { retry: quick });
    const pieces: string[] = [];
    const collect = async (): Promise<void> => {
      for await (const piece of cut) pieces.push(piece);
    };
    const [text] = await Promise.all([direct.text(), collect()]);
    expect(text).toMatch(/^\*\*This is a scripted answer[^]*"Ça va\? 👋"[^]*nothing else\.$/);
    expect(pieces.join('')).toBe(text);
    expect(pieces.length).toBeGreaterThan(80);
    expect(cut.said).toEqual(direct.said);
    const { usage, error, finishReason } = cut.said;
    expect(usage?.outputTokens).toBeGreaterThan(50);
    expect(usage?.totalTokens).toBe((usage?.inputTokens ?? 0) + (usage?.outputTokens ?? 0));
    expect(error).toBeUndefined();
    expect(['stop', 'end_turn', 'completed']).toContain(finishReason);
    expect(proxy.cuts).toBeGreaterThan(0);
    // Whoever comes late has it all, in one event, in few, or as it was.
    const handle = cut.handle;
    if (handle === undefined) throw new Error('no handle');
    const whole = readAnswer(handle);
    expect(await whole.text()).toBe(text);
    expect(whole.said.usage).toEqual(cut.said.usage);
    for (const options of [
      { from: 'earliest' as const },
      { from: 'earliest' as const, deltas: 'merged' as const },
    ]) {
      const said = emptyText();
      let events = 0;
      for await (const event of followAnswer(handle, options)) {
        events += 1;
        takeEvent(said, event);
      }
      expect(said.text).toBe(text);
      if ('deltas' in options) expect(events).toBeLessThan(30);
      else expect(events).toBeGreaterThan(80);
    }
  });

  test('a second reader joins in the middle, and a stop is for both', async () => {
    const first = readAnswer(await ask(server.url, '/v1/chat/completions', { messages }));
    const handle = first.handle;
    if (handle === undefined) throw new Error('no handle');
    const iterator = first[Symbol.asyncIterator]();
    await iterator.next();
    await iterator.next();
    const second = readAnswer(handle);
    const text = second.text();
    await until('it has joined', () => second.said.text.length > 20);
    await second.stop();
    expect(await text).toBe(second.said.text);
    expect(second.said.isCancelled).toBe(true);
    while ((await iterator.next()).done !== true);
    expect(first.said.text).toBe(second.said.text);
    expect(first.said.text).not.toContain('nothing else');
    await second.stop();
  });

  test('leaving a loop leaves the answer alone', async () => {
    const answer = readAnswer(await ask(server.url, '/v1/chat/completions', { messages }));
    for await (const piece of answer) {
      expect(piece).not.toBe('');
      break;
    }
    const handle = answer.handle;
    if (handle === undefined) throw new Error('no handle');
    expect(await readAnswer(handle).text()).toMatch(/nothing else\.$/);
  });

  test('a token that is none is refused, at once', async () => {
    const answer = readAnswer(`${server.url}/topics/$answers/none?token=r.0.x`, { retry: quick });
    await expect(answer.text()).rejects.toMatchObject({ code: 'refused', status: 403 });
  });
});

test('a stream of another server is read as well, but cannot be read on', async () => {
  const chunk = (content: string): string =>
    `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;
  const whole = readAnswer(new Response(`${chunk('Hel')}${chunk('lo')}data: [DONE]\n\n`));
  expect(await whole.text()).toBe('Hello');
  const cut = readAnswer(new Response(chunk('Hel')), { retry: quick });
  await expect(cut.text()).rejects.toThrow(AnswerError);
  expect(cut.said.text).toBe('Hel');
});

test('a gap is an error, because a text with a hole is none', async () => {
  const gap = 'id: 9\nevent: gap\ndata: {"reason":"retention"}\n\nid: 9\ndata: rest\n\n';
  const headers = { 'content-type': 'text/event-stream' };
  const fetch = async (): Promise<Response> => new Response(gap, { headers });
  const answer = readAnswer('http://text.test/x', { fetch });
  await expect(answer.text()).rejects.toMatchObject({ code: 'lost' });
  expect(answer.said.text).toBe('');
});

test('a page in place of a stream is an error, and not an empty text', async () => {
  const headers = { 'content-type': 'text/html' };
  const fetch = async (): Promise<Response> => new Response('<!doctype html>', { headers });
  const answer = readAnswer('http://text.test/x', { fetch });
  await expect(answer.text()).rejects.toMatchObject({ code: 'refused' });
});

test('the handle is read off the headers, below a path if it must be', () => {
  const headers = {
    link: '</docs>; rel="help", </topics/$answers/x?token=r.1>; rel="alternate"; '
      + 'type="text/event-stream"',
    'tidings-stop': '/answers/x/stop?token=s.1',
    'tidings-topic': '$answers/x',
  };
  expect(answerOf(new Response('', { headers }), 'https://app.test/tidings/')).toEqual({
    url: 'https://app.test/tidings/topics/$answers/x?token=r.1',
    stop: 'https://app.test/tidings/answers/x/stop?token=s.1',
    topic: '$answers/x',
  });
  expect(answerOf(new Response(''))).toBeUndefined();
});

function said(...events: [data: unknown, type?: string][]): AnswerText {
  const text = emptyText();
  for (const [data, type = 'message'] of events) {
    takeEvent(text, { type, data: typeof data === 'string' ? data : JSON.stringify(data) });
  }
  return text;
}

describe('what events say', () => {
  test('only the first choice is the text; thoughts are apart', () => {
    const delta = { reasoning_content: 'hm' };
    expect(said(
      [{ choices: [{ index: 0, delta }, { index: 1, delta: { content: 'no' } }] }],
      [{ choices: [{ index: 0, delta: { content: 'yes' }, finish_reason: 'length' }] }],
    )).toMatchObject({ text: 'yes', reasoning: 'hm', finishReason: 'length' });
  });

  test('errors of every dialect', () => {
    expect(said([{ error: { message: 'm' } }]).error).toBe('m');
    expect(said([{ type: 'error', error: { message: 'm' } }]).error).toBe('m');
    expect(said([{ type: 'error', errorText: 'm' }]).error).toBe('m');
    expect(said([{ type: 'response.failed', response: { error: { message: 'm' } } }]).error)
      .toBe('m');
    const stopped = said([{ error: { message: 'm', type: 'cancelled' } }]);
    expect(stopped).toMatchObject({ error: undefined, isCancelled: true });
    expect(said([{ type: 'abort' }]).isCancelled).toBe(true);
  });

  test('the chunks of a chat', () => {
    expect(said(
      [{ type: 'start', messageId: 'x' }],
      [{ type: 'reasoning-delta', id: '1', delta: 'hm' }],
      [{ type: 'text-delta', id: '2', delta: 'Hel' }],
      [{ type: 'text-delta', id: '2', delta: 'lo' }],
      [{ type: 'finish', finishReason: 'stop' }],
      ['[DONE]'],
    )).toMatchObject({ text: 'Hello', reasoning: 'hm', finishReason: 'stop' });
  });

  test('pieces of plain text, whatever they look like', () => {
    expect(said(['a '], ['42'], [' {'], ['"x"'], ['[1]']).text).toBe('a 42 {"x"[1]');
  });
});
