import { expect, test, vi } from 'vitest';
import { needProgram } from './program.js';

const TIDINGS_BIN = '/nowhere/tidings';

test('a missing program leaves tests out, and says so', () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  expect(needProgram({ TIDINGS_BIN })).toBeUndefined();
  expect(warn.mock.calls.flat().join()).toContain(TIDINGS_BIN);
  warn.mockRestore();
});

test.each(['TIDINGS_REQUIRE_NODE', 'TIDINGS_REQUIRE_BROWSER'])(
  'with %s a missing program is a failure',
  (name) => {
    expect(() => needProgram({ TIDINGS_BIN, [name]: '1' })).toThrow(`${name}=1, but`);
  },
);

test('a program that is there is taken, required or not', () => {
  const there = { TIDINGS_BIN: process.execPath };
  expect(needProgram(there)).toBe(process.execPath);
  expect(needProgram({ ...there, TIDINGS_REQUIRE_NODE: '1' })).toBe(process.execPath);
});
