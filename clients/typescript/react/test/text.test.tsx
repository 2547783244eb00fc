/** `useTextStream` over the real program and a network that breaks. */

import { createElement } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import * as React from 'react';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { startProxy, type Proxy } from '../../ai/test/support/proxy.js';
import { hasProgram, startServer, type Server } from '../../ai/test/support/server.js';
import { until } from '../../ai/test/support/wait.js';
import { useTextStream, type Answer, type UseTextStreamOptions } from '../src/index.js';
import { GRACE_MS } from '../src/feed.js';
import { act, hide, pass, probe } from './support/page.js';

const root: { current: Root | undefined } = { current: undefined };

async function show(element: React.ReactNode): Promise<void> {
  root.current ??= createRoot(document.createElement('div'));
  const strict = createElement(React.StrictMode, undefined, element);
  await act(async () => root.current?.render(strict));
}

afterEach(async () => {
  await act(async () => root.current?.unmount());
  root.current = undefined;
});

const quick: UseTextStreamOptions = { retry: { min: 1, max: 5, attempts: 100 } };

describe.skipIf(!hasProgram)('an answer of a relay', () => {
  let server: Server;
  let proxy: Proxy;
  beforeAll(async () => {
    server = await startServer();
    proxy = await startProxy(server.port);
  });
  afterAll(async () => {
    await proxy.close();
    await server.stop();
  });

  async function ask(base = proxy.url): Promise<Response> {
    return await fetch(`${base}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ stream: true, messages: [{ role: 'user', content: 'Hi' }] }),
    });
  }

  async function untilAct(what: string, isSo: () => boolean): Promise<void> {
    await until(what, async () => {
      await act(async () => await new Promise((resolve) => setTimeout(resolve, 5)));
      return isSo();
    });
  }

  test('it grows over cuts, in two components, followed once', async () => {
    proxy.plan = (connection) => 2_000 + ((connection * 977) % 4_000);
    const response = await ask();
    const before = proxy.requests.length;
    const one = probe(() => useTextStream(response, quick));
    const other = probe(() => useTextStream(response, quick));
    await show([{ ...one.element, key: '1' }, { ...other.element, key: '2' }]);
    await untilAct('the beginning', () => one.latest().status === 'streaming');
    await untilAct('done', () => one.latest().status === 'done');
    proxy.plan = () => Infinity;
    const { text, usage, finishReason, error } = one.latest();
    expect(text).toMatch(/^\*\*This is a scripted answer[^]*nothing else\.$/);
    expect(finishReason).toBe('stop');
    expect(error).toBeUndefined();
    expect(usage).toBeUndefined();
    expect(other.latest().text).toBe(text);
    const again = proxy.requests.length - before;
    expect(again).toBeGreaterThan(2);
    expect(again).toBeLessThan(30);
  });

  test('stopped by one, it is cancelled for whoever has its URL', async () => {
    const response = await ask();
    const url = /<([^>]*)>/.exec(response.headers.get('link') ?? '')?.[1] ?? '';
    const mine = probe(() => useTextStream(response, quick));
    const theirs = probe(() => useTextStream(proxy.url + url, quick));
    await show([{ ...mine.element, key: '1' }, { ...theirs.element, key: '2' }]);
    await untilAct('some text', () => theirs.latest().text.length > 20);
    await expect(theirs.latest().stop()).rejects.toThrow('not known');
    await act(async () => await mine.latest().stop());
    await untilAct('cancelled', () =>
      mine.latest().status === 'cancelled' && theirs.latest().status === 'cancelled');
    expect(mine.latest().text).toBe(theirs.latest().text);
    expect(mine.latest().text).not.toContain('nothing else');
    expect(mine.latest().error).toBeUndefined();
  });

  test('after an error it goes on where it was', async () => {
    const response = await ask();
    const options = { retry: { min: 1, max: 2, attempts: 3 } };
    const { element, latest } = probe(() => useTextStream(response, options));
    await show(element);
    await untilAct('some text', () => latest().text.length > 20);
    proxy.isDown = true;
    proxy.cutNow();
    await untilAct('an error', () => latest().status === 'error');
    expect(latest().error?.message).toContain('cannot be reached');
    const had = latest().text;
    proxy.isDown = false;
    await act(async () => latest().resume());
    await untilAct('done', () => latest().status === 'done');
    expect(latest().text.startsWith(had)).toBe(true);
    expect(latest().text).toMatch(/^\*\*This is a scripted answer[^]*nothing else\.$/);
    expect(latest().text.match(/scripted answer/g)).toHaveLength(1);
  });

  test('a topic of text is a text as well', async () => {
    const topic = `${server.url}/topics/story`;
    for (const piece of ['Once ', 'upon ']) await fetch(topic, { method: 'POST', body: piece });
    const { element, latest } = probe(() => useTextStream(topic, { from: 'earliest' }));
    await show(element);
    await untilAct('some text', () => latest().text === 'Once upon ');
    await fetch(`${topic}?end=done`, { method: 'POST', body: 'a time' });
    await untilAct('done', () => latest().status === 'done');
    expect(latest().text).toBe('Once upon a time');
  });
});

describe('renders', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    hide(false);
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  function stream(): {
    answer: Answer;
    fetch: typeof fetch;
    send(data: string): void;
    close(): void;
    asked: number;
  } {
    let control: ReadableStreamDefaultController<Uint8Array> | undefined;
    const encoder = new TextEncoder();
    const it = {
      answer: `http://text.test/topics/$answers/${Math.random()}?token=t`,
      asked: 0,
      fetch: (async () => {
        it.asked += 1;
        const body = new ReadableStream<Uint8Array>({ start: (c) => void (control = c) });
        return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
      }) as typeof fetch,
      send: (data: string) => control?.enqueue(encoder.encode(data)),
      close: () => control?.close(),
    };
    return it;
  }

  test('a thousand tokens in a second are at most one render a frame', async () => {
    const { answer, fetch, send } = stream();
    const { element, renders, latest } = probe(() => useTextStream(answer, { fetch }));
    await show(element);
    await pass(100);
    const before = renders.length;
    for (let tick = 0; tick < 250; tick += 1) {
      for (let at = 0; at < 4; at += 1) send(`id: ${tick}-${at}\ndata: x\n\n`);
      await pass(4);
    }
    await pass(20);
    expect(latest().text).toHaveLength(1_000);
    // StrictMode renders twice.
    expect((renders.length - before) / 2).toBeLessThanOrEqual(63);
    const snapshot = latest();
    await show(element);
    expect(latest()).toBe(snapshot);
  });

  test('it is asked for once, and let go of when nobody shows it', async () => {
    const it = stream();
    const { element, latest } = probe(() => useTextStream(it.answer, { fetch: it.fetch }));
    await show(element);
    await pass(GRACE_MS * 3);
    it.send('id: 1\nevent: snapshot\ndata: {"text":"so far","state":"in_progress"}\n\n');
    await pass(50);
    expect(latest().text).toBe('so far');
    await show(null);
    await pass(GRACE_MS / 2);
    await show(element);
    await pass(GRACE_MS * 3);
    expect(it.asked).toBe(1);
    expect(latest().text).toBe('so far');
    await show(null);
    await pass(GRACE_MS * 2);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('the end does not wait for a frame', async () => {
    const it = stream();
    const { element, latest } = probe(() => useTextStream(it.answer, { fetch: it.fetch }));
    await show(element);
    await pass(50);
    vi.stubGlobal('requestAnimationFrame', () => 0);
    it.send('id: 1\ndata: all\n\nid: 2\nevent: end\ndata: {"reason":"done"}\n\n');
    await act(async () => {
      for (let turn = 0; turn < 100; turn += 1) await Promise.resolve();
    });
    vi.unstubAllGlobals();
    expect(latest()).toMatchObject({ text: 'all', status: 'done', lastEventId: '1' });
  });

  test('nothing is nothing', async () => {
    const { element, latest } = probe(() => useTextStream(undefined));
    await show(element);
    expect(latest()).toMatchObject({ text: '', status: 'idle' });
    await latest().stop();
    latest().resume();
  });
});
