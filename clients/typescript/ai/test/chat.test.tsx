// @vitest-environment jsdom
/**
 * `useChat` itself over the transport, in versions 5, 6 and 7 of the SDK: cut in the middle,
 * reloaded, stopped.
 */

import * as seven from '@ai-sdk/react';
import { StrictMode, act, createElement, useEffect } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import * as five from 'sdk5';
import * as six from 'sdk6';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { TidingsChatTransport } from '../src/index.js';
import { startProxy, type Proxy } from './support/proxy.js';
import { hasProgram, startServer, type Server } from './support/server.js';
import { until } from './support/wait.js';

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

/** What the tests use of `useChat`, the same in all three versions. */
interface Chat {
  messages: { id: string; role: string; parts: { type: string; text?: string }[] }[];
  status: string;
  error: Error | undefined;
  sendMessage(message: { text: string }): Promise<void>;
  stop(): Promise<void>;
  resumeStream(): Promise<void>;
}

type UseChat = (options: {
  id: string;
  transport: TidingsChatTransport;
  resume?: boolean;
  onError?: (error: Error) => void;
}) => Chat;

const versions: [string, UseChat][] = [
  ['7', seven.useChat as unknown as UseChat],
  ['6', six.useChat as unknown as UseChat],
  ['5', five.useChat as unknown as UseChat],
];

const quick = { min: 1, max: 5, attempts: 100 };

