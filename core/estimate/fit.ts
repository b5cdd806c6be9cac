/**
 * Whether a run fits a machine, and what would fit instead, found by planning again.
 * @module
 */

import { storeBytes } from "../analysis/samples.ts";
import type { Gpu } from "../gpu/device.ts";
import { ELEMENT_BYTES } from "../gpu/tensor.ts";
import { TooLargeToBind } from "../gpu/too_large.ts";
import { estimateNeeds, type Needs, type Standing } from "./needs.ts";
import { Overflow } from "./ledger.ts";
import { configOf } from "../model/config.ts";
import { featureCount } from "../transcoder/shape.ts";
import { type PlannedRun, type Rehearsal, shapeOf } from "./rehearsal.ts";
import type { Resources } from "./resources.ts";

/** Why a run does not fit. */
export type Shortage =
  /** Something is short; bytes. `memory` is that of a host that is its own GPU. `isLeast`: counting ended there. */
  | {
    readonly of: "memory" | "host memory" | "GPU memory" | "disk";
    readonly need: number;
    readonly have: number;
    readonly isLeast?: true;
  }
  /** A single tensor is larger than the adapter can bind; the error says which. */
  | { readonly of: "binding"; readonly error: TooLargeToBind };

/** A run that fits in place of one that does not. */
export interface Proposal {
  /** What to change on the command line, for example `--buffer 16384`. */
  readonly flags: readonly string[];
  /** The changed run. */
  readonly run: PlannedRun;
}

/** A run held against a machine. */
export interface Fit {
  /** What it needs; null when the adapter cannot bind a tensor of it, and nobody can tell. */
  readonly needs: Needs | null;
  /** Where the needs come from. */
  readonly rehearsal: Rehearsal | null;
  /** GPU memory that can be had, as far as it was asked for; null where it is the host's. */
  readonly gpuFree: number | null;
  /** Why it does not fit; null when it does. */
  readonly shortage: Shortage | null;
}

/** The machine that runs are held against. */
export interface Machine {
  /** The device whose limits hold. */
  readonly gpu: Gpu;
  /** What is free. */
  readonly free: Resources;
  /** Host memory that the program has already taken, in bytes. */
  readonly base: number;
}

/**
 * Holds a run against a machine.
 *
 * @param machine The machine.
 * @param run The run.
 * @param standing Where it stands.
 * @param gpuFree GPU memory that is known to be had; it is asked for when left out.
 * @returns Needs and verdict.
 * @throws {UserError} When the model's files do not fit each other.
 */
export async function fitOf(
  { gpu, free, base }: Machine,
  run: PlannedRun,
  standing: Standing,
  gpuFree?: number | null,
): Promise<Fit> {
  const most = free.gpu.isHost ? ABSURD * free.host : LARGEST_GPU, least = leastHost(run);
  if (least > free.host) {
    // Even to rehearse it would take what there is not.
    const of = free.gpu.isHost ? "memory" : "host memory", have = free.host;
    const shortage = { of, need: least, have, isLeast: true } as const;
    return { needs: null, rehearsal: null, gpuFree: gpuFree ?? null, shortage };
  }
  let estimated: Awaited<ReturnType<typeof estimateNeeds>>;
  try {
    estimated = await estimateNeeds(gpu, run, standing, base, most);
  } catch (error) {
    const unknown = { needs: null, rehearsal: null };
    if (error instanceof Overflow) {
      const onGpu = free.gpu.isHost ? null : gpuFree ?? await free.gpu.available(error.bytes);
      const of = onGpu === null ? "memory" : "GPU memory";
      return {
        ...unknown,
        gpuFree: onGpu,
        shortage: { of, need: error.bytes, have: onGpu ?? free.host, isLeast: true },
      };
    }
    if (!(error instanceof TooLargeToBind)) throw error;
    return { ...unknown, gpuFree: gpuFree ?? null, shortage: { of: "binding", error } };
  }
  const { needs, rehearsal } = estimated;
  const onGpu = free.gpu.isHost ? null : gpuFree ?? await free.gpu.available(needs.gpu.peak);
  return { needs, rehearsal, gpuFree: onGpu, shortage: shortageOf(needs, free, base, onGpu) };
}

