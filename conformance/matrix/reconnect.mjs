// Runs the reconnection cases: a scripted server, one connection after the other, and what a client
// has asked and handed out.

import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { constants, createGzip } from 'node:zlib';
import { reconnectionCases } from './cases.mjs';

/** How long a client may take to come, in milliseconds; those compared wait 5 s at most. */
const PATIENCE_MS = 15_000;
/** How long a client must stay away to count as closed, in milliseconds. */
const CLOSED_MS = 6_000;
const REASONS = { 200: 'OK', 204: 'No Content' };

/** An event on the wire; `envelope` says whether its data is the event object. */
function block(event, envelope) {
  const { id, data } = event;
  const object = { id, topic: 't', time: '1970-01-01T00:00:00.000Z', data };
  return `id: ${id}\ndata: ${envelope ? JSON.stringify(object) : data}\n\n`;
}

function bytesOf(part, envelope) {
  if (typeof part === 'string') return Buffer.from(part);
  const whole = Buffer.from(block(part.event, envelope));
  return whole.subarray(0, whole.length - (part.without ?? 0));
}

function head(connection, coding, length) {
  const { status, framing } = connection;
  const headers = { ...(connection.headers ?? { 'Content-Type': 'text/event-stream' }) };
  headers.Connection = 'close';
  if (coding) headers['Content-Encoding'] = coding;
  if (framing === 'chunked') headers['Transfer-Encoding'] = 'chunked';
  if (length !== undefined) headers['Content-Length'] = length;
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${REASONS[status] ?? 'Status'}\r\n${lines.join('')}\r\n`;
}

const end = (socket) => new Promise((done) => socket.end(done));

/** Answers one request as its connection says; `ends` is called just before the end. */
async function answer(socket, connection, request, envelope, ends) {
  if (connection.delay_ms) await sleep(connection.delay_ms);
  const parts = connection.body.map((part) => part.pause_ms ?? bytesOf(part, envelope));
  if (connection.status !== 0) {
    const wanted = /gzip/.test(request.headers['accept-encoding'] ?? '');
    const gzip = connection.gzip && wanted ? createGzip({ flush: constants.Z_SYNC_FLUSH }) : null;
    const sizes = parts.map((part) => part.length ?? 0);
    const counted = connection.framing === 'length' || connection.body.length === 0;
    const closes = connection.then === 'close' && connection.status !== 204;
    const length = counted && closes ? sizes.reduce((sum, size) => sum + size, 0) : undefined;
    ends();
    socket.write(head(connection, gzip && 'gzip', length));
    gzip?.on('data', (bytes) => socket.write(bytes));
    for (const part of parts) {
      if (typeof part === 'number') await sleep(part);
      else if (gzip) await new Promise((done) => gzip.write(part, done));
      else if (connection.framing === 'chunked') {
        socket.write(`${part.length.toString(16)}\r\n`);
        socket.write(part);
        socket.write('\r\n');
      } else socket.write(part);
    }
    if (gzip) await new Promise((done) => gzip.on('end', done).end());
    if (connection.framing === 'chunked' && connection.then === 'close') {
      socket.write('0\r\n\r\n');
    }
  }
  if (parts.length > 0) ends();
  if (connection.then === 'reset') socket.resetAndDestroy();
  else if (connection.then !== 'hold') await end(socket);
}

function parse(text) {
  const [first, ...lines] = text.split('\r\n');
  const [method, target] = first.split(' ');
  const pairs = lines.map((line) => line.split(/: ?(.*)/s, 2));
  const headers = Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value]));
  return { method, path: new URL(target, 'http://x').pathname, target, headers };
}

/** What a client has asked wrongly, or nothing. */
function wrongRequest(expected, request, waited) {
  const { path = '/topics/t', last_event_id: id, wait_ms_min: least } = expected;
  if (request.path !== path) return `it asked for ${request.path}, not ${path}`;
  const header = request.headers['last-event-id'];
  const query = new URL(request.target, 'http://x').searchParams.get('lastEventId');
  const sent = header === undefined ? (query ?? '') : Buffer.from(header, 'latin1').toString();
  if (id !== undefined && sent !== id) {
    return id === '' ? `it sent the id \`${sent}\`` : `it sent the id \`${sent}\`, not \`${id}\``;
  }
  if (least !== undefined && waited < least) return `it waited ${waited} ms, not ${least}`;
  return null;
}

