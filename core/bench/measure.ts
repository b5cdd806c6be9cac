/**
 * Times workloads: each kernel by the GPU's clock, the whole by the wall clock, in turns, so that a slow minute slows all of them.
 * @module
 */

import { median } from "../analysis/statistics.ts";
import { type Gpu, settle } from "../gpu/device.ts";
import { Pass } from "../gpu/run.ts";
import type { KernelTime } from "../gpu/timing.ts";
import { WallClock } from "../gpu/wall_clock.ts";
import { type Cost, costOf } from "./costs.ts";
import { type Dispatch, RecordingPass } from "./recording_pass.ts";
import type { Workload } from "./workloads.ts";

/** All dispatches of one kernel in one run of a workload; those with one weight, in a model's products. */
export interface KernelFigures extends Cost {
  /** The kernel's name. */
  readonly kernel: string;
  /** What of a model it multiplies with: `o_proj` of all layers, or the head's `vocabulary`; null for nothing of a model. */
  readonly weight: string | null;
  /** How often it is dispatched. */
  readonly dispatches: number;
  /** Milliseconds of them together by the GPU's clock, median over the repeats; null where the adapter has no such clock. */
  readonly milliseconds: number | null;
}

/** One workload, measured. Durations are medians over the repeats. */
export interface WorkloadFigures {
  /** For example `Training step`. */
  readonly name: string;
  /** Its sizes in words. */
  readonly sizes: string;
  /** Tokens of one run. */
  readonly tokens: number;
  /** Milliseconds of one run by the wall clock, while the queue is full. */
  readonly wall_ms: number;
  /** The fastest and the slowest repeat. */
  readonly wall_range_ms: readonly [least: number, most: number];
  /** Milliseconds that the host takes to record and submit one run to an empty queue. */
  readonly host_ms: number;
  /** Those among them in which it gathers the embedded tokens; null where there are none, or nobody asked. */
  readonly embedding_ms: number | null;
  /** Milliseconds of all kernels together; null where the adapter has no such clock. */
  readonly kernels_ms: number | null;
  /** Operations and bytes of all kernels together. */
  readonly total: Cost;
  /** Each kernel, the slowest first. */
  readonly kernels: readonly KernelFigures[];
}

/** A repeat by the wall clock is made at least this long: the wait's own duration varies by a millisecond. */
const SHORTEST_S = 0.1;
/** The most runs that are queued in one repeat. */
const MOST_QUEUED = 256;

/** The times of the kernels of one device, in the order of their dispatches. */
export class KernelClock {
  #times: KernelTime[] = [];

  /** What `openGpu` is to call. */
  readonly hear = (time: KernelTime): void => void this.#times.push(time);

  /**
   * Takes what was heard since the last time.
   *
   * @param gpu The device, opened with {@link hear}.
   * @returns The times in order; none without a trace.
   */
  async take(gpu: Gpu): Promise<KernelTime[]> {
    await gpu.trace?.drain();
    return this.#times.splice(0);
  }
}

/** Samples of one workload. */
class Samples {
  readonly wall: number[] = [];
  readonly host: number[] = [];
  readonly embedding: number[] = [];
  /** By row: one sum per repeat. */
  readonly kernels = new Map<string, number[]>();
  queued = 1;
  runs = 0;
  pass: RecordingPass | null = null;

  constructor(readonly workload: Workload) {}
}

/**
 * Measures workloads in turns.
 *
 * @param gpu The device, opened with the clock's `hear`.
 * @param clock Hears the kernels' times.
 * @param workloads What to measure.
 * @param repeats How many samples of each; the medians are reported.
 * @param onProgress Called after each sample with those taken so far and those in all.
 * @returns The figures, in the order of the workloads.
 * @throws {UserError} When the device fails.
 */
export async function measureWorkloads(
  gpu: Gpu,
  clock: KernelClock,
  workloads: readonly Workload[],
  repeats: number,
  onProgress: (done: number, all: number) => void,
): Promise<WorkloadFigures[]> {
  // The wall clock's runs go without a trace, which gives every dispatch a pass of its own.
  const untraced: Gpu = { ...gpu, trace: null };
  const wall = await WallClock.start(gpu);
  const all = workloads.map((workload) => new Samples(workload));
  for (const samples of all) await warmUp(gpu, untraced, wall, samples);
  await clock.take(gpu);
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const [i, samples] of all.entries()) {
      if (gpu.trace) await traceOnce(gpu, clock, samples);
      await timeOnce(untraced, wall, samples);
      onProgress(repeat * all.length + i + 1, repeats * all.length);
    }
  }
  return await Promise.all(all.map(figuresOf));
}