describe.skipIf(!hasProgram).each(versions)('useChat of version %s', (version, useChat) => {
  let server: Server;
  let proxy: Proxy;
  const roots: Root[] = [];
  let serial = 0;

  beforeAll(async () => {
    server = await startServer();
    proxy = await startProxy(server.port);
  });
  afterAll(async () => {
    await proxy.close();
    await server.stop();
  });
  afterEach(async () => {
    await act(async () => roots.splice(0).forEach((root) => root.unmount()));
    proxy.plan = () => Infinity;
  });

  interface Page {
    chat(): Chat;
    errors: Error[];
    /** What a reload does to a page: it is gone without any of its code having been run. */
    kill(): void;
    unmount(): Promise<void>;
  }

  /** A page with one chat; its transport is made anew with each render, as many do. */
  async function page(id: string, resume = false, stopOnAbort = true): Promise<Page> {
    let latest: Chat | undefined;
    let isDead = false;
    const errors: Error[] = [];
    const whileAlive: typeof fetch = async (...args) => {
      if (isDead) throw new TypeError('fetch failed: the page is gone');
      return await fetch(...args);
    };
    function Page(): null {
      const api = `${proxy.url}/api/chat`;
      const transport = new TidingsChatTransport({
        api, retry: quick, stopOnAbort, fetch: whileAlive,
      });
      const chat = useChat({ id, transport, resume, onError: (error) => errors.push(error) });
      useEffect(() => {
        latest = chat;
      });
      return null;
    }
    const root = createRoot(document.createElement('div'));
    roots.push(root);
    const element = createElement(StrictMode, undefined, createElement(Page));
    await act(async () => root.render(element));
    return {
      errors,
      kill() {
        isDead = true;
        proxy.cutNow();
      },
      chat() {
        if (latest === undefined) throw new Error('not mounted');
        return latest;
      },
      async unmount() {
        roots.splice(roots.indexOf(root), 1);
        await act(async () => root.unmount());
      },
    };
  }

  function said(chat: Chat): string {
    const last = chat.messages.at(-1);
    if (last?.role !== 'assistant') return '';
    return last.parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
  }

  async function untilAct(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    // React renders when an act ends, so each look is one.
    await until(what, async () => {
      await act(async () => await new Promise((resolve) => setTimeout(resolve, 5)));
      return await isSo();
    });
  }

  async function running(): Promise<number> {
    const over = ['done', 'failed', 'cancelled', 'orphaned'].map((how) => counted(how));
    const ended = (await Promise.all(over)).reduce((sum, count) => sum + count, 0);
    return (await counted('answers')) - ended;
  }

  async function counted(what: string): Promise<number> {
    return await server.metric(`tidings_relay_${what}_total`);
  }

  test('an answer cut many times is one whole message', async () => {
    const id = `cut-${version}-${(serial += 1)}`;
    const direct = await page(id + '-direct');
    await act(async () => await direct.chat().sendMessage({ text: 'Hi' }));
    const whole = direct.chat().messages.at(-1);
    expect(said(direct.chat())).toMatch(/change nothing else\.$/);
    proxy.cuts = 0;
    proxy.plan = (connection) => 1_000 + ((connection * 577) % 1_300);
    const { chat, errors } = await page(id);
    await act(async () => await chat().sendMessage({ text: 'Hi' }));
    expect(proxy.cuts).toBeGreaterThan(3);
    expect(chat().status).toBe('ready');
    expect(errors).toEqual([]);
    expect(chat().messages).toHaveLength(2);
    expect(chat().messages.at(-1)?.parts).toEqual(whole?.parts);
  });

  test('a reload finds the answer that runs, and was not stopped by it', async () => {
    const id = `reload-${version}-${(serial += 1)}`;
    const before = await page(id);
    let sent: Promise<void> = Promise.resolve();
    await act(async () => {
      sent = before.chat().sendMessage({ text: 'Hi' });
    });
    await untilAct('some text', () => said(before.chat()).length > 40);
    before.kill();
    expect(await running()).toBe(1);
    const { chat, errors } = await page(id, true);
    await untilAct('the whole answer', () => said(chat()).endsWith('change nothing else.'));
    await untilAct('ready', () => chat().status === 'ready');
    expect(said(chat())).toMatch(/^\*\*This is a scripted answer/);
    expect(chat().messages).toHaveLength(1);
    expect(errors).toEqual([]);
    await sent;
    // Nothing runs any more: a reload now finds nothing, and that is no error.
    const later = await page(id, true);
    await untilAct('ready', () => later.chat().status === 'ready');
    expect(later.chat().messages).toEqual([]);
    expect(later.errors).toEqual([]);
  });

  test('stopping stops the answer at the server', async () => {
    const id = `stop-${version}-${(serial += 1)}`;
    const { chat, errors } = await page(id);
    const cancelled = await counted('cancelled');
    await act(async () => void chat().sendMessage({ text: 'Hi' }));
    await untilAct('some text', () => said(chat()).length > 20);
    expect(await running()).toBe(1);
    await act(async () => await chat().stop());
    await untilAct('stopped', async () => (await running()) === 0);
    expect(chat().status).toBe('ready');
    expect(said(chat())).not.toContain('change nothing else');
    expect(errors).toEqual([]);
    expect(await counted('cancelled')).toBe(cancelled + 1);
    // The next question has its whole answer: the stop did not reach it.
    await act(async () => await chat().sendMessage({ text: 'Again' }));
    expect(said(chat())).toContain('"Again"');
    expect(said(chat())).toMatch(/change nothing else\.$/);
  });

  test('leaving need not be stopping, and the transport itself can stop', async () => {
    const id = `leave-${version}-${(serial += 1)}`;
    const { chat, unmount } = await page(id, false, false);
    await act(async () => void chat().sendMessage({ text: 'Hi' }));
    await untilAct('some text', () => said(chat()).length > 20);
    await unmount();
    const again = await page(id, true, false);
    await untilAct('some text', () => said(again.chat()).length > 40);
    expect(await running()).toBe(1);
    const transport = new TidingsChatTransport({ api: `${proxy.url}/api/chat` });
    await act(async () => await transport.stop(id));
    expect(await running()).toBe(0);
    await untilAct('ready', () => again.chat().status === 'ready');
    await transport.stop(id);
  });

  test('stopping before the first word stops the answer that was about to begin', async () => {
    const id = `early-${version}-${(serial += 1)}`;
    const { chat, errors } = await page(id);
    const cancelled = await counted('cancelled');
    await act(async () => void chat().sendMessage({ text: 'Hi' }));
    expect(chat().status).toBe('submitted');
    await act(async () => await chat().stop());
    expect(chat().status).toBe('ready');
    await untilAct('stopped', async () => (await counted('cancelled')) === cancelled + 1);
    await act(async () => await chat().sendMessage({ text: 'Second' }));
    expect(said(chat())).toContain('"Second"');
    expect(await running()).toBe(0);
    expect(errors).toEqual([]);
  });
});
