/**
 * How a run begins: with weights made from its first buffer, with those of a finished transcoder, or with those of its newest checkpoint.
 * @module
 */

import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type TargetVariance, varianceSpread } from "../analysis/target_variance.ts";
import { NO_TOKENS } from "../analysis/token_counts.ts";
import { UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";
import { makeTemporaryDirectory, removeEmpty } from "../files/temporary.ts";
import type { Gpu } from "../gpu/device.ts";
import type { TileName } from "../gpu/products.ts";
import { configOf } from "../model/config.ts";
import { type Tap, tapName, widthOf } from "../model/sites.ts";
import { checkpointName, checkpointsOf, checkpointSteps } from "../runs/checkpoints.ts";
import { CONFIG_FILE, formatOf, ownSteps, type TranscoderConfig, writeConfig } from "../runs/config.ts";
import { restoreMetrics, startMetrics } from "../runs/metrics.ts";
import { writeLinearMap } from "../runs/linear_map.ts";
import { type Mapping, mappingName } from "../runs/ids.ts";
import { readPreparation, writePreparation } from "../runs/preparation.ts";
import { settingsOf } from "../runs/settings.ts";
import { STATUS_FILE } from "../runs/status.ts";
import { readTranscoder } from "../runs/transcoder.ts";
import { START } from "../text/contexts.ts";
import type { TextSummary } from "../text/summary.ts";
import type { LinearMap } from "../transcoder/linear_map.ts";
import { type Preparation, type TranscoderWeights, unfoldPreparation, zeroWeights } from "../transcoder/weights.ts";
import type { ActivationSource } from "./activations.ts";
import type { ShuffleBuffer } from "./buffer.ts";
import { type Progress, readCheckpoint, restoreBeginnings, tidyTranscoder, writeCheckpoint } from "./checkpoint.ts";
import {
  type ActivationStatistics,
  choosePreparation,
  initialWeights,
  meanVariance,
  measureActivations,
  targetScales,
} from "./initialise.ts";
import { fitLinearMap, sumProducts } from "./linear_map.ts";
import { directoriesOf, type PlannedTranscoder, settingsIn, type TrainingPlan } from "./plan.ts";
import { allocateTranscoder, type TranscoderInTraining } from "./transcoder.ts";

/** A run at its newest checkpoint. */
export interface Restored extends Progress {
  /** The transcoders as they were then. */
  readonly transcoders: readonly TranscoderInTraining[];
}

/**
 * The newest step that every transcoder has a whole checkpoint of.
 *
 * @param plan The run.
 * @returns The step, 0 for the checkpoint that a run from finished weights begins with; null when there is none and the run must start over.
 */
export async function newestCommonStep(plan: Pick<TrainingPlan, "directory" | "transcoders">): Promise<number | null> {
  const steps = await Promise.all(directoriesOf(plan).map(checkpointSteps));
  return steps[0].find((step) => steps.every((others) => others.includes(step))) ?? null;
}

/**
 * Restores a resumed run.
 *
 * @param gpu The device; the transcoders live as long as this handle's owner.
 * @param plan The run; it must be a resumed one.
 * @param step A step that every transcoder has a checkpoint of.
 * @param observer Hears what of the run is lost.
 * @returns The run as it was.
 * @throws {UserError} When a file is missing or damaged.
 */
export async function restoreRun(
  gpu: Gpu,
  plan: Pick<TrainingPlan, "directory" | "transcoders" | "resumed">,
  step: number,
  observer: RestoringObserver,
): Promise<Restored> {
  const transcoders: TranscoderInTraining[] = [];
  let progress: Progress;
  for (const [i, config] of plan.resumed!.entries()) {
    await restoreBeginnings(directoriesOf(plan)[i], step);
    const preparation = await readPreparation(directoriesOf(plan)[i], config);
    const transcoder = allocate(gpu, directoriesOf(plan)[i], config, preparation, zeroWeights(config)),
      { directory, stepper, samples } = transcoder;
    progress = await readCheckpoint(gpu, directory, step, stepper.state, samples, config.model.vocab_size);
    const copy = join(checkpointsOf(directory), checkpointName(step)), after = config.steps - ownSteps(config);
    // Behind the last step of another run it may go on otherwise.
    if (step > after) requireSettings(directory, config, progress);
    if (!await restoreMetrics(directory, copy, { after, last: step })) {
      observer.metricsLost(directory, step);
      await startMetrics(directory, config.groups);
    }
    await tidyTranscoder(directory);
    transcoders.push(transcoder);
  }
  return { ...progress!, transcoders };
}

/** The steps behind a checkpoint must be taken with what those before it were: somebody may have changed config.json. */
function requireSettings(directory: string, config: TranscoderConfig, { step, settings = {} }: Progress): void {
  const now: Readonly<Record<string, unknown>> = { ...settingsOf(config) };
  const changed = Object.keys(settings).find((key) => JSON.stringify(now[key]) !== JSON.stringify(settings[key]));
  if (changed === undefined) return;
  throw new UserError({
    action: `resume ${directory}`,
    requirement: `${CONFIG_FILE} must have the ${changed} that its first ${step} steps were taken with, ${
      JSON.stringify(settings[changed])
    }`,
    found: `it is ${JSON.stringify(now[changed])}`,
    remedy: "set it back or start another run",
  });
}

/** Hears what of an interrupted run is lost. */
export interface RestoringObserver {
  /** What was logged of a transcoder up to a step is gone; its metrics.csv begins behind it. */
  metricsLost(directory: string, step: number): void;
}

/** Hears what a run finds out about its activations before it starts. */
export interface BeginningObserver {
  /** What rounding to 16 bits does to each tap's activations, in relative L2; only with `precision` f16. */
  rounded(errors: Readonly<Record<string, number>>): void;
  /** How the variance of one of a transcoder's targets is spread over its dimensions, in the first buffer. */
  measured(target: Tap, variance: TargetVariance): void;
}

/**
 * Begins a run: measures the first buffer, chooses how activations are prepared, makes the first weights or takes those of finished
 * transcoders, fits the linear map that they are to be held against, writes config.json, preparation.safetensors, linear_map.safetensors and
 * an empty metrics.csv, and for weights that were taken a checkpoint of step 0.
 *
 * @param gpu The device; the transcoders live as long as this handle's owner.
 * @param plan The run; what a resumed one, which ended before its first checkpoint, has of these files but the last stays as it is. A round
 * of a sweep finds its directories made.
 * @param tiles What the products of the run were tuned to.
 * @param buffer The first buffer, full.
 * @param activations What filled it.
 * @param observer Hears what the activations are like.
 * @returns The transcoders before their first step.
 * @throws {UserError} When the activations do not vary, or the device or the disk fails.
 */
export async function beginRun(
  gpu: Gpu,
  plan: TrainingPlan,
  tiles: Readonly<Record<string, TileName>>,
  buffer: ShuffleBuffer,
  activations: Pick<ActivationSource, "text" | "precisionErrors">,
  observer: BeginningObserver,
): Promise<TranscoderInTraining[]> {
  const { settings, transcoders: planned, model, describe, resumed } = plan, { order } = buffer;
  const sizes = configOf(model);
  const rows = order.shape[0] / settings.passes;
  const measure = onceFor(tapName, async (tap: Tap) => {
    const width = widthOf(sizes, tap.site), activations = buffer.at(tap);
    const statistics = await measureActivations(gpu, activations, order, rows, width, settings.batch_tokens);
    checkVariance(tap, statistics);
    return { activations, ...statistics };
  });
  const spread = onceFor(tapName, async (target: Tap) => {
    observer.measured(target, varianceSpread((await measure(target)).variance));
  });
  const measureAll = async (targets: readonly Tap[]) => {
    const measured: Awaited<ReturnType<typeof measure>>[] = [];
    for (const tap of targets) measured.push(await measure(tap));
    return measured;
  };
  const fit = onceFor(mappingName, async ({ source, targets }: Mapping, preparation: Preparation) => {
    const { activations: x, mean: { length: d_in } } = await measure(source), measured = await measureAll(targets);
    const d_out = measured.reduce((sum, { mean }) => sum + mean.length, 0),
      y = measured.map((each) => each.activations);
    return fitLinearMap(await sumProducts(gpu, { d_in, d_out }, order, rows, x, y, preparation), preparation);
  });
  const precision_errors = resumed?.[0].precision_errors ?? await activations.precisionErrors(buffer);
  if (!resumed && settings.precision !== "f32") observer.rounded(precision_errors);
  const { medianNorms: median_norms } = buffer, medians = median_norms && { median_norms };
  const transcoders: TranscoderInTraining[] = [], maps: LinearMap[] = [];
  for (const [i, transcoder] of planned.entries()) {
    const mapping: Mapping = { source: transcoder.source, targets: transcoder.targets };
    const source = await measure(mapping.source), targets = await measureAll(mapping.targets);
    for (const tap of mapping.targets) await spread(tap);
    const described = describe(transcoder, activations.text), own = settingsOf(settingsIn(plan, transcoder));
    const [{ layer }] = mapping.targets, format = formatOf({ ...own, ...mapping });
    const scales = targets.length > 1 && { target_scales: targetScales(targets) };
    const config = resumed?.[i] ??
      { format, ...described, ...own, layer, ...mapping, ...scales, tiles, precision_errors, ...medians };
    const preparation = resumed
      ? await readPreparation(directoriesOf(plan)[i], config)
      : choosePreparation(source, targets);
    const weights = transcoder.start
      ? unfoldPreparation((await readTranscoder(transcoder.start.directory, config)).weights, preparation)
      : await initialWeights(gpu, config, config, order, source, targets, preparation);
    if (!resumed) maps.push(await fit(mapping, preparation));
    transcoders.push(allocate(gpu, directoriesOf(plan)[i], config, preparation, weights));
  }
  await writeBeginnings(gpu, plan, transcoders, maps);
  return transcoders;
}

/** Transcoders that read or predict the same share what is found out about it; the first one's preparation is that of all. */
function onceFor<Key, Rest extends unknown[], Result>(
  name: (key: Key) => string,
  make: (key: Key, ...rest: Rest) => Promise<Result>,
): (key: Key, ...rest: Rest) => Promise<Result> {
  const made = new Map<string, Promise<Result>>();
  return (key, ...rest) => made.getOrInsertComputed(name(key), () => make(key, ...rest));
}

function allocate(
  gpu: Gpu,
  directory: string,
  config: TranscoderConfig,
  preparation: Preparation,
  weights: TranscoderWeights,
): TranscoderInTraining {
  return { directory, config, ...allocateTranscoder(gpu, config, config, preparation, weights) };
}

/** Where a run is before its first step. */
const BEGINNING: Progress = {
  step: 0,
  position: START,
  elapsed_s: 0,
  harvested: { buffers: 0, counts: NO_TOKENS },
};

/** The run's directory appears whole, with all of its transcoders, or not at all: a resumed run must know what it trains. */
async function writeBeginnings(
  gpu: Gpu,
  { directory, transcoders: planned, resumed, round }: TrainingPlan,
  transcoders: readonly TranscoderInTraining[],
  maps: readonly LinearMap[],
): Promise<void> {
  if (resumed) {
    // A run that was stopped before its first checkpoint starts over in its place, with its own config.json.
    for (const { directory, config } of transcoders) {
      await tidyTranscoder(directory);
      await startMetrics(directory, config.groups);
    }
    return;
  }
  const write = async (path: string, i: number) => {
    const { config, preparation } = transcoders[i];
    await startMetrics(path, config.groups);
    await writePreparation(path, preparation);
    await writeLinearMap(path, maps[i]);
    // Its parent need not be there any more when such a run is resumed.
    if (planned[i].start) await writeCheckpoint(gpu, { ...transcoders[i], directory: path }, BEGINNING);
    // It comes last: those that have another one than while they waited have the other files.
    await writeConfig(path, config);
  };
  if (round) {
    for (const [i, { directory }] of transcoders.entries()) {
      await tidyTranscoder(directory);
      await write(directory, i);
    }
    return;
  }
  await makeRun(directory, planned, write);
}

/** Fills a new run's directory under a temporary name. */
async function makeRun(
  directory: string,
  transcoders: readonly PlannedTranscoder[],
  write: (path: string, i: number) => Promise<void>,
): Promise<void> {
  const partial = await makeTemporaryDirectory(directory).catch((error) =>
    Promise.reject(fileError("write", directory, error))
  );
  try {
    for (const [i, { name }] of transcoders.entries()) {
      const path = join(partial, name);
      await mkdir(path);
      await write(path, i);
    }
    await makeRoom(directory, partial);
    await rename(partial, directory);
  } catch (error) {
    // This process made it, and nobody else knows its name.
    await rm(partial, { recursive: true, force: true }).catch(() => {});
    throw fileError("write", directory, error);
  }
}

/** What a task says of itself is there before its run is, and moves into it; with anything else there the run cannot take its place. */
async function makeRoom(directory: string, partial: string): Promise<void> {
  await rename(join(directory, STATUS_FILE), join(partial, STATUS_FILE)).catch((error) => {
    if (error.code !== "ENOENT") throw error;
  });
  await removeEmpty([directory]);
}

/**
 * Begins a sweep: its directory appears with a config.json for each transcoder, which says all that its round needs to know.
 *
 * @param plan The sweep.
 * @param text What the training text is like.
 * @returns Those config.json, in the transcoders' order.
 * @throws {UserError} When the disk does not take it; nothing is left then.
 */
export async function beginSweep(plan: TrainingPlan, text: TextSummary): Promise<TranscoderConfig[]> {
  const unknown = { tiles: {}, precision_errors: {}, ...plan.settings.exclude_norm_above > 0 && { median_norms: [] } };
  const waiting = plan.transcoders.map((transcoder): TranscoderConfig => {
    const { source, targets } = transcoder, own = settingsOf(settingsIn(plan, transcoder)), [{ layer }] = targets;
    const described = { ...plan.describe(transcoder, text), round: 0 }, format = formatOf({ ...own, targets });
    const scales = targets.length > 1 && { target_scales: targets.map(() => 1) };
    return { format, ...described, ...own, layer, source, targets, ...scales, ...unknown };
  });
  await makeRun(plan.directory, plan.transcoders, (path, i) => writeConfig(path, waiting[i]));
  return waiting;
}

/**
 * Makes sure that a run which must start over can make its first weights again.
 *
 * @param plan The run; it is a resumed one without a checkpoint.
 * @throws {UserError} When it began with those of a finished transcoder.
 */
export function requireRandomStart({ directory, resumed }: Pick<TrainingPlan, "directory" | "resumed">): void {
  const parent = resumed?.find(({ parent }) => parent)?.parent;
  if (parent === undefined) return;
  throw new UserError({
    action: `resume ${directory}`,
    requirement: `a run that started from the weights of ${parent.name} needs one of its checkpoints`,
    found: "it has none that is whole",
    remedy: "start another run with --start-from",
  });
}

/** A variance that is a smaller share of the mean square is what float32 makes of numbers that are all the same: its sums have four digits. */
const LEAST_SPREAD = 1e-8;

/** Activations that are all the same leave nothing to learn, and those that are not finite cannot be learnt. */
function checkVariance(tap: Tap, statistics: ActivationStatistics): void {
  const variance = meanVariance(statistics), { mean } = statistics;
  const square = mean.reduce((sum, value) => sum + value * value, 0) / mean.length;
  if (Number.isFinite(variance) && variance > LEAST_SPREAD * square) return;
  const found = `their variance is ${variance.toPrecision(3)}, their mean square ${(variance + square).toPrecision(3)}`;
  throw new UserError({
    action: `train on ${tapName(tap)}`,
    requirement: "its activations must be finite numbers and not all the same",
    found,
    remedy: "check the model's weights, and whether the text is more than one word",
  });
}
