/** Whatever is cut and wherever: the message is that of an uncut answer, and nobody sees an error. */

import type { UIMessage, UIMessageChunk } from 'ai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TidingsChatTransport } from '../src/index.js';
import { startProxy, type Proxy } from './support/proxy.js';
import { hasProgram, startServer, type Server } from './support/server.js';
import { until } from './support/wait.js';

const messages: UIMessage[] = [
  { id: 'm1', role: 'user', parts: [{ type: 'text', text: 'Ça va? 👋 潮汐' }] },
];

async function send(
  transport: TidingsChatTransport,
  chatId: string,
  abortSignal?: AbortSignal,
): Promise<ReadableStream<UIMessageChunk>> {
  const trigger = 'submit-message' as const;
  return await transport.sendMessages({
    chatId, messages, trigger, messageId: undefined, abortSignal,
  });
}

async function drain(stream: ReadableStream<UIMessageChunk>): Promise<UIMessageChunk[]> {
  const chunks: UIMessageChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

function textOf(chunks: UIMessageChunk[]): string {
  return chunks.map((chunk) => (chunk.type === 'text-delta' ? chunk.delta : '')).join('');
}

const quick = { min: 1, max: 5, attempts: 50 };

describe.skipIf(!hasProgram)('an answer over a network that breaks', () => {
  let server: Server;
  let proxy: Proxy;
  /** One answer, asked for once and replayed by its key as often as the test likes. */
  let whole: UIMessageChunk[];
  const headers = { 'idempotency-key': 'one-for-all' };

  beforeAll(async () => {
    server = await startServer();
    proxy = await startProxy(server.port);
    const direct = new TidingsChatTransport({ api: `${server.url}/api/chat`, headers });
    whole = await drain(await send(direct, 'replayed'));
    expect(whole[0]?.type).toBe('start');
    expect(whole.at(-1)).toEqual({ type: 'finish', finishReason: 'stop' });
    expect(textOf(whole)).toContain('潮汐');
  });
  afterAll(async () => {
    await proxy.close();
    await server.stop();
  });

  function reset(): void {
    proxy.plan = () => Infinity;
    proxy.connections = 0;
    proxy.cuts = 0;
    proxy.requests = [];
    proxy.resets = false;
    proxy.stalls = false;
    proxy.isDown = false;
  }

  /** Reads the answer once more through the proxy, each connection cut as planned. */
  async function replay(plan: Proxy['plan'], resets: boolean): Promise<void> {
    reset();
    proxy.plan = plan;
    proxy.resets = resets;
    const api = `${proxy.url}/api/chat`;
    const transport = new TidingsChatTransport({ api, headers, retry: quick });
    const chunks = await drain(await send(transport, 'replayed'));
    expect(chunks).toEqual(whole);
  }

  test('cut every n bytes, for many n, by an end that looks clean and by a reset', async () => {
    for (let n = 1_000; n < 9_000; n += 37) {
      await replay(() => n, n % 2 === 0);
      expect(proxy.cuts).toBeGreaterThan(0);
      // It goes on where it was: nothing like as many bytes as with beginning anew each time.
      expect(proxy.requests.filter((line) => line.startsWith('POST'))).toHaveLength(1);
    }
  });

  test('cut anywhere in the head and the first events', async () => {
    for (let n = 0; n < 1_500; n += 13) {
      await replay((connection) => (connection === 1 ? n : Infinity), n % 2 === 0);
      expect(proxy.cuts).toBe(1);
    }
  });

  test('the answer is asked for once, however often it is cut', async () => {
    const asked = await server.metric('tidings_relay_answers_total');
    expect(asked).toBeGreaterThan(0);
    await replay((connection) => (connection < 3 ? 100 : 2_000), true);
    expect(await server.metric('tidings_relay_answers_total')).toBe(asked);
  });

  test('a server that does not say where the answer is gets the question again', async () => {
    reset();
    proxy.plan = (connection) => (connection % 2 === 1 ? 3_000 : Infinity);
    const hiding: typeof fetch = async (...args) => {
      const { body, status } = await fetch(...args);
      return new Response(body, { status });
    };
    const api = `${proxy.url}/api/chat`;
    const transport = new TidingsChatTransport({ api, headers, retry: quick, fetch: hiding });
    expect(await drain(await send(transport, 'replayed'))).toEqual(whole);
    expect(proxy.requests).toEqual(['POST /api/chat', 'POST /api/chat']);
  });

  test('answers that are being written are cut and go on', async () => {
    reset();
    proxy.plan = (connection) => 900 + ((connection * 331) % 1_700);
    proxy.resets = false;
    const api = `${proxy.url}/api/chat`;
    const transport = new TidingsChatTransport({ api, retry: quick });
    const asked = Array.from({ length: 8 }, async (_, at) => {
      const states: string[] = [];
      return { chunks: await drain(await send(transport, `live-${at}`)), states };
    });
    for (const { chunks } of await Promise.all(asked)) {
      expect(textOf(chunks)).toBe(textOf(whole));
      const shape = (chunk: UIMessageChunk): string => chunk.type;
      expect(chunks.map(shape)).toEqual(whole.map(shape));
    }
    expect(proxy.cuts).toBeGreaterThan(8);
  });

  test('behind a proxy that passes the chat on and nothing besides', async () => {
    reset();
    proxy.plan = (connection) => (connection < 3 ? 3_000 : Infinity);
    const only: typeof fetch = async (input, init) => {
      const page = { headers: { 'content-type': 'text/html' } };
      if (!String(input).includes('/api/chat')) return new Response('<!doctype html>', page);
      return await fetch(input, init);
    };
    const api = `${proxy.url}/api/chat`;
    const options = { api, retry: quick, fetch: only };
    const transport = new TidingsChatTransport({ ...options, headers });
    expect(await drain(await send(transport, 'replayed'))).toEqual(whole);
    expect(proxy.cuts).toBeGreaterThan(0);
    expect(new Set(proxy.requests)).toEqual(new Set(['POST /api/chat']));
    // And a stop reaches it, although the answer's own URL for it says 404.
    proxy.plan = () => Infinity;
    const lost: typeof fetch = async (input, init) =>
      String(input).includes('/api/chat')
        ? await fetch(input, init) : new Response('', { status: 404 });
    const another = new TidingsChatTransport({ ...options, fetch: lost });
    const cancelled = await server.metric('tidings_relay_cancelled_total');
    const stopping = new AbortController();
    const stream = await send(another, 'behind', stopping.signal);
    stopping.abort();
    await expect(drain(stream)).rejects.toThrow('aborted');
    await until('stopped', async () =>
      (await server.metric('tidings_relay_cancelled_total')) === cancelled + 1);
  });

  test('a reload without a network waits for it', async () => {
    reset();
    const first = await send(
      new TidingsChatTransport({ api: `${server.url}/api/chat` }), 'offline');
    proxy.isDown = true;
    proxy.cutNow();
    const retry = { min: 5, max: 20, attempts: 1_000 };
    const transport = new TidingsChatTransport({ api: `${proxy.url}/api/chat`, retry });
    const resumed = transport.reconnectToStream({ chatId: 'offline' });
    await until('attempts', () => proxy.refused > 3);
    proxy.isDown = false;
    const stream = await resumed;
    if (stream === null) throw new Error('nothing to resume');
    expect(textOf(await drain(stream))).toBe(textOf(whole));
    await drain(first);
  });

  test('a cut before the head makes no second answer', async () => {
    reset();
    proxy.plan = (connection) => (connection === 1 ? 300 : Infinity);
    const asked = await server.metric('tidings_relay_answers_total');
    const transport = new TidingsChatTransport({ api: `${proxy.url}/api/chat`, retry: quick });
    expect(textOf(await drain(await send(transport, 'headless')))).toBe(textOf(whole));
    expect(proxy.requests).toEqual(['POST /api/chat', 'POST /api/chat']);
    expect(await server.metric('tidings_relay_answers_total')).toBe(asked + 1);
  });

  test('a connection that goes silent is made again', async () => {
    reset();
    proxy.stalls = true;
    proxy.plan = (connection) => (connection === 1 ? 2_500 : Infinity);
    // The server's heartbeat is one second.
    const options = { retry: quick, heartbeatTimeout: 1_500, headers };
    const transport = new TidingsChatTransport({ api: `${proxy.url}/api/chat`, ...options });
    expect(await drain(await send(transport, 'replayed'))).toEqual(whole);
    // Clients may open connections that they do not use.
    expect(proxy.requests).toHaveLength(2);
  });

  test('a newer resumption takes over from an older one and does not stop the answer', async () => {
    reset();
    const transport = new TidingsChatTransport({ api: `${proxy.url}/api/chat`, retry: quick });
    const first = await send(transport, 'twice');
    const cancelled = await server.metric('tidings_relay_cancelled_total');
    const resume = async (signal: AbortSignal): Promise<ReadableStream<UIMessageChunk>> => {
      // Versions before 6 do not know the signal.
      const options = { chatId: 'twice', abortSignal: signal };
      const stream = await transport.reconnectToStream(options);
      if (stream === null) throw new Error('nothing to resume');
      return stream;
    };
    const [older, newer] = [new AbortController(), new AbortController()];
    const given = await resume(older.signal);
    older.abort();
    const taken = await resume(newer.signal);
    await expect(drain(given)).rejects.toThrow('aborted');
    expect(textOf(await drain(taken))).toBe(textOf(whole));
    expect(textOf(await drain(first))).toBe(textOf(whole));
    expect(await server.metric('tidings_relay_cancelled_total')).toBe(cancelled);
  });

  test('a stop of a resumed answer is a stop', async () => {
    reset();
    const transport = new TidingsChatTransport({ api: `${proxy.url}/api/chat`, retry: quick });
    const first = await send(transport, 'resumed');
    const cancelled = await server.metric('tidings_relay_cancelled_total');
    const stopping = new AbortController();
    const options = { chatId: 'resumed', abortSignal: stopping.signal };
    const stream = await transport.reconnectToStream(options);
    stopping.abort();
    await until('stopped', async () =>
      (await server.metric('tidings_relay_cancelled_total')) === cancelled + 1);
    expect((await drain(first)).at(-1)).toEqual({ type: 'abort' });
    await stream?.cancel().catch(() => undefined);
  });

  test('a network that is gone for a while is waited for', async () => {
    reset();
    const states: string[] = [];
    const transport = new TidingsChatTransport({
      api: `${proxy.url}/api/chat`,
      retry: { min: 5, max: 20, attempts: 1_000 },
      onConnection: (state, chatId) => {
        expect(chatId).toBe('away');
        states.push(state);
      },
    });
    const stream = await send(transport, 'away');
    const chunks = drain(stream);
    proxy.isDown = true;
    proxy.cutNow();
    await until('several attempts', () => states.filter((it) => it === 'waiting').length > 5);
    proxy.isDown = false;
    expect(textOf(await chunks)).toBe(textOf(whole));
    expect(states.at(-1)).toBe('open');
  });

  test('a network that does not come back is an error in the end', async () => {
    reset();
    const api = `${proxy.url}/api/chat`;
    const transport = new TidingsChatTransport({ api, retry: { min: 1, max: 2, attempts: 4 } });
    const stream = await send(transport, 'gone');
    proxy.isDown = true;
    proxy.cutNow();
    await expect(drain(stream)).rejects.toMatchObject({ name: 'AnswerError', code: 'unreachable' });
    await expect(send(transport, 'gone')).rejects.toThrow(TypeError);
    proxy.isDown = false;
  });

  test('what the server refuses is not tried again, and said in its words', async () => {
    reset();
    const transport = new TidingsChatTransport({ api: `${proxy.url}/api/chat`, retry: quick });
    const nothing = transport.sendMessages({
      chatId: 'c', messages: [], trigger: 'submit-message', messageId: undefined,
      abortSignal: undefined,
    });
    await expect(nothing).rejects.toMatchObject({ code: 'refused', status: 400 });
    await expect(nothing).rejects.toThrow('no messages');
    expect(proxy.requests).toHaveLength(1);
  });
});
