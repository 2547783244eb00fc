// Feeds the decoding cases to a client over real HTTP, in every cut, and says what it got wrong.

import { createServer } from 'node:http';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { cuts, decodingCases } from './cases.mjs';

/**
 * How long the events of a stream that is left open may take, in milliseconds, before they count as
 * held back: at first, and once more for those that did not keep to it. What comes in time is not
 * waited for.
 */
const HELD_BACK_MS = [400, 8_000];
/** How long a client may take to ask, in milliseconds. */
const ASK_MS = 30_000;
/**
 * How long a client may take to notice that its stream has ended, in milliseconds: in this process,
 * and where `remote` ones tell of it.
 */
const NOTICE_MS = { here: 2_000, remote: 15_000 };

/** The server of the streams: each has a path of its own and is sent once. */
export class Streams {
  #streams = new Map();
  #count = 0;
  #server = createServer((request, response) => this.#answer(request, response));

  static async listen() {
    const streams = new Streams();
    await new Promise((done) => streams.#server.listen(0, '127.0.0.1', done));
    return streams;
  }

  close() {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #answer(request, response) {
    const stream = this.#streams.get(request.url);
    const cors = { 'access-control-allow-origin': '*' };
    // Whoever comes back has noticed the end, and is to stay away.
    if (!stream || stream.asked) {
      stream?.again();
      response.writeHead(204, cors).end();
      return;
    }
    stream.asked = true;
    stream.begin();
    response.writeHead(200, { ...cors, 'content-type': 'text/event-stream' });
    response.flushHeaders();
    stream.send(response);
  }

  /** A stream that sends these pieces: where it is, and what happens to it. */
  add(pieces) {
    const path = `/${(this.#count += 1)}`;
    const stream = { url: `http://127.0.0.1:${this.#server.address().port}${path}` };
    stream.sent = new Promise((resolve) => {
      stream.send = async (response) => {
        stream.response = response;
        for (const piece of pieces) {
          response.write(piece);
          // The loop turns, so that a client in this process reads each piece by itself.
          await setImmediate();
        }
        resolve();
      };
    });
    stream.begun = new Promise((resolve) => (stream.begin = resolve));
    stream.returned = new Promise((resolve) => (stream.again = resolve));
    stream.forget = () => this.#streams.delete(path);
    this.#streams.set(path, stream);
    return stream;
  }
}

const same = (found, expected) =>
  found.length === expected.length &&
  found.every(
    ({ type, data, id }, index) =>
      type === expected[index].type &&
      data === expected[index].data &&
      (id === null || id === expected[index].id),
  );

/** What is wrong, in a few words. */
function fault({ timely, all, events }) {
  if (same(timely, events) && same(all, events)) return null;
  if (same(all, events)) return 'held back';
  if (all.length > events.length) return 'events too many';
  if (all.length < events.length) return 'events lost';
  const differs = (name) =>
    all.some(({ [name]: value }, index) => value !== null && value !== events[index][name]);
  return ['data', 'type', 'id'].filter(differs).map((name) => `wrong ${name}`).join(', ');
}

async function attempt(streams, client, types, one, pieces, patience) {
  const stream = streams.add(pieces);
  const notice = Math.max(patience, client.remote ? NOTICE_MS.remote : NOTICE_MS.here);
  const all = [];
  const ended = {};
  ended.seen = new Promise((resolve) => (ended.see = resolve));
  let enough;
  const complete = new Promise((resolve) => (enough = resolve));
  const sink = {
    event(event) {
      all.push(event);
      if (all.length >= one.events.length) enough();
    },
    lost: () => ended.see(),
    closed: () => ended.see(),
  };
  const close = await client.open(stream.url, { types }, sink);
  await Promise.race([stream.begun, sleep(ASK_MS)]);
  if (!stream.asked) throw new Error(`${one.name}: not asked for`);
  await stream.sent;
  if (one.events.length > 0) await Promise.race([complete, ended.seen, sleep(patience)]);
  const timely = [...all];
  stream.response?.end();
  await Promise.race([ended.seen, stream.returned, sleep(notice)]);
  await close();
  stream.forget();
  return { found: fault({ timely, all, events: one.events }), all };
}

async function judge(streams, client, types, one) {
  const failed = [];
  for (const { how, pieces } of cuts(one.bytes)) {
    let result;
    for (const patience of HELD_BACK_MS) {
      result = await attempt(streams, client, types, one, pieces, patience);
      if (result.found === null) break;
    }
    if (result.found !== null) failed.push({ how, fault: result.found });
  }
  return { group: one.group, name: one.name, failed };
}

/** The result of each case: `group`, `name`, and the cuts in which it `failed`, with the fault. */
export async function decode(streams, client) {
  const cases = decodingCases();
  const types = new Set(cases.flatMap(({ events }) => events.map(({ type }) => type)));
  types.add('message');
  const results = new Array(cases.length);
  let next = 0;
  const work = async () => {
    for (let index; (index = next++) < cases.length; ) {
      results[index] = await judge(streams, client, [...types], cases[index]);
    }
  };
  await Promise.all(Array.from({ length: client.parallel ?? 16 }, work));
  return results;
}
