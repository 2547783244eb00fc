/** A page that renders components and counts, with frames that the test lets go by. */

import { createElement, type ReactElement, type ReactNode } from 'react';
import * as React from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { act as domAct } from 'react-dom/test-utils';
import { afterEach, beforeEach, vi } from 'vitest';
import { createClient, type Client } from '@tidings/client';
import { TidingsProvider } from '../../src/index.js';
import { FakeServer } from './server.js';

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

/** React 19 has it, 18 leaves it to react-dom. */
export const act: typeof React.act = (React as Partial<typeof React>).act ?? (domAct as never);

/** Lets everything happen that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  await act(async () => {
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
    await vi.advanceTimersByTimeAsync(0);
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
  });
}

/** Lets time go by: timers, and with them frames, 60 a second. */
export async function pass(ms: number): Promise<void> {
  await act(async () => await vi.advanceTimersByTimeAsync(ms));
}

/** How long a frame takes with vitest's fake timers, in milliseconds. */
export const FRAME = 16;

/** Lets what has come be shown. */
export async function frame(): Promise<void> {
  await settle();
  await pass(FRAME * 2);
}

/** Says whether the page is seen. In a hidden one no frames come. */
export function hide(isHidden: boolean): void {
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => isHidden });
}

/** A page with a client of a server of its own. */
export class Page {
  readonly server = new FakeServer();
  readonly client: Client = createClient({
    url: 'http://server.test/',
    fetch: this.server.fetch,
    retry: { min: 10, max: 20 },
  });
  private readonly root: Root = createRoot(document.createElement('div'));

  async show(node: ReactNode, isStrict = false): Promise<void> {
    const tree: ReactElement = createElement(TidingsProvider, { client: this.client }, node);
    const strict = createElement(React.StrictMode, undefined, tree);
    await act(async () => this.root.render(isStrict ? strict : tree));
    await settle();
  }

  async close(): Promise<void> {
    await act(async () => this.root.unmount());
    this.client.close();
  }
}

/** The page of the test that runs, after `pageForEachTest`. */
export let page: Page;

/** Gives each test of the file a page of its own, that is seen, and a clock that stands still. */
export function pageForEachTest(): void {
  beforeEach(() => {
    vi.useFakeTimers();
    hide(false);
    page = new Page();
  });
  afterEach(async () => {
    await page.close();
    vi.useRealTimers();
  });
}

/** A component that calls a hook, what it got, and how often it rendered. */
export function probe<V>(hook: () => V): {
  element: ReactElement;
  renders: V[];
  latest(): V;
} {
  const renders: V[] = [];
  function Probe(): null {
    renders.push(hook());
    return null;
  }
  return {
    element: createElement(Probe),
    renders,
    latest() {
      const last = renders.at(-1);
      if (renders.length === 0) throw new Error('it has not rendered');
      return last as V;
    },
  };
}
