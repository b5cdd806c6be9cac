import assert from "node:assert/strict";
import { downloadF32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { transpose } from "../../wgsl/shared/transpose.ts";
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
