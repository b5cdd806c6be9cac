/** Long series with fewer points. */

import assert from "node:assert/strict";
import { thinnedRows } from "../../core/analysis/thinned.ts";

Deno.test("few rows stay as they are", () => {
  assert.deepEqual(thinnedRows([3, 1, 2], 0, 10), [0, 1, 2]);
  assert.deepEqual(thinnedRows([3, 1, 2], 2, 10), [2]);
  assert.deepEqual(thinnedRows([3, 1, 2], 3, 10), []);
});

Deno.test("of many rows the last one stays, and of each stretch the first, the smallest, the largest and the first that is no number", () => {
  const values = Array.from({ length: 1000 }, (_, i) => i % 7);
  values[123] = 100;
  values[456] = -100;
  values[700] = values[701] = NaN;
  const rows = thinnedRows(values, 0, 101);
  assert.ok(rows.length <= 101 && rows.length > 60, `${rows.length}`);
  assert.deepEqual(rows, rows.toSorted((a, b) => a - b));
  assert.equal(new Set(rows).size, rows.length);
  for (const row of [0, 123, 456, 700, 999]) assert.ok(rows.includes(row), `row ${row}`);
  assert.ok(!rows.includes(701));
});

Deno.test("every bound is kept, whatever the length", () => {
  for (const length of [5, 99, 100, 101, 4001]) {
    for (const from of [0, 3]) {
      for (const most of [4, 5, 40]) {
        const rows = thinnedRows(Array.from({ length }, (_, i) => Math.sin(i)), from, most);
        assert.ok(rows.length <= Math.max(most, 5) && rows[0] >= from && rows.at(-1) === length - 1);
      }
    }
  }
});
