/**
 * What this adapter reaches at its best: the two ceilings that every kernel is held against.
 * @module
 */

import { matmul } from "../../wgsl/shared/matmul.ts";
import { randomGenerator } from "../random.ts";
import { createTensor, type Gpu, upload } from "./device.ts";
import { openScope } from "./scope.ts";
import { candidateTiles } from "./products.ts";
import { Pass } from "./run.ts";
import { ELEMENT_BYTES, elements, type Tensor } from "./tensor.ts";
import { WallClock } from "./wall_clock.ts";

/** The most that this adapter was seen to do, by the wall clock. */
export interface Roofline {
  /** Floating-point operations per second of the fastest large f32 matrix product in any tile; a multiply-add counts as two. */
  readonly flops: number;
  /** Bytes per second, read and written, of a copy far larger than any cache. */
  readonly bytes: number;
}

/** Products from one that suits two cores to one that fills the largest GPU: [rows, columns, depth]. */
const PRODUCTS = [
  [512, 512, 1024],
  [1024, 1024, 1024],
  [2048, 4096, 1024],
  [4096, 4096, 2048],
  [8192, 8192, 4096],
] as const;
/** Bytes of each of the two buffers of the copy: server CPUs and the largest GPUs have caches of a quarter of a gigabyte. */
const COPY_BYTES = 2 ** 28;
/** A round that is over sooner is repeated with more work: a wait's duration varies by about a millisecond. */
const SHORTEST_ROUND_S = 0.05;
/** Rounds that count, at least; the best is taken. */
const ROUNDS = 3;

/**
 * Measures both ceilings. Zeros would flatter a GPU, which clocks higher when no bit flips, so the data are random.
 *
 * @param gpu The device.
 * @param seconds About how long to measure; a slow adapter takes longer, by what three of the smallest products take.
 * @returns The ceilings.
 * @throws {UserError} When the device fails.
 */
export async function measureRoofline(gpu: Gpu, seconds = 1): Promise<Roofline> {
  const clock = await WallClock.start(gpu);
  return { bytes: await copySpeed(gpu, clock, seconds / 3), flops: await productSpeed(gpu, clock, 2 * seconds / 3) };
}

async function copySpeed(gpu: Gpu, clock: WallClock, budget: number): Promise<number> {
  const size = Math.min(COPY_BYTES, Math.floor(gpu.limits.maxBufferSize / ELEMENT_BYTES) * ELEMENT_BYTES);
  const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  using scratch = openScope(gpu);
  const [from, to] = ["copied from", "copied to"].map((label): Tensor => {
    const buffer = scratch.memory.own(gpu.device.createBuffer({ label, size, usage }));
    return { label, shape: [size / ELEMENT_BYTES], type: "f32", buffer };
  });
  fillRandomly(gpu, from);
  const best = await fastest(gpu, clock, budget, (pass) => pass.copy(from, 0, to, 0, size / ELEMENT_BYTES));
  return 2 * size / best;
}

async function productSpeed(gpu: Gpu, clock: WallClock, budget: number): Promise<number> {
  const most = Math.min(gpu.limits.maxBufferSize, gpu.limits.maxStorageBufferBindingSize) / ELEMENT_BYTES;
  const tiles = candidateTiles(gpu), share = budget / PRODUCTS.length / tiles.length;
  let best = 0;
  for (const [rows, columns, depth] of PRODUCTS) {
    const size = { rows, columns, depth }, operations = 2 * rows * columns * depth;
    // The first shape always runs; the others while their rounds fit the time.
    if (best > 0 && (ROUNDS + 1) * operations / best > budget) break;
    if (Math.max(rows * depth, depth * columns, rows * columns) > most) break;
    using scratch = openScope(gpu);
    const x = createTensor(scratch, "x", [rows, depth]), weight = createTensor(scratch, "W", [depth, columns]);
    const y = createTensor(scratch, "y", [rows, columns]);
    for (const tensor of [x, weight]) fillRandomly(gpu, tensor);
    for (const tile of tiles) {
      const product = matmul(tile, "f32", "none");
      const took = await fastest(gpu, clock, share, (pass) => pass.run(product, { x, weight, y }, size));
      best = Math.max(best, operations / took);
    }
  }
  return best;
}

/** Seconds of one piece of work in the best round. */
async function fastest(gpu: Gpu, clock: WallClock, budget: number, record: (pass: Pass) => void): Promise<number> {
  const pass = new Pass(gpu);
  const round = (count: number) =>
    clock.seconds(() => {
      for (let i = 0; i < count; i++) record(pass);
      pass.submit();
    });
  // The first round also compiles and touches memory for the first time.
  await round(1);
  let best = Infinity, count = 1, rounds = 0;
  for (let used = 0; used < budget || rounds < ROUNDS;) {
    const took = await round(count);
    used += took;
    if (took < SHORTEST_ROUND_S) count = Math.ceil(count * Math.min(64, 1.5 * SHORTEST_ROUND_S / took));
    else {
      best = Math.min(best, took / count);
      rounds++;
    }
  }
  return best;
}

/** A mebibyte of random numbers, repeated to the end by copies of what is there already. */
function fillRandomly(gpu: Gpu, tensor: Tensor): void {
  const random = randomGenerator(1), count = elements(tensor.shape);
  let filled = Math.min(count, 2 ** 18);
  upload(gpu, tensor, Float32Array.from({ length: filled }, () => 2 * random.float() - 1));
  const encoder = gpu.device.createCommandEncoder();
  // WebGPU refuses copies within one buffer, so they go through a second one.
  const block = filled * ELEMENT_BYTES;
  using scratch = openScope(gpu);
  const { buffer: between } = createTensor(scratch, "random block", [filled]);
  encoder.copyBufferToBuffer(tensor.buffer, 0, between, 0, block);
  for (; filled < count; filled += block / ELEMENT_BYTES) {
    const bytes = Math.min(block, (count - filled) * ELEMENT_BYTES);
    encoder.copyBufferToBuffer(between, 0, tensor.buffer, filled * ELEMENT_BYTES, bytes);
  }
  gpu.device.queue.submit([encoder.finish()]);
}
