/**
 * A small product on the GPU that must come out exactly: what `mtc doctor` tries.
 * @module
 */

import { matmul } from "../../wgsl/shared/matmul.ts";
import { createTensor, downloadF32, type Gpu, tensorFrom } from "./device.ts";
import { openScope } from "./scope.ts";
import { tileFor } from "./products.ts";
import { Pass } from "./run.ts";

/** Small integers: every partial sum is exact in float32, so any difference is a fault of the driver. */
function integers(count: number, step: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => (i * step) % 13 - 6);
}

/**
 * Multiplies two 32 x 32 matrices of small integers and compares with the same product on the CPU.
 *
 * @param gpu The device.
 * @returns The number of elements that differ; 0 when kernels work.
 * @throws {UserError} When the device refuses the kernel.
 */
export async function wrongProducts(gpu: Gpu): Promise<number> {
  const n = 32;
  const x = integers(n * n, 7), weight = integers(n * n, 5);
  using scratch = openScope(gpu);
  const y = createTensor(scratch, "y", [n, n]);
  const tensors = {
    x: tensorFrom(scratch, "x", [n, n], x),
    weight: tensorFrom(scratch, "W", [n, n], weight),
    y,
  };
  const pass = new Pass(gpu);
  const size = { rows: n, columns: n, depth: n };
  pass.run(matmul(tileFor(gpu, size), "f32", "none"), tensors, size);
  pass.submit();
  const got = await downloadF32(gpu, y);
  return got.reduce((wrong, value, at) => {
    const row = Math.floor(at / n), column = at % n;
    let sum = 0;
    for (let k = 0; k < n; k++) sum += x[row * n + k] * weight[k * n + column];
    return wrong + (value === sum ? 0 : 1);
  }, 0);
}