/** What the samples of all transcoders, and the first weights of one of them, take of the host whatever else there is. */
function leastHost({ model, transcoders, settings: { samples_per_feature } }: PlannedRun): number {
  const config = configOf(model);
  const weights = transcoders.map((transcoder) => {
    const { d_in, d_out, groups } = shapeOf(config, transcoder);
    return ELEMENT_BYTES * featureCount(groups) * (d_in + d_out);
  });
  // There are those of training, and those of the final pass.
  const samples = transcoders.map(({ settings }) => 2 * storeBytes(featureCount(settings.groups), samples_per_feature));
  return Math.max(...weights) + samples.reduce((sum, bytes) => sum + bytes, 0);
}

/** A plan of so many times the free memory is counted no further; nor is one that no GPU could hold. */
const ABSURD = 4, LARGEST_GPU = 2 ** 40;

function shortageOf(
  { gpu, host, disk }: Needs,
  free: Resources,
  base: number,
  gpuFree: number | null,
): Shortage | null {
  // What the program has taken already is not free any more, and need not be.
  const more = host.peak - base;
  const checks: Shortage[] = gpuFree === null
    ? [{ of: "memory", need: gpu.peak + more, have: free.host }]
    : [{ of: "GPU memory", need: gpu.peak, have: gpuFree }, { of: "host memory", need: more, have: free.host }];
  checks.push({ of: "disk", need: disk.peak, have: free.disk });
  return checks.find((check) => check.of !== "binding" && check.need > check.have) ?? null;
}

/** Some transcoders of a run that are trained at once. */
export interface FittedRound {
  /** The run with no others. */
  readonly run: PlannedRun;
  /** What it was found to need. */
  readonly fit: Fit;
}

/**
 * Divides a new run into as few rounds as the machine allows, each with its own harvest: as many of the transcoders as fit, then as many of
 * the rest.
 *
 * @param machine The machine.
 * @param run The run.
 * @param atOnce The most transcoders of a round.
 * @returns The rounds; the last one does not fit where a transcoder by itself does not.
 * @throws {UserError} When the model's files do not fit each other.
 */
export async function fitRounds(machine: Machine, run: PlannedRun, atOnce: number): Promise<FittedRound[]> {
  const rounds: FittedRound[] = [];
  for (let left = run.transcoders; left.length > 0;) {
    const round = await largestRound(machine, { ...run, transcoders: left.slice(0, atOnce) });
    rounds.push(round);
    if (round.fit.shortage) break;
    left = left.slice(round.run.transcoders.length);
  }
  return rounds;
}

async function largestRound(machine: Machine, run: PlannedRun): Promise<FittedRound> {
  const first = await fitOf(machine, run, { step: 0, written: 0 });
  if (first.shortage === null || run.transcoders.length === 1) return { run, fit: first };
  // What was short when it was asked for all that all of them need is known from now on.
  const with_ = async (count: number): Promise<FittedRound> => {
    const fewer = { ...run, transcoders: run.transcoders.slice(0, count) };
    return { run: fewer, fit: await fitOf(machine, fewer, { step: 0, written: 0 }, first.gpuFree) };
  };
  let best = await with_(1), beyond = run.transcoders.length;
  if (best.fit.shortage) return best;
  while (beyond - best.run.transcoders.length > 1) {
    const tried = await with_((best.run.transcoders.length + beyond) >> 1);
    if (tried.fit.shortage) beyond = tried.run.transcoders.length;
    else best = tried;
  }
  return best;
}

/**
 * Finds the smallest change that makes a new run fit: no loss, else of the buffer, else of the batch, else of the layers, else of layers and
 * buffer, else of the samples, each with the loss or else without it; for the disk, of the samples, else of the layers.
 *
 * @param machine The machine.
 * @param run The run that does not fit.
 * @param fit What {@link fitOf} said of it.
 * @returns What fits, or null when nothing tried does.
 */
