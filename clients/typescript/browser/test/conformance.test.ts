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
  const parts = text.map((part) => {
    return typeof part === 'string' ? part : part.repeat.repeat(part.times);
  });
  return parts.join('');
}

function bytes(one: Case): Buffer {
  if (one.input_hex !== undefined) return Buffer.from(one.input_hex.replace(/\s/g, ''), 'hex');
  return Buffer.from(plain(one.input ?? ''), 'utf8');
}

const cases = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.json'))
  .flatMap((file) => (JSON.parse(readFileSync(FOLDER + file, 'utf8')) as { cases: Case[] }).cases);

/** How a stream is cut: sizes of chunks, over and over. */
const CUTS = [[1 << 30], [1], [2], atRandom(1), atRandom(7), atRandom(31)];

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
      const asked = [bytes(one).toString('base64'), CUTS] as const;
      const all = await page.evaluate(([body, cuts]) => window.tab.parse(body, cuts), asked);
      for (const [index, got] of all.entries()) {
        runsOfAll += 1;
        if (!same(got, wanted(one))) failures.push(`${one.name}, cut in way ${index}`);
      }
    }
    expect(cases.length).toBeGreaterThan(50);
    expect(failures).toEqual([]);
    figure('conformance in Chromium, our parser: runs', runsOfAll, '');
    figure('conformance in Chromium, our parser: failures', failures.length, '');
  });

  for (const native of [false, true]) {
    const who = native ? "the browser's own EventSource, for comparison" : 'our EventSource';

    test(who, async () => {
      const page = await open();
      const failures: string[] = [];
      const { url, end } = await serve();
      try {
        for (const [index, one] of cases.entries()) {
          const { events } = wanted(one);
          const types = events.map(({ type }) => type);
          const asked = [`${url}/${index}`, types, native] as const;
          const got = await page.evaluate(
            ([from, of, by]) => window.tab.source(from, [...of], by),
            asked,
          );
          if (!same(got, { events })) failures.push(one.name);
        }
      } finally {
        end();
      }
      figure(`conformance in Chromium, ${who}: failures of ${cases.length}`, failures.length, '');
      for (const failure of failures) console.info(`${who}: ${failure}`);
      if (!native) expect(failures).toEqual([]);
    });
  }

  async function open(): Promise<Page> {
    const page = await house.browser.newPage();
    await page.goto(`${house.site.url}/${house.page}`);
    return page;
  }
});

/** A server whose path `/3` is the third case's stream. */
async function serve(): Promise<{ url: string; end(): void }> {
  const server = createServer((request, response) => {
    const one = cases[Number(request.url?.slice(1))];
    const headers = { 'content-type': 'text/event-stream', 'access-control-allow-origin': '*' };
    response.writeHead(200, headers);
    response.end(one === undefined ? '' : bytes(one));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    end() {
      server.closeAllConnections();
      server.close();
    },
  };
}

const same = (a: unknown, b: unknown) => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

/** With the members of objects in one order, and undefined ones left out. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(
    entries
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)]),
  );
}
