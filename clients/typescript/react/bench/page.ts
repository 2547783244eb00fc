/**
 * The page of the bench: a list of 100 events, its newest value, and a count of all of them, from a
 * stream that the page makes itself, so that nothing but the client and React is measured.
 */

import { createClient, type WireEvent } from '@tidings/client';
import { createElement, type ReactElement } from 'react';
import { createRoot } from 'react-dom/client';
import { TidingsProvider, useLatest, useReducedStream, useSubscription } from '../src/index.js';

/** What one run has come to. */
export interface Figures {
  events: number;
  renders: number;
  seconds: number;
}

let renders = 0;
let serial = 0;
let control: ReadableStreamDefaultController<Uint8Array> | undefined;

const server: typeof fetch = async () => {
  const body = new ReadableStream<Uint8Array>({ start: (it) => void (control = it) });
  const headers = {
    'content-type': 'text/event-stream',
    'tidings-connection': 'c1',
    'last-event-id': 'bench-0',
  };
  return new Response(body, { headers });
};

function Row({ id, data }: { id: string; data: string }): ReactElement {
  return createElement('li', undefined, `${id} ${data}`);
}

function App(): ReactElement {
  renders += 1;
  const { events } = useSubscription('prices', { limit: 100 });
  const count = useReducedStream('prices', (sum: number) => sum + 1, 0);
  const latest = useLatest('prices', { history: 'none' });
  return createElement(
    'main',
    undefined,
    createElement('p', { id: 'count' }, String(count)),
    createElement('p', undefined, latest),
    createElement('ol', undefined, events.map(({ id, data }) =>
      createElement(Row, { key: id, id, data }))),
  );
}

const client = createClient({ url: 'http://bench.test', fetch: server, heartbeatTimeout: 1e9 });
const place = document.createElement('div');
document.body.append(place);
createRoot(place).render(
  createElement(TidingsProvider, { client }, createElement(App)),
);

const encoder = new TextEncoder();

function block(): string {
  const id = `bench-${(serial += 1)}`;
  const data = JSON.stringify({ symbol: 'TIDE', price: serial % 997 });
  const event: WireEvent = { id, topic: 'prices', time: '2026-01-01T00:00:00.000Z', data };
  return `id: ${id}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** How often a chunk of bytes comes, in milliseconds. */
const TICK_MS = 4;

/** Lets events come, evenly, and counts. A worker is the clock: hidden pages have slow timers. */
async function run(perSecond: number, seconds: number): Promise<Figures> {
  const code = `setInterval(() => postMessage(0), ${TICK_MS})`;
  const worker = new Worker(URL.createObjectURL(new Blob([code])));
  const began = performance.now();
  const before = renders;
  let sent = 0;
  await new Promise<void>((resolve) => {
    worker.onmessage = () => {
      const elapsed = performance.now() - began;
      const due = Math.min(Math.floor((elapsed / 1000) * perSecond), perSecond * seconds);
      let chunk = '';
      for (; sent < due; sent += 1) chunk += block();
      if (chunk !== '') control?.enqueue(encoder.encode(chunk));
      if (sent === perSecond * seconds) resolve();
    };
  });
  worker.terminate();
  const elapsed = (performance.now() - began) / 1000;
  return { events: sent, renders: renders - before, seconds: elapsed };
}

Object.assign(globalThis, { bench: { run, ready: () => control !== undefined } });
