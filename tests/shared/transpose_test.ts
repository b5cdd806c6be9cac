import assert from "node:assert/strict";
import { downloadF32, downloadU32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { transpose, transposePairs } from "../../wgsl/shared/transpose.ts";
import { gaussians } from "../random.ts";

const gpu = await openGpu();

// One workgroup has 64 invocations, one per element of the padded result.
for (
  const [rows, columns, padded_rows] of [[1, 1, 1], [1, 7, 4], [13, 5, 16], [8, 8, 8], [9, 7, 9], [63, 1, 65], [
    3,
    65,
    4,
  ]]
) {
  Deno.test(`transpose: ${rows} x ${columns}, padded to ${padded_rows}, exactly`, async () => {
    const x = gaussians(rows * columns, 1);
    const y = tensorFrom(gpu, "y", [columns * padded_rows + 1], new Float32Array(columns * padded_rows + 1).fill(NaN));
    const pass = new Pass(gpu);
    pass.run(transpose, { x: tensorFrom(gpu, "x", [rows, columns], x), y }, { rows, columns, padded_rows });
    pass.submit();
    const expected = Array.from({ length: columns * padded_rows }, (_, at) => {
      const row = at % padded_rows, column = Math.floor(at / padded_rows);
      return row < rows ? x[row * columns + column] : 0;
    });
    assert.deepEqual(Array.from(await downloadF32(gpu, y)), [...expected, NaN]);
  });
}

for (const [rows, columns, padded_rows] of [[1, 2, 4], [7, 6, 8], [8, 16, 8], [13, 34, 16], [66, 4, 68]]) {
  Deno.test(`transpose_pairs: ${rows} x ${columns}, padded to ${padded_rows}, exactly`, async () => {
    const x = Uint16Array.from({ length: rows * columns }, (_, i) => 1 + i * 7919);
    const size = columns * padded_rows / 2;
    const y = tensorFrom(gpu, "y", [size + 1], new Uint32Array(size + 1).fill(0xdeadbeef));
    const pass = new Pass(gpu);
    const pairs = tensorFrom(gpu, "x", [rows, columns / 2], new Uint32Array(x.buffer));
    pass.run(transposePairs, { x: pairs, y }, { rows, columns, padded_rows });
    pass.submit();
    const got = await downloadU32(gpu, y);
    const expected = Array.from({ length: columns * padded_rows }, (_, at) => {
      const row = at % padded_rows, column = Math.floor(at / padded_rows);
      return row < rows ? x[row * columns + column] : 0;
    });
    assert.deepEqual(Array.from(new Uint16Array(got.buffer, 0, 2 * size)), expected);
    assert.equal(got[size], 0xdeadbeef);
  });
}
