/** The provider's own client, the connection's sign, and rendering on a server. */

import * as React from 'react';
import {
  createElement, useState, type ComponentType, type ReactElement, type ReactNode,
} from 'react';
import { hydrateRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { expect, test, vi } from 'vitest';
import {
  TidingsProvider, useConnectionState, useEvent, useLatest, useReducedStream, useSubscription,
  useTextStream, useTidings,
} from '../src/index.js';
import { GRACE_MS } from '../src/feed.js';
import { act, frame, page, pageForEachTest, pass, probe, settle } from './support/page.js';
import { FakeServer } from './support/server.js';

pageForEachTest();

test('a blip is not shown, what lasts is, and what is mended is at once', async () => {
  const { element, latest, renders } = probe(() => useConnectionState());
  const following = probe(() => useSubscription('a'));
  await page.show([{ ...element, key: 'a' }, { ...following.element, key: 'b' }], true);
  await frame();
  expect(latest().state).toBe('open');
  const before = renders.length;
  page.server.cut();
  await pass(500);
  expect(page.server.connections).toBe(2);
  expect(page.client.state).toBe('open');
  expect(renders).toHaveLength(before);
  // An outage: answers do not come.
  page.server.holds = true;
  page.server.cut();
  await pass(2_900);
  expect(page.client.state).not.toBe('open');
  expect(latest().state).toBe('open');
  await pass(200);
  expect(['connecting', 'waiting']).toContain(latest().state);
  page.server.release();
  await settle();
  await pass(1_000);
  expect(latest().state).toBe('open');
});

test('a refusal is shown at once', async () => {
  page.server.refuses = 403;
  const { element, latest } = probe(() => {
    useSubscription('a');
    return useConnectionState();
  });
  await page.show(element);
  expect(latest().state).toBe('failed');
});

test('on the server nothing is asked, and the page takes over what it rendered', async () => {
  const server = new FakeServer();
  function App(): ReactElement {
    const { events, state } = useSubscription('a');
    const latest = useLatest('a', { initial: 'none' });
    const count = useReducedStream('a', (sum: number) => sum + 1, 0);
    const { text, status } = useTextStream('/topics/x?token=y', { fetch: server.fetch });
    useEvent('a', () => undefined);
    const shown = useConnectionState().state;
    return createElement('p', undefined, [events.length, state, latest, count, text, status, shown]
      .join(' '));
  }
  const tree = createElement(
    TidingsProvider,
    { url: 'http://server.test', fetch: server.fetch },
    createElement(App),
  );
  const html = renderToString(tree);
  expect(html).toBe('<p>0 idle none 0  idle idle</p>');
  await settle();
  expect(server.requests).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
  const place = document.createElement('div');
  place.innerHTML = html;
  const errors = vi.fn();
  const said = vi.spyOn(console, 'error').mockImplementation(errors);
  let root: ReturnType<typeof hydrateRoot> | undefined;
  await act(async () => {
    root = hydrateRoot(place, tree, { onRecoverableError: errors });
  });
  await frame();
  server.emit('a', 'live');
  await frame();
  expect(place.textContent).toContain('live 1');
  expect(errors).not.toHaveBeenCalled();
  said.mockRestore();
  await act(async () => root?.unmount());
  await pass(GRACE_MS * 4);
  expect(server.open).toBe(0);
});

test('a provider with a url closes its client when it goes, and only then', async () => {
  const server = new FakeServer();
  const tokens: string[] = [];
  let rename: (name: string) => void = () => undefined;
  const { element, latest, renders } = probe(() => {
    useSubscription('a');
    return useTidings();
  });
  function App(): ReactElement {
    const [name, setName] = useState('first');
    rename = setName;
    const getToken = (): string => {
      tokens.push(name);
      return name;
    };
    const props = { url: 'http://own.test', fetch: server.fetch, getToken };
    return createElement(TidingsProvider, props, element);
  }
  await page.show(createElement(App), true);
  const client = latest();
  await pass(1_000);
  expect(client.state).toBe('open');
  expect(server.connections).toBe(1);
  expect(new Set(renders).size).toBe(1);
  await act(async () => rename('second'));
  expect(latest()).toBe(client);
  expect(server.connections).toBe(1);
  expect(tokens).toEqual(['first']);
  // The token is refused: the next one is that of the last render.
  server.refuses = 401;
  server.cut();
  await pass(1_000);
  expect(tokens).toEqual(['first', 'second']);
  await page.show(null);
  await pass(GRACE_MS * 4);
  expect(client.state).toBe('closed');
});

const { Activity } = React as unknown as {
  Activity?: ComponentType<{ mode: 'visible' | 'hidden'; children?: ReactNode }>;
};

test.skipIf(Activity === undefined).each([
  ['a client of the provider', true],
  ['a client of its own', false],
])('what was hidden for long goes on where it was: %s', async (_, isOwned) => {
  if (Activity === undefined) return;
  const server = isOwned ? new FakeServer() : page.server;
  const { element, latest } = probe(() => {
    const begin = { history: 'all' as const };
    const list = useReducedStream('a', (sum: string[], { data }) => [...sum, data], [], begin);
    return { list, last: useLatest('a') };
  });
  let setMode: (mode: 'visible' | 'hidden') => void = () => undefined;
  function App(): ReactElement {
    const [mode, set] = useState<'visible' | 'hidden'>('visible');
    setMode = set;
    const props = { url: 'http://own.test', fetch: server.fetch };
    const own = isOwned ? createElement(TidingsProvider, props, element) : element;
    return createElement(Activity as NonNullable<typeof Activity>, { mode }, own);
  }
  server.emit('a', 'one');
  await page.show(createElement(App), true);
  server.emit('a', 'two');
  await frame();
  expect(latest()).toEqual({ list: ['one', 'two'], last: 'two' });
  await act(async () => setMode('hidden'));
  await pass(GRACE_MS * 5);
  expect(server.open).toBe(0);
  server.emit('a', 'three');
  await act(async () => setMode('visible'));
  await frame();
  server.emit('a', 'four');
  await frame();
  expect(latest()).toEqual({ list: ['one', 'two', 'three', 'four'], last: 'four' });
});

test('it is the React that was meant', () => {
  expect(React.version.split('.')[0]).toBe(process.env['REACT_MAJOR'] ?? '19');
});

test('without a provider the error says so', () => {
  const { element } = probe(() => useTidings());
  expect(() => renderToString(element)).toThrow('no TidingsProvider');
});
