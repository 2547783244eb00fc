// The rules by which a browser's figures are judged, and the file that the page shows.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { compare, judgeTabs, judgeWork, merged, spread } from '../tools/transport-rules.mjs';

test('the middle run counts, and the spread is kept', () => {
  assert.deepEqual(spread([9, 1, 5]), [5, 1, 9]);
  assert.deepEqual(spread([2, 1]), [1.5, 1, 2]);
});

test('a difference is one when it is large enough and no run blurs it', () => {
  const table = [
    [[10], [12], -1],
    [[12], [10], 1],
    [[10], [11], 0],
    [[0], [0], 0],
    [[9, 10, 11], [19, 20, 21], -1],
    [[9, 10, 25], [19, 20, 21], 0],
  ];
  for (const [one, other, expected] of table) {
    assert.equal(compare(spread(one), spread(other)), expected, `${one} ${other}`);
  }
  assert.equal(judgeWork(spread([20]), spread([10])), 'confirmed');
  assert.equal(judgeWork(spread([10]), spread([20])), 'refuted');
  assert.equal(judgeWork(spread([10]), spread([10])), 'depends');
});

test('tabs depend where one leader mends what the browser bounds', () => {
  assert.equal(judgeTabs(8, [6, 6], [8, 8]), 'depends');
  assert.equal(judgeTabs(8, [6, 6], [8, 7]), 'confirmed');
  assert.equal(judgeTabs(8, [8, 8], [8, 8]), 'refuted');
  assert.equal(judgeTabs(8, [8, 6], [8, 8]), 'depends');
});

test('rows are added to those of the bench', () => {
  const file = { by: 'x', rows: { H1: 1, H10: 2 } };
  assert.deepEqual(merged(file, { H10: 3 }), { by: 'x', rows: { H1: 1, H10: 3 } });
});

test('the file that the page shows has a verdict and figures in every row', () => {
  const place = new URL('../demo/pages/compare/transport.json', import.meta.url);
  const file = JSON.parse(readFileSync(place, 'utf8'));
  assert.equal(file.by, 'tidings bench transport');
  assert.match(file.made, /^\d{4}-\d\d-\d\dT/);
  assert.ok(file.machine.length > 10);
  const names = ['handshake', 'upstream', 'binary', ...Array.from({ length: 12 }, (_, n) => `H${n + 1}`)];
  assert.deepEqual(Object.keys(file.rows).toSorted(), names.toSorted());
  for (const [name, row] of Object.entries(file.rows)) {
    assert.match(row.verdict, /^(confirmed|refuted|depends)$/, name);
    assert.ok(row.sse && row.ws, name);
    for (const { label, columns } of row.figures) {
      for (const [column, [median, low, high]] of Object.entries(columns)) {
        assert.ok(low <= median && median <= high, `${name}: ${label}, ${column}`);
      }
    }
  }
});