export async function propose(machine: Machine, run: PlannedRun, fit: Fit): Promise<Proposal | null> {
  const fits = async (candidate: Proposal) => {
    const { shortage } = await fitOf(machine, candidate.run, { step: 0, written: 0 }, fit.gpuFree);
    return shortage === null;
  };
  const ways = fit.shortage?.of === "disk" ? [lessSamples, fewerLayers] : [
    smallerBuffer,
    smallerBatch,
    fewerLayers,
    (from: PlannedRun) => fewerLayers(from).flatMap((fewer) => combined(fewer, smallerBuffer(fewer.run))),
    lessSamples,
  ];
  const without = fit.shortage?.of === "disk" ? [] : withoutLoss(run);
  const withAndWithout = ways.flatMap((way) => [way(run), ...without.map((less) => combined(less, way(less.run)))]);
  for (const candidates of [without, ...withAndWithout]) {
    const found = await firstFitting(candidates, fits);
    if (found) return found;
  }
  return null;
}

/** Candidates are in descending order of what they need, so the first that fits is found by halving. */
async function firstFitting(
  candidates: readonly Proposal[],
  fits: (candidate: Proposal) => Promise<boolean>,
): Promise<Proposal | null> {
  if (candidates.length === 0 || !await fits(candidates.at(-1)!)) return null;
  let low = 0, high = candidates.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (await fits(candidates[middle])) high = middle;
    else low = middle + 1;
  }
  return candidates[high];
}

type Changed = Partial<PlannedRun["settings"]>;

function changed(run: PlannedRun, flags: string[], settings: Changed): Proposal {
  return { flags, run: { ...run, settings: { ...run.settings, ...settings } } };
}

/** The steps by which a number is made smaller: 15 to 8 sixteenths of a power of two, so that what is proposed is round. */
function smaller(from: number, least: number): number[] {
  const sizes: number[] = [];
  for (let power = 2 ** Math.ceil(Math.log2(from)); power >= 2 * least && power >= 16; power /= 2) {
    for (let part = 16; part > 8; part--) sizes.push(power * part / 16);
  }
  return [...sizes, least].filter((size) => size < from && size >= least);
}

function smallerBuffer(run: PlannedRun): Proposal[] {
  const { steps, batch_tokens, passes, buffer_tokens } = run.settings;
  // A buffer is never larger than what the run draws from it.
  const used = Math.min(buffer_tokens, Math.ceil(steps * batch_tokens / passes));
  return smaller(used, Math.ceil(batch_tokens / passes)).map((size) =>
    changed(run, [`--buffer ${size}`], { buffer_tokens: size })
  );
}

/** The whole model may take more room than training does. */
function withoutLoss(run: PlannedRun): Proposal[] {
  return run.settings.loss_tokens === 0 ? [] : [changed(run, ["--loss-tokens 0"], { loss_tokens: 0 })];
}

function smallerBatch(run: PlannedRun): Proposal[] {
  return smaller(run.settings.batch_tokens, 16).map((size) =>
    changed(run, [`--batch ${size}`], { batch_tokens: size })
  );
}

function lessSamples(run: PlannedRun): Proposal[] {
  return smaller(run.settings.samples_per_feature, 1).map((size) =>
    changed(run, [`--samples ${size}`], { samples_per_feature: size })
  );
}

/**
 * The deepest layers are left out first: those before them are needed on the way to them, not the other way round. Where a transcoder has
 * targets in several layers, which layer it was asked for is not known.
 */
function fewerLayers(run: PlannedRun): Proposal[] {
  if (run.transcoders.some(({ targets }) => targets.some(({ layer }) => layer !== targets[0].layer))) return [];
  const layers = [...new Set(run.transcoders.map(({ targets }) => targets[0].layer))];
  return layers.slice(1).map((_, left) => {
    const kept = layers.slice(0, layers.length - 1 - left);
    const transcoders = run.transcoders.filter(({ targets }) => kept.includes(targets[0].layer));
    return { flags: [`--layers ${kept.join(",")}`], run: { ...run, transcoders } };
  });
}

function combined(first: Proposal, further: readonly Proposal[]): Proposal[] {
  return further.map(({ flags, run }) => ({ flags: [...first.flags, ...flags], run }));
}