/** Compiles, and finds out how many runs fill a sample of the wall clock. */
async function warmUp(gpu: Gpu, untraced: Gpu, wall: WallClock, samples: Samples): Promise<void> {
  samples.pass = new RecordingPass(gpu);
  samples.workload.record(samples.pass, ++samples.runs);
  samples.pass.submit();
  await settle(gpu);
  for (;;) {
    const took = await wall.seconds(() => submitRuns(untraced, samples));
    if (took >= SHORTEST_S || samples.queued === MOST_QUEUED) return;
    samples.queued = Math.min(MOST_QUEUED, Math.ceil(samples.queued * Math.min(8, 1.2 * SHORTEST_S / took)));
  }
}

/** One pass per run, as training does; returns the host's milliseconds for the first, which finds the queue empty. */
function submitRuns(gpu: Gpu, samples: Samples): { whole: number; embedding: number } {
  const begun = performance.now(), pass = new Pass(gpu);
  let first = { whole: 0, embedding: 0 };
  for (let i = 0; i < samples.queued; i++) {
    samples.workload.record(pass, ++samples.runs);
    pass.submit();
    if (i === 0) first = { whole: performance.now() - begun, embedding: samples.workload.embedding_ms ?? 0 };
  }
  return first;
}

async function timeOnce(untraced: Gpu, wall: WallClock, samples: Samples): Promise<void> {
  let host = { whole: 0, embedding: 0 };
  const seconds = await wall.seconds(() => host = submitRuns(untraced, samples));
  samples.wall.push(1000 * seconds / samples.queued);
  samples.host.push(host.whole);
  samples.embedding.push(host.embedding);
}

async function traceOnce(gpu: Gpu, clock: KernelClock, samples: Samples): Promise<void> {
  const pass = new RecordingPass(gpu);
  samples.workload.record(pass, ++samples.runs);
  pass.submit();
  await settle(gpu);
  const times = await clock.take(gpu), sums = new Map<string, number>();
  for (const [i, { milliseconds }] of times.entries()) {
    const row = rowOf(pass.dispatches[i]);
    sums.set(row, (sums.get(row) ?? 0) + milliseconds);
  }
  for (const [row, sum] of sums) {
    samples.kernels.set(row, [...samples.kernels.get(row) ?? [], sum]);
  }
  samples.pass = pass;
}

/** What dispatches of one row have in common. */
function rowOf({ kernel: { name }, weight }: Dispatch): string {
  return weight === null ? name : `${name} ${weight}`;
}

async function figuresOf({ workload, wall, host, embedding, kernels, pass }: Samples): Promise<WorkloadFigures> {
  const sparsity = await workload.sparsity();
  const rows = new Map<string, KernelFigures>();
  for (const dispatch of pass!.dispatches) {
    const { kernel: { name: kernel }, weight } = dispatch, { flops, bytes } = costOf(dispatch, sparsity);
    const key = rowOf(dispatch), sums = kernels.get(key);
    const row = rows.get(key) ?? { dispatches: 0, flops: 0, bytes: 0 };
    rows.set(key, {
      kernel,
      weight,
      dispatches: row.dispatches + 1,
      flops: row.flops + flops,
      bytes: row.bytes + bytes,
      milliseconds: sums ? median(sums) : null,
    });
  }
  const figures = [...rows.values()].toSorted((a, b) => (b.milliseconds ?? 0) - (a.milliseconds ?? 0));
  const sum = (value: (row: KernelFigures) => number) => figures.reduce((total, row) => total + value(row), 0);
  return {
    name: workload.name,
    sizes: workload.sizes,
    tokens: workload.tokens,
    wall_ms: median(wall),
    wall_range_ms: [Math.min(...wall), Math.max(...wall)],
    host_ms: median(host),
    embedding_ms: workload.embedding_ms === undefined ? null : median(embedding),
    kernels_ms: kernels.size > 0 ? sum(({ milliseconds }) => milliseconds!) : null,
    total: { flops: sum(({ flops }) => flops), bytes: sum(({ bytes }) => bytes) },
    kernels: figures,
  };
}
