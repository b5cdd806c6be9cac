/**
 * A small product on the GPU that must come out exactly, and how fast a larger one runs: what `mtc doctor` tries.
 * @module
 */

import { matmul } from "../../wgsl/shared/matmul.ts";
import { createTensor, downloadF32, type Gpu, settle, tensorFrom } from "./device.ts";
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
  const y = createTensor(gpu, "y", [n, n]);
  const tensors = {
    x: tensorFrom(gpu, "x", [n, n], x),
    weight: tensorFrom(gpu, "W", [n, n], weight),
    y,
  };
  const pass = new Pass(gpu);
  pass.run(matmul, tensors, { rows: n, columns: n, depth: n });
  pass.submit();
  const got = await downloadF32(gpu, y);
  Object.values(tensors).forEach(({ buffer }) => buffer.destroy());
  return got.reduce((wrong, value, at) => {
    const row = Math.floor(at / n), column = at % n;
    let sum = 0;
    for (let k = 0; k < n; k++) sum += x[row * n + k] * weight[k * n + column];
    return wrong + (value === sum ? 0 : 1);
  }, 0);
}

/**
 * Times products of 1,024 x 1,024 matrices by the wall clock, over at least 0.2 s of queued work.
 *
 * @param gpu The device.
 * @returns GFLOP/s, a multiply-add counted as two.
 * @throws {UserError} When the device fails.
 */
export async function productSpeed(gpu: Gpu): Promise<number> {
  const n = 1024;
  const zeros = (label: string, shape: number[]) => createTensor(gpu, label, shape);
  const tensors = {
    x: zeros("x", [n, n]),
    weight: zeros("W", [n, n]),
    y: zeros("y", [n, n]),
  };
  const pass = new Pass(gpu);
  let seconds = 0, count = 1;
  // The first round also compiles the kernel; it is never the one that counts.
  for (let round = 0; round < 2 || seconds < 0.2; round++) {
    if (round > 1) count *= 4;
    const start = performance.now();
    for (let i = 0; i < count; i++) pass.run(matmul, tensors, { rows: n, columns: n, depth: n });
    pass.submit();
    await settle(gpu);
    seconds = (performance.now() - start) / 1000;
  }
  Object.values(tensors).forEach(({ buffer }) => buffer.destroy());
  return count * 2 * n ** 3 / seconds / 1e9;
}
