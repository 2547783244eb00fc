// The conformance cases in a browser: decoded by our parser, cut in every way, and for comparison
// by the browser's own EventSource.

import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { runs } from '../src/chromium.ts';
import { figure } from '../src/figures.ts';
import { House } from '../src/world.ts';

type Text = string | (string | { repeat: string; times: number })[];
interface Case {
  name: string;
  input?: Text;
  input_hex?: string;
  events: { type: Text; data: Text; id: Text }[];
  last_event_id: Text;
  retry?: number;
}

const FOLDER = fileURLToPath(new URL('../../../../conformance/sse/', import.meta.url));

/** A text as the cases write it. */
function plain(text: Text): string {
  if (typeof text === 'string') return text;
  return text.map((part) => (typeof part === 'string' ? part : part.repeat.repeat(part.times))).join('');
}

function bytes(one: Case): Buffer {
  if (one.input_hex !== undefined) return Buffer.from(one.input_hex.replace(/\s/g, ''), 'hex');
  return Buffer.from(plain(one.input ?? ''), 'utf8');
}

const cases = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.json'))
  .flatMap((file) => (JSON.parse(readFileSync(FOLDER + file, 'utf8')) as { cases: Case[] }).cases);

/** How a stream is cut: sizes of chunks, over and over. */
const CUTS = [[Infinity], [1], [2], atRandom(1), atRandom(7), atRandom(31)];

/** Sizes from 1 to 11, the same in each run. */
function atRandom(seed: number): number[] {
  let random = seed;
  return Array.from({ length: 97 }, () => {
    random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0;
    return 1 + ((random >>> 16) % 11);
  });
}

function wanted(one: Case) {
  const events = one.events.map(({ type, data, id }) => ({
    type: plain(type),
    data: plain(data),
    id: plain(id),
  }));
  return { events, last_event_id: plain(one.last_event_id), retry: one.retry };
}

describe.runIf(runs())('conformance', () => {
  const house = new House();

  test('our parser', async () => {
    const page = await open();
    const failures: string[] = [];
    let runsOfAll = 0;
    for (const one of cases) {
      const body = bytes(one).toString('base64');
      for (const sizes of CUTS) {
        runsOfAll += 1;
        const got = await page.evaluate(([all, by]) => window.tab.parse(all, [...by]), [
          body,
          sizes.map((size) => Math.min(size, 1 << 30)),
        ] as const);
        if (!same(got, wanted(one))) failures.push(`${one.name}, chunks of ${sizes.slice(0, 5)}`);
      }
    }
    expect(cases.length).toBeGreaterThan(50);
    expect(failures).toEqual([]);
    figure('conformance in Chromium, our parser: runs', runsOfAll, '');
    figure('conformance in Chromium, our parser: failures', failures.length, '');
  });

  test("the browser's own EventSource, for comparison", async () => {
    const page = await open();
    const server = createServer((request, response) => {
      const one = cases[Number(request.url?.slice(1))];
      const headers = { 'content-type': 'text/event-stream', 'access-control-allow-origin': '*' };
      response.writeHead(200, headers);
      response.end(one === undefined ? '' : bytes(one));
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const address = server.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const failures: string[] = [];
    try {
      for (const [index, one] of cases.entries()) {
        const { events } = wanted(one);
        const types = events.map(({ type }) => type);
        const url = `http://127.0.0.1:${port}/${index}`;
        const got = await page.evaluate(([from, of]) => window.tab.native(from, of), [
          url,
          types,
        ] as const);
        if (!same(got, { events })) failures.push(one.name);
      }
    } finally {
      server.closeAllConnections();
      server.close();
    }
    figure('conformance in Chromium, its own EventSource: cases', cases.length, '');
    figure('conformance in Chromium, its own EventSource: failures', failures.length, '');
    for (const failure of failures) console.info(`EventSource of the browser: ${failure}`);
  });

  async function open(): Promise<Page> {
    const page = await house.browser.newPage();
    await page.goto(`${house.site.url}/${house.page}`);
    return page;
  }
});

const same = (a: unknown, b: unknown) => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

/** With the members of objects in one order, and undefined ones left out. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(
    entries.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, member]) => [name, sorted(member)]),
  );
}
