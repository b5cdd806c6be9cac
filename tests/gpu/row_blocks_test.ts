/** Matrices in blocks of rows: what is stored and gathered is what one tensor would hold, bit by bit. */

import assert from "node:assert/strict";
import { downloadF32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import {
  createRowBlocks,
  oneBlock,
  recordGather,
  recordPrepared,
  recordPreparedBeside,
  recordScatter,
  recordStore,
  type RowBlocks,
  uploadRows,
} from "../../core/gpu/row_blocks.ts";
import { bindingAtMost } from "./small_bindings.ts";
import { gaussians } from "../random.ts";

const gpu = await openGpu();
const ROWS = 23, WIDTH = 8, ROW_BYTES = WIDTH * 4;
const data = gaussians(ROWS * WIDTH, 1), whole = tensorFrom(gpu, "whole", [ROWS, WIDTH], data);
const columns = tensorFrom(gpu, "columns", [2, WIDTH], gaussians(2 * WIDTH, 2));

/** Rows as they are, and the same prepared. */
async function gather(from: RowBlocks, order: number[], first: number) {
  const rows = order.length - first;
  const [y, prepared] = ["y", "prepared"].map((label) =>
    tensorFrom(gpu, label, [rows, WIDTH], new Float32Array(rows * WIDTH).fill(NaN))
  );
  const pass = new Pass(gpu);
  const numbers = tensorFrom(gpu, "order", [order.length], Uint32Array.from(order));
  recordGather(pass, from, numbers, y, { rows, width: WIDTH, first });
  recordPrepared(pass, from, numbers, columns, prepared, { rows, width: WIDTH, first });
  pass.submit();
  return [await downloadF32(gpu, y), await downloadF32(gpu, prepared)];
}

// The most rows of a block: one, two that do not divide, one less and as many as there are, and more.
for (const [most, blocks] of [[1, 23], [4, 6], [22, 2], [23, 1], [1000, 1]]) {
  Deno.test(`${ROWS} rows where ${most} can be bound lie in ${blocks} blocks and are gathered as from one`, async () => {
    const matrix = createRowBlocks(bindingAtMost(gpu, most * ROW_BYTES + 3), "matrix", ROWS, WIDTH);
    assert.equal(matrix.blocks.length, blocks);
    assert.ok(matrix.blocks.every(({ buffer }) => buffer.size <= most * ROW_BYTES));
    assert.equal(matrix.blocks.reduce((rows, { shape }) => rows + shape[0], 0), ROWS);

    // In runs of 7 rows, which straddle the blocks' borders.
    const pass = new Pass(gpu);
    for (let first = 0; first < ROWS; first += 7) {
      const run = tensorFrom(gpu, "run", [7, WIDTH], data.slice(first * WIDTH, (first + 7) * WIDTH));
      recordStore(pass, run, matrix, first, Math.min(7, ROWS - first));
    }
    pass.submit();
    const held = await Promise.all(matrix.blocks.map((block) => downloadF32(gpu, block)));
    assert.deepEqual(held.flatMap((block) => [...block]), [...data]);

    const uploaded = createRowBlocks(bindingAtMost(gpu, most * ROW_BYTES + 3), "uploaded", ROWS, WIDTH);
    for (let first = 0; first < ROWS; first += 7) {
      uploadRows(gpu, data.subarray(first * WIDTH, (first + 7) * WIDTH), uploaded, first);
    }
    const filled = await Promise.all(uploaded.blocks.map((block) => downloadF32(gpu, block)));
    assert.deepEqual(filled.flatMap((block) => [...block]), [...data]);

    const order = Array.from({ length: 2 * ROWS }, (_, n) => (n * 9 + 4) % ROWS);
    const gathered = await gather(matrix, order, 3);
    assert.deepEqual(gathered, await gather(oneBlock(whole), order, 3));
    assert.ok(gathered.flatMap((rows) => [...rows]).every(Number.isFinite), "every row was written");
  });
}

// Rows that do not fill a workgroup's, all of them, and one; from the first place of the order, and from a later one.
for (const [rows, first] of [[5, 0], [23, 0], [1, 4], [18, 5]]) {
  for (const isOne of [false, true]) {
    Deno.test(`${isOne ? "one row" : `${rows} rows`} scattered to ${rows} places from ${first} on: the others keep what they hold`, async () => {
      const order = Uint32Array.from({ length: first + rows }, (_, n) => (n * 9 + 4) % ROWS);
      const y = tensorFrom(gpu, "y", [ROWS, WIDTH], data), from = gaussians((isOne ? 1 : rows) * WIDTH, 3);
      const x = tensorFrom(gpu, "x", [isOne ? 1 : rows, WIDTH], from);
      const pass = new Pass(gpu), numbers = tensorFrom(gpu, "order", [order.length], order);
      recordScatter(pass, x, numbers, y, { rows, width: WIDTH, first });
      pass.submit();
      const expected = Array.from({ length: ROWS }, (_, row) => {
        const r = order.indexOf(row, first) - first, source = isOne ? 0 : r;
        return r < 0 ? data.slice(row * WIDTH, (row + 1) * WIDTH) : from.slice(source * WIDTH, (source + 1) * WIDTH);
      });
      assert.deepEqual([...await downloadF32(gpu, y)], expected.flatMap((row) => [...row]));
    });
  }
}

Deno.test("matrices of different widths and blocks come to stand side by side, each prepared by its own columns", async () => {
  const widths = [8, 4, 12], total = 24, rows = 9, first = 2;
  const order = tensorFrom(gpu, "order", [first + rows], Uint32Array.from({ length: first + rows }, (_, n) => n * 2));
  const all = gaussians(2 * total, 5),
    y = tensorFrom(gpu, "y", [rows, total], new Float32Array(rows * total).fill(NaN));
  const matrices = widths.map((width, m) => {
    const matrix = createRowBlocks(bindingAtMost(gpu, 10 * width * 4), "matrix", ROWS, width), pass = new Pass(gpu);
    recordStore(pass, tensorFrom(gpu, "rows", [ROWS, width], gaussians(ROWS * width, 6 + m)), matrix, 0, ROWS);
    pass.submit();
    return matrix;
  });
  const pass = new Pass(gpu), beside = tensorFrom(gpu, "columns", [2, total], all);
  recordPreparedBeside(pass, matrices, order, beside, y, { rows, first });
  pass.submit();
  const found = await downloadF32(gpu, y);
  let column = 0;
  for (const [m, width] of widths.entries()) {
    const alone = tensorFrom(gpu, "alone", [rows, width], new Float32Array(rows * width)), from = column;
    const own = all.filter((_, at) => at % total >= from && at % total < from + width), pass = new Pass(gpu);
    recordPrepared(pass, matrices[m], order, tensorFrom(gpu, "own", [2, width], own), alone, { rows, width, first });
    pass.submit();
    const mine = found.filter((_, at) => at % total >= from && at % total < from + width);
    assert.deepEqual(mine, await downloadF32(gpu, alone), `matrix ${m}`);
    column += width;
  }
});

for (const isOne of [false, true]) {
  Deno.test(`columns of ${isOne ? "one wider row" : "wider rows"} are scattered, the others are not`, async () => {
    const rows = 7, wide = 20, column = 4, from = gaussians((isOne ? 1 : rows) * wide, 8);
    const order = Uint32Array.from({ length: rows }, (_, n) => (n * 9 + 4) % ROWS);
    const y = tensorFrom(gpu, "y", [ROWS, WIDTH], data), x = tensorFrom(gpu, "x", [isOne ? 1 : rows, wide], from);
    const pass = new Pass(gpu), numbers = tensorFrom(gpu, "order", [rows], order);
    recordScatter(pass, x, numbers, y, { rows, width: WIDTH, first: 0, column });
    pass.submit();
    const expected = data.slice();
    order.forEach((row, r) => {
      const begin = (isOne ? 0 : r) * wide + column;
      expected.set(from.subarray(begin, begin + WIDTH), row * WIDTH);
    });
    assert.deepEqual(await downloadF32(gpu, y), expected);
  });
}

Deno.test("a row that cannot be bound is refused in one sentence", () => {
  const make = () => createRowBlocks(bindingAtMost(gpu, ROW_BYTES - 1), "matrix", ROWS, WIDTH);
  assert.throws(make, /^UserError: Cannot allocate "matrix, block 1 of 23" \(1 x 8\): .* binds at most 31 bytes/);
});