/** A server that plays the connections of one case; `asked` are the requests so far. */
class Script {
  asked = [];
  wrong = null;
  #ended = 0;
  #sockets = new Set();
  #server = createServer((socket) => this.#connected(socket));

  constructor(one, envelope) {
    this.one = one;
    this.envelope = envelope;
  }

  async listen() {
    await new Promise((done) => this.#server.listen(0, '127.0.0.1', done));
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
  }

  close() {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #connected(socket) {
    this.#sockets.add(socket);
    socket.setNoDelay();
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (text === null || !text.includes('\r\n\r\n')) return;
      const request = parse(text.split('\r\n\r\n')[0]);
      text = '';
      this.#request(socket, request);
    });
  }

  async #request(socket, request) {
    const index = this.asked.length;
    const waited = Date.now() - this.#ended;
    this.asked.push(request);
    const connection = this.one.connections[index];
    if (!connection) {
      socket.end('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n');
      return;
    }
    const wrong = wrongRequest(connection.request ?? {}, request, waited);
    if (wrong) this.wrong ??= `request ${index + 1}: ${wrong}`;
    await answer(socket, connection, request, this.envelope, () => (this.#ended = Date.now()));
  }
}

const list = (events) => events.map(({ data }) => data).join(' ') || 'nothing';

function wrongEvents(found, expected) {
  const same = ({ type, data, id }, index) =>
    type === 'message' &&
    data === expected[index]?.data &&
    (id === null || id === expected[index]?.id);
  if (found.length === expected.length && found.every(same)) return null;
  if (list(found) === list(expected)) return 'an event has the wrong id or type';
  return `it handed out ${list(found)}, not ${list(expected)}`;
}

async function until(probe, patience) {
  const deadline = Date.now() + patience;
  while (!probe() && Date.now() < deadline) await sleep(20);
  return probe();
}

/** What is wrong with a client in this case; null if nothing is. */
async function judge(client, one) {
  const script = new Script(one, client.envelope);
  await script.listen();
  const found = [];
  let closed = false;
  const sink = {
    // What is made of blocks without data is decoding, and is looked at there.
    event: (event) => event.data !== '' && found.push(event),
    lost() {},
    closed: () => (closed = true),
  };
  const expected = one.items.map(({ event }) => event);
  const count = one.connections.length;
  const options = { types: ['message'], silence: one.silence_ms };
  const url = client.envelope ? script.url : `${script.url}/topics/t`;
  const close = await client.open(url, options, sink);
  try {
    for (let index = 0; index < count; index += 1) {
      const came = () => script.asked.length > index || script.wrong || closed;
      await until(came, PATIENCE_MS);
      if (script.wrong) return script.wrong;
      if (script.asked.length > index) continue;
      return index === 0 ? 'it did not ask' : `it did not come back after connection ${index}`;
    }
    await until(() => found.length >= expected.length, PATIENCE_MS);
    if (one.outcome === 'closed') await until(() => script.asked.length > count, CLOSED_MS);
    if (script.asked.length > count) return 'it came back once more';
    return script.wrong ?? wrongEvents(found, expected);
  } finally {
    await close();
    script.close();
  }
}

/** The result of each case: `group`, `name`, `rule`, and what was `wrong`, if anything. */
export async function reconnect(client) {
  const judged = reconnectionCases().map(async (one) => {
    const { group, name, rule } = one;
    if (client.skips?.has(rule)) return { group, name, rule, skipped: true, wrong: null };
    return { group, name, rule, wrong: await judge(client, one) };
  });
  return Promise.all(judged);
}
