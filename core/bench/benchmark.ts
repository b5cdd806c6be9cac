/**
 * A whole benchmark: the ceilings of the adapter, and every kernel of the workloads held against them.
 * @module
 */

import { type Gpu, openGpu } from "../gpu/device.ts";
import type { Precision } from "../gpu/products.ts";
import { measureRoofline, type Roofline } from "../gpu/roofline.ts";
import type { Cost } from "./costs.ts";
import { KernelClock, measureWorkloads, type WorkloadFigures } from "./measure.ts";
import type { Workload } from "./workloads.ts";

/** What was measured, and on what. */
export interface BenchmarkFigures {
  /** The adapter. */
  readonly adapter: string;
  /** True for software drivers. */
  readonly is_software: boolean;
  /** Its ceilings, measured before and after the workloads; the higher ones count. */
  readonly roofline: Roofline;
  /** The workloads in their order. */
  readonly workloads: readonly WorkloadFigures[];
}

/** How the adapter's ceilings bound some work. */
export interface Bound {
  /** The least time that the ceilings allow over the time taken; above 1 where caches beat memory. */
  readonly share: number;
  /** Which ceiling is nearer. */
  readonly by: "compute" | "memory";
}

/** Hears how far a benchmark is: what it does, steps done and steps in all. */
export type BenchmarkProgress = (label: string, done: number, all: number) => void;

/** Seconds for each of the two measurements of the ceilings. */
const ROOFLINE_S = 1;

/**
 * Opens a device of its own, measures and closes it.
 *
 * @param makeWorkloads Makes what is to be measured.
 * @param precision What the forward pass's products round their inputs to.
 * @param repeats Samples of each.
 * @param onProgress Hears how far it is.
 * @returns The figures.
 * @throws {UserError} When there is no adapter, it fails, or a workload does not fit it.
 */
export async function benchmark(
  makeWorkloads: (gpu: Gpu) => Promise<Workload[]>,
  precision: Precision,
  repeats: number,
  onProgress: BenchmarkProgress,
): Promise<BenchmarkFigures> {
  const clock = new KernelClock();
  using gpu = await openGpu(clock.hear, precision);
  onProgress("Measuring the roofline", 0, 1);
  // Without a trace: these are times by the wall clock.
  const plain: Gpu = { ...gpu, trace: null };
  const before = await measureRoofline(plain, ROOFLINE_S);
  onProgress("Making weights", 0, 1);
  const workloads = await makeWorkloads(gpu);
  onProgress("Compiling", 0, 1);
  const figures = await measureWorkloads(gpu, clock, workloads, repeats, (done, all) => {
    onProgress("Measuring", done, all);
  });
  onProgress("Measuring the roofline", 0, 1);
  const after = await measureRoofline(plain, ROOFLINE_S);
  const roofline = { flops: Math.max(before.flops, after.flops), bytes: Math.max(before.bytes, after.bytes) };
  return { adapter: gpu.adapter, is_software: gpu.isCpu, roofline, workloads: figures };
}

/**
 * Holds work of several kernels, one after the other, against the ceilings.
 *
 * @param kernels The work of each.
 * @param milliseconds The time that all of it took.
 * @param roofline The ceilings.
 * @returns The least time that they allow over the time taken.
 */
export function shareOfRoofline(kernels: readonly Cost[], milliseconds: number, roofline: Roofline): number {
  return kernels.reduce((sum, cost) => sum + boundOf(cost, milliseconds, roofline).share, 0);
}

/**
 * Holds one kernel's work against the ceilings.
 *
 * @param cost The work.
 * @param milliseconds The time it took.
 * @param roofline The ceilings.
 * @returns Its share of what they allow.
 */
export function boundOf({ flops, bytes }: Cost, milliseconds: number, roofline: Roofline): Bound {
  const arithmetic = flops / roofline.flops, memory = bytes / roofline.bytes;
  return {
    share: 1000 * Math.max(arithmetic, memory) / milliseconds,
    by: arithmetic >= memory ? "compute" : "memory",
  };
}
