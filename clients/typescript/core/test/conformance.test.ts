/** `conformance/client/subscriptions.json`, over real sockets. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createClient, type Gap, type SubscribeOptions, type TidingsError } from '../src/index.js';
import type { End, TidingsEvent } from '../src/types.js';
import { ScriptedServer } from './server.js';

type Json = Record<string, unknown>;
type Text = string | (string | { repeat: string; times: number })[];

interface Connection {
  request: { path: string; method?: string; last_event_id?: string };
  status: number;
  headers?: Record<string, string>;
  raw?: boolean;
  body: (Text | { event: Json })[];
  then: 'close' | 'hold';
}

interface Case {
  name: string;
  topics?: string[];
  patterns?: string[];
  start?: Json;
  silence_ms?: number;
  event_bytes_max?: number;
  attempts_max?: number;
  first_attempt_final?: boolean;
  connections: Connection[];
  items: { event?: Json; gap?: Json; end?: Json }[];
  outcome: string;
}

const file = new URL('../../../../conformance/client/subscriptions.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: Case[] };

function text(value: Text): string {
  if (typeof value === 'string') return value;
  return value.map((part) => (typeof part === 'string' ? part : part.repeat.repeat(part.times)))
    .join('');
}

function part(said: Connection['body'][number]): string {
  if (typeof said === 'string' || Array.isArray(said)) return text(said);
  const event = { topic: 't', time: '1970-01-01T00:00:00Z', ...said.event } as Json;
  if (Array.isArray(event['data'])) event['data'] = text(event['data']);
  const type = event['type'] === undefined ? '' : `event: ${String(event['type'])}\n`;
  return `id: ${String(event['id'])}\n${type}data: ${JSON.stringify(event)}\n\n`;
}

function options(start: Json = {}): SubscribeOptions {
  if (start['earliest']) return { history: 'all' };
  if (start['after']) return { lastEventId: start['after'] as string };
  if (start['last']) return { history: start['last'] as number };
  if (start['since']) return { since: start['since'] as string };
  if (start['since_ago_ms']) return { since: `${String(start['since_ago_ms'])}ms` };
  return {};
}

/** The event as the case has it: members that it does not name are not compared. */
function shown(event: TidingsEvent, expected: Json): Json {
  const { bytes, ...rest } = event;
  const all: Json = { ...rest };
  if (bytes) all['data_base64'] = Buffer.from(bytes).toString('base64');
  if ('data_base64' in expected) delete all['data'];
  if (!('topic' in expected)) delete all['topic'];
  delete all['time'];
  return all;
}

const CODES: Record<string, string> = {
  'not-an-event-stream': 'not-an-event-stream',
  redirect: 'redirect',
  'too-large': 'too-large',
  event: 'event',
  'gave-up': 'gave-up',
};

async function run(test: Case): Promise<void> {
  const server = await ScriptedServer.start(
    test.connections.map((connection) => ({ ...connection, body: connection.body.map(part) })),
  );
  const client = createClient({
    url: server.url,
    retry: {
      min: 1,
      max: 1,
      ...(test.attempts_max && { attempts: test.attempts_max }),
      ...(test.first_attempt_final && { initial: false }),
    },
    ...(test.silence_ms && { heartbeatTimeout: test.silence_ms, openTimeout: test.silence_ms }),
    ...(test.event_bytes_max && { maxEventBytes: test.event_bytes_max }),
  });
  const items: { event?: TidingsEvent; gap?: Gap; end?: End }[] = [];
  let failure: TidingsError | undefined;
  let over = false;
  try {
    const sub = client.subscribe(
      [...(test.topics ?? ['t']), ...(test.patterns ?? [])],
      options(test.start),
    );
    sub.on('gap', (gap) => items.push({ gap }));
    sub.on('end', (end) => items.push({ end }));
    const reading = (async () => {
      try {
        for await (const event of sub) items.push({ event });
      } catch (error) {
        failure = error as TidingsError;
      }
      over = true;
    })();
    const open = test.outcome === 'open';
    await expect
      .poll(() => (open ? items.length : over), { timeout: 20_000, interval: 2 })
      .toBe(open ? test.items.length : true);
    expect(items.length).toBe(test.items.length);
    test.items.forEach((expected, at) => {
      const { event, gap, end } = items[at] ?? {};
      if (expected.event) expect(event && shown(event, expected.event)).toEqual(expected.event);
      if (expected.gap) expect(gap).toMatchObject(expected.gap);
      if (expected.end) expect(end).toEqual(expected.end);
    });
    if (test.outcome === 'open' || test.outcome === 'done') expect(failure).toBeUndefined();
    else if (test.outcome === 'refused') expect(failure?.status).toBeGreaterThanOrEqual(205);
    else expect(failure?.code).toBe(CODES[test.outcome]);
    if (open) sub.close();
    await reading;
    // Nothing more may be asked for: whatever was about to be, has been by then.
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(server.seen.map(({ path }) => path))
      .toEqual(test.connections.map(({ request }) => request.path));
    test.connections.forEach(({ request }, at) => {
      const seen = server.seen[at];
      expect(seen?.method).toBe(request.method ?? 'GET');
      expect(seen?.headers['accept']).toBe('text/event-stream');
      expect(seen?.headers['cache-control']).toBe('no-cache');
      if (request.last_event_id !== undefined) {
        const bytes = Buffer.from(`${seen?.headers['last-event-id'] ?? ''}`, 'latin1');
        expect(bytes.toString()).toBe(request.last_event_id);
      }
      if (request.method === 'POST') {
        expect(JSON.parse(seen?.body ?? '').topics).toEqual(test.topics);
      }
    });
  } finally {
    client.close();
    await server.stop();
  }
}

describe('conformance/client/subscriptions.json', () => {
  it('has all of its cases', () => expect(cases.length).toBeGreaterThanOrEqual(98));
  for (const test of cases) it(test.name, { timeout: 30_000 }, () => run(test));
});
