// The cases of ../sse and ../reconnect, as the runners need them.

import { readFileSync, readdirSync } from 'node:fs';

const at = (path) => new URL(`../${path}`, import.meta.url);

/** Random cuts of each stream, besides whole, byte by byte and two bytes at a time. */
const RANDOM_CUTS = 3;
/** Pieces of one size at either end of a stream; what is between them is one piece. */
const FINE_PIECES_MAX = 150;

/** A text as the cases write it: a string, or a list of strings and of repeats. */
function expand(text) {
  if (typeof text === 'string') return text;
  const one = (part) => (typeof part === 'string' ? part : part.repeat.repeat(part.times));
  return text.map(one).join('');
}

function load(folder) {
  const names = readdirSync(at(`${folder}/`)).filter((name) => name.endsWith('.json'));
  return names.sort().flatMap((name) => {
    const { cases } = JSON.parse(readFileSync(at(`${folder}/${name}`)));
    return cases.map((one) => ({ group: name.replace('.json', ''), ...one }));
  });
}

/** The decoding cases: `group`, `name`, `bytes`, and the `events` that must come. */
export function decodingCases() {
  return load('sse').map(({ group, name, input, input_hex, events }) => ({
    group,
    name,
    bytes: input_hex === undefined ? Buffer.from(expand(input)) : Buffer.from(input_hex, 'hex'),
    events: events.map(({ type, data, id }) => ({
      type: expand(type),
      data: expand(data),
      id: expand(id),
    })),
  }));
}

/** The reconnection cases, as they are written. */
export const reconnectionCases = () => load('reconnect');

/** Numbers that look random and are always the same (mulberry32). */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function pieces(bytes, sizeAt) {
  const found = [];
  for (let begin = 0; begin < bytes.length; ) {
    const end = Math.min(bytes.length, begin + Math.max(1, sizeAt(begin)));
    found.push(bytes.subarray(begin, end));
    begin = end;
  }
  return found;
}

function fine(size, bytes) {
  const edge = FINE_PIECES_MAX * size;
  const middle = bytes.length - 2 * edge;
  return pieces(bytes, (begin) => (begin === edge && middle > 0 ? middle : size));
}

/** All the ways in which a stream is cut into pieces. */
export function cuts(bytes) {
  const cut = [
    { how: 'whole', pieces: pieces(bytes, () => bytes.length) },
    { how: 'byte by byte', pieces: fine(1, bytes) },
    { how: 'in pairs', pieces: fine(2, bytes) },
  ];
  for (let seed = 1; seed <= RANDOM_CUTS; seed += 1) {
    const next = random(seed);
    const most = Math.max(8, bytes.length / FINE_PIECES_MAX);
    cut.push({ how: `at random (${seed})`, pieces: pieces(bytes, () => Math.ceil(next() * most)) });
  }
  return cut;
}
