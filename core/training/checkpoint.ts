/**
 * Checkpoints: everything a run needs to go on with the same bytes. A checkpoint is a directory that is either whole or not
 * there: it is filled under a temporary name, then renamed, and renamed again before it is removed.
 * @module
 */

import { lstat, mkdir, readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import type { SampleStore } from "../analysis/samples.ts";
import { UserError } from "../errors.ts";
import { fileError, writeFileAtomic } from "../files/atomic.ts";
import { exists } from "../files/exists.ts";
import { sumOfFile, sumOfValue } from "../files/checksum.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../files/safetensors.ts";
import { makeTemporaryDirectory, nameInTheEnd, removeEmpty, removeFiles, temporaryPath } from "../files/temporary.ts";
import { type Gpu, upload } from "../gpu/device.ts";
import { elements } from "../gpu/tensor.ts";
import { checkpointName, checkpointsOf, checkpointSteps, isCheckpointName } from "../runs/checkpoints.ts";
import { BEGINNING_FILES } from "../runs/lost_files.ts";
import { copyMetrics, METRICS_FILE } from "../runs/metrics.ts";
import type { StreamPosition } from "../text/contexts.ts";
import { saveTranscoder } from "../transcoder/formats/native.ts";
import type { Harvested } from "./feed.ts";
import { readState, stateTensors, weightsOf } from "./state.ts";
import type { TrainingState } from "./step.ts";
import { folded, type TranscoderInTraining } from "./transcoder.ts";

/** The part of a checkpoint that is no tensor, state.json. */
export interface Progress {
  /** Steps taken. */
  readonly step: number;
  /** Where the text stood when the buffer of the next step began. */
  readonly position: StreamPosition;
  /** Seconds of training so far. */
  readonly elapsed_s: number;
  /** The tokens of the buffers so far, that of the last step included; absent where an older mtc did not count them. */
  readonly harvested?: Harvested;
  /** What the steps were taken with, by the names of config.json; absent where an older mtc did not write it. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const tokenCounts = v.object({ tokens: count, excluded_tokens: count, outlier_tokens: v.optional(count) });
const sum = v.pipe(v.string(), v.hash(["sha256"]));
const progressSchema = v.object({
  step: count,
  position: v.object({
    epoch: count,
    volume: count,
    file: count,
    record: count,
    byte: count,
    section: count,
    token: count,
    bad: v.optional(count),
  }),
  elapsed_s: v.pipe(v.number(), v.finite(), v.minValue(0)),
  harvested: v.optional(v.object({ buffers: count, counts: tokenCounts, bad_records: v.optional(count) })),
  settings: v.optional(v.record(v.string(), v.unknown())),
  // SHA-256 of the files beside it, and of what stands above but for the time; absent where an older mtc wrote it.
  sums: v.optional(v.object({ files: v.record(v.string(), sum), state: sum })),
});

/** The most checkpoints kept of a transcoder; older ones are removed, after a newer one is whole. */
export const CHECKPOINTS_KEPT = 2;
const STATE_FILE = "state.json",
  SUMMED_FILES = ["transcoder.safetensors", "optimizer.safetensors", "samples.safetensors"];
/** Files of the run that a checkpoint has copies of; those of an older mtc have none, and an older run need not have all. */
export const COPIED_FILES: readonly string[] = [METRICS_FILE, ...BEGINNING_FILES];
/** All that is written into a checkpoint, and so all that is removed from one. */
export const CHECKPOINT_FILES: readonly string[] = [...SUMMED_FILES, ...COPIED_FILES, STATE_FILE];

/** What of a transcoder in training a checkpoint is made of. */
export type Checkpointed = Pick<TranscoderInTraining, "directory" | "shape" | "samples" | "preparation"> & {
  readonly stepper: Pick<TranscoderInTraining["stepper"], "state">;
};

/**
 * Writes a checkpoint of one transcoder and removes those that are too old. The state is read back once, for the file that training goes on
 * from and for the transcoder as it is now.
 *
 * @param gpu The device.
 * @param transcoder The transcoder after the step.
 * @param progress Step, place in the text, time.
 * @throws {UserError} When the disk does not take it; earlier checkpoints stay.
 */
export async function writeCheckpoint(
  gpu: Gpu,
  { directory, preparation, shape, stepper, samples }: Checkpointed,
  progress: Progress,
): Promise<void> {
  const parent = checkpointsOf(directory);
  const final = join(parent, checkpointName(progress.step));
  try {
    await mkdir(parent, { recursive: true });
    const partial = await makeTemporaryDirectory(final);
    try {
      const state = await readState(gpu, stepper.state);
      await saveTranscoder(
        join(partial, "transcoder.safetensors"),
        folded(shape, preparation, weightsOf(shape, state)),
      );
      await writeSafetensors(join(partial, "optimizer.safetensors"), [...state.values()]);
      await writeSafetensors(join(partial, "samples.safetensors"), samplesToWrite(samples));
      await copyMetrics(directory, partial);
      for (const name of BEGINNING_FILES) {
        if (await exists(join(directory, name))) await copyWhole(join(directory, name), join(partial, name));
      }
      const sums = { files: await sumsOf(partial), state: sumOfState(progress) };
      await writeFileAtomic(join(partial, STATE_FILE), JSON.stringify({ ...progress, sums }, null, 2) + "\n");
      await discard(final);
      await rename(partial, final);
    } catch (error) {
      await removeCheckpoint(partial).catch(() => {});
      throw error;
    }
    await tidyTranscoder(directory);
  } catch (error) {
    throw fileError("write", final, error);
  }
}

/**
 * Removes what is no longer wanted of a transcoder: old checkpoints, and what a killed process was writing or removing. Only files that
 * training writes go, by their names; a checkpoint to which somebody added something stays, however old.
 *
 * @param directory The transcoder's directory; its run must be locked.
 */
export async function tidyTranscoder(directory: string): Promise<void> {
  await removeFiles(directory, (name) => nameInTheEnd(name) !== null);
  const parent = checkpointsOf(directory);
  for (const step of (await checkpointSteps(directory)).slice(CHECKPOINTS_KEPT)) {
    const path = join(parent, checkpointName(step));
    if (await isOursAlone(path)) await discard(path);
  }
  for (const name of await readdir(parent).catch(() => [])) {
    if (isCheckpointName(nameInTheEnd(name) ?? "")) await removeCheckpoint(join(parent, name));
  }
}

/** A checkpoint loses its name before its files, so that one with a name is whole. */
async function discard(path: string): Promise<void> {
  if (await lstat(path).catch(() => null) === null) return;
  const discarded = temporaryPath(path);
  await rename(path, discarded);
  await removeCheckpoint(discarded);
}

/** Removes a checkpoint's files; with what else there is in it the directory stays, and a link as it is. */
async function removeCheckpoint(path: string): Promise<void> {
  if (!(await lstat(path)).isDirectory()) return;
  await removeFiles(path, isFileOfOurs);
  await removeEmpty([path]);
}

async function isOursAlone(path: string): Promise<boolean> {
  if (!(await lstat(path)).isDirectory()) return false;
  return (await readdir(path, { withFileTypes: true })).every((entry) => entry.isFile() && isFileOfOurs(entry.name));
}

function isFileOfOurs(name: string): boolean {
  return CHECKPOINT_FILES.includes(nameInTheEnd(name) ?? name);
}

function samplesToWrite({ arrays }: SampleStore): TensorToWrite[] {
  return Object.entries(arrays).map(([name, data]) => ({
    name,
    dtype: data instanceof Float32Array ? "F32" : "U32",
    shape: [data.length],
    data,
  }));
}

async function sumsOf(directory: string): Promise<Record<string, string>> {
  const sums: Record<string, string> = {};
  for (const name of [...SUMMED_FILES, ...COPIED_FILES]) {
    const path = join(directory, name);
    if (SUMMED_FILES.includes(name) || await exists(path)) sums[name] = await sumOfFile(path);
  }
  return sums;
}

/** The time is no part of what must be the same; its digits do no harm. */
function sumOfState({ step, position, harvested, settings }: Progress): string {
  return sumOfValue([step, position, harvested ?? null, ...settings ? [settings] : []]);
}

/**
 * Restores one transcoder. All files are held against their checksums first; where an older mtc wrote none, every number must at least be
 * one that can be.
 *
 * @param gpu The device.
 * @param directory The transcoder's directory.
 * @param step Which checkpoint.
 * @param state The tensors to fill; sizes must be those of the run.
 * @param samples The store to fill.
 * @param vocabSize Ids of tokens are below it.
 * @returns Step, place in the text, time.
 * @throws {UserError} Naming the file that is missing, damaged or of other sizes.
 */
export async function readCheckpoint(
  gpu: Gpu,
  directory: string,
  step: number,
  state: TrainingState,
  samples: SampleStore,
  vocabSize: number,
): Promise<Progress> {
  const path = join(checkpointsOf(directory), checkpointName(step));
  try {
    const { sums, ...progress } = await readProgress(join(path, STATE_FILE), step);
    if (sums) await checkSums(path, sums.files);
    await readTensors(
      join(path, "optimizer.safetensors"),
      stateTensors(state).map(([name, tensor]) => ({
        name,
        dtype: tensor.type === "f32" ? "F32" : "U32",
        length: elements(tensor.shape),
        fill: (data) => upload(gpu, tensor, data),
      })),
      directory,
    );
    await readTensors(
      join(path, "samples.safetensors"),
      Object.entries(samples.arrays).map(([name, array]) => ({
        name,
        dtype: array instanceof Float32Array ? "F32" : "U32",
        length: array.length,
        fill: (data) => array.set(data),
      })),
      directory,
    );
    const fault = samples.findFault(vocabSize);
    if (fault === null) return progress;
    throw new UserError({ action: `read ${join(path, "samples.safetensors")}`, ...fault });
  } catch (error) {
    throw asDamage(error, path);
  }
}

function asDamage(error: unknown, path: string): unknown {
  if (!(error instanceof UserError) || error instanceof OtherSizes) return error;
  // The reason keeps its path, not its remedy, which is that of a file one could get again.
  const { found = "it cannot be used" } = error.parts;
  return new UserError({
    ...error.parts,
    found: `${found}: the checkpoint is damaged`,
    remedy: `remove the directory ${path}, so that the checkpoint before it is taken or the run starts over`,
  });
}

/**
 * Puts what a run began with, how activations are prepared and the linear map, back where it is lost or damaged. A checkpoint of an older
 * mtc has no copies of it.
 *
 * @param directory The transcoder's directory.
 * @param step Which checkpoint.
 * @throws {UserError} When the checkpoint is damaged, or the disk does not take them.
 */
export async function restoreBeginnings(directory: string, step: number): Promise<void> {
  const path = join(checkpointsOf(directory), checkpointName(step));
  try {
    const { sums } = await readProgress(join(path, STATE_FILE), step);
    for (const name of BEGINNING_FILES) {
      const own = join(directory, name), sum = sums?.files[name];
      if (sum === undefined || (await exists(own) && await sumOfFile(own) === sum)) continue;
      await checkSum(join(path, name), sum);
      await copyWhole(join(path, name), own);
    }
  } catch (error) {
    throw asDamage(error, path);
  }
}

/** Both are a few megabytes at most. */
async function copyWhole(from: string, to: string): Promise<void> {
  await writeFileAtomic(to, await readFile(from).catch((error) => Promise.reject(fileError("read", from, error))));
}

async function checkSum(path: string, sum: string): Promise<void> {
  if (await sumOfFile(path) === sum) return;
  const requirement = `its bytes must be those that were written, as ${STATE_FILE} has their checksum`;
  throw new UserError({ action: `read ${path}`, requirement, found: "they are others" });
}

async function checkSums(path: string, sums: Readonly<Record<string, string>>): Promise<void> {
  for (const name of [...SUMMED_FILES, ...COPIED_FILES.filter((name) => Object.hasOwn(sums, name))]) {
    await checkSum(join(path, name), sums[name]);
  }
}

/** What a tensor of a checkpoint is read into. */
interface Destination {
  readonly name: string;
  readonly dtype: "F32" | "U32";
  readonly length: number;
  fill(data: Float32Array | Uint32Array): void;
}

/** A whole checkpoint that is none of the run that config.json describes. */
class OtherSizes extends UserError {}

async function readTensors(path: string, destinations: readonly Destination[], directory: string): Promise<void> {
  const file = await openSafetensors(path);
  try {
    for (const { name, dtype, length, fill } of destinations) {
      const info = file.info(name), held = elements(info.shape);
      if (info.dtype !== dtype) {
        throw new UserError({
          action: `read ${path}`,
          requirement: `${name} must be ${dtype}`,
          found: `it is ${info.dtype}`,
        });
      }
      if (held !== length) {
        throw new OtherSizes({
          action: `read ${path}`,
          requirement: `${name} must have the ${length} elements that ${join(directory, "config.json")} asks for`,
          found: `it has ${held}`,
          remedy: `restore the config.json that the run began with, or remove the checkpoint if it is another run's`,
        });
      }
      const data = await file.read(name) as Float32Array | Uint32Array;
      const bad = data instanceof Float32Array ? firstNotFinite(data) : -1;
      if (bad >= 0) {
        const requirement = `every number of ${name} must be finite`;
        throw new UserError({ action: `read ${path}`, requirement, found: `number ${bad} is ${data[bad]}` });
      }
      fill(data);
    }
  } finally {
    await file.close();
  }
}

/** A plain loop: a callback for each of hundreds of millions would take seconds. */
function firstNotFinite(data: Float32Array): number {
  for (let i = 0; i < data.length; i++) if (data[i] - data[i] !== 0) return i;
  return -1;
}

type SummedProgress = v.InferOutput<typeof progressSchema>;

async function readProgress(path: string, step: number): Promise<SummedProgress> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw fileError("read", path, error);
  }
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), progressSchema), text);
  const isSound = parsed.success && parsed.output.step === step &&
    (parsed.output.sums === undefined || parsed.output.sums.state === sumOfState(parsed.output));
  if (isSound) return parsed.output;
  const requirement = `it must hold step ${step} and its place in the text`;
  throw new UserError({ action: `read ${path}`, requirement, found: "it does not" });
}
