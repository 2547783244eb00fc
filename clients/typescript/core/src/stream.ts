/** What comes on a connection: the answer to its request, and then its blocks. */

import { again, type Connection } from './connection.js';
import { TidingsError } from './errors.js';
import { Joins } from './joins.js';
import { Parser, type SseEvent } from './parser.js';
import { watch } from './upkeep.js';
import type { EndReason, Gap, WireEvent } from './types.js';

/** The server has answered. Resolves when the attempt is over, and rejects when it is broken. */
export async function opened(
  connection: Connection,
  attempt: AbortController,
  response: Response,
): Promise<void> {
  const { status, headers, body } = response;
  const { clock, maxEventBytes, options } = connection.context;
  if (status === 204) {
    const topics = [...connection.on];
    connection.drop();
    connection.forget();
    connection.set({ state: 'idle' });
    connection.handler.done(topics);
    return;
  }
  const kind = headers.get('content-type') ?? '';
  if (status !== 200) throw new TidingsError('http', `status ${status}`, { status });
  if (!body || kind.split(';')[0]?.trim().toLowerCase() !== 'text/event-stream') {
    throw new TidingsError('not-an-event-stream', `not an event stream: ${kind}`, { status });
  }
  const joins = (connection.joins ??= new Joins(connection));
  connection.name = headers.get('tidings-connection') ?? '';
  connection.position ||= headers.get('last-event-id') ?? '';
  connection.everOpen = true;
  connection.openedAt = connection.lastByte = clock.now();
  connection.healthy = false;
  connection.set({ state: 'open' });
  watch(connection, attempt);
  joins.report(connection.on, connection.position);
  connection.fresh = false;
  joins.change();
  const parser = new Parser(
    {
      onEvent: (event) => attempt === connection.attempt && block(connection, joins, event),
      onId: (id) => attempt === connection.attempt && joins.reach(id),
      onRetry: (ms) => (connection.retry = Math.max(1, ms)),
      onComment: (text) => options.onFrame?.({ kind: 'comment', text }),
    },
    { maxEventBytes, lastEventId: connection.position },
  );
  const reader = body.getReader();
  while (attempt === connection.attempt) {
    const { done, value } = await reader.read();
    if (attempt !== connection.attempt) break;
    if (done) throw again('closed-by-server', 'the stream was cut');
    connection.lastByte = clock.now();
    if (connection.state === 'stale') connection.set({ state: 'open' });
    parser.feed(value);
  }
  reader.cancel().catch(() => {});
}

/** Hands on what a block says. */
function block(
  connection: Connection,
  joins: Joins,
  { type, data, lastEventId }: SseEvent,
): void {
  connection.context.options.onFrame?.({ kind: 'block', type, id: lastEventId, data });
  let said: Record<string, unknown>;
  try {
    said = JSON.parse(data);
    const { id, topic, time, reason } = said;
    const texts = type === 'gap' || type === 'end' ? [reason] : [id, topic, time];
    if (type === 'gap') texts.push(said['resumes']);
    if (!texts.every((text) => typeof text === 'string')) throw new Error('a member is missing');
  } catch (cause) {
    const what = `the event ${lastEventId} is not as the protocol has it`;
    throw new TidingsError('event', what, { cause });
  }
  connection.healthy = true;
  connection.failures = 0;
  if (type === 'gap') {
    connection.handler.gap({ topics: [], ...said } as unknown as Gap);
  } else if (type === 'end') {
    const [only] = connection.on;
    const topic = `${said['topic'] ?? only}`;
    connection.handler.end({ id: lastEventId, topic, reason: said['reason'] as EndReason });
  } else {
    joins.event(said as unknown as WireEvent);
  }
}
