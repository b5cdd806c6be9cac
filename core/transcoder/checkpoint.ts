/**
 * Checkpoints: everything a run needs to go on with the same bytes. A checkpoint is a directory that is either whole or not
 * there: it is filled under a name that starts with a dot, then renamed.
 * @module
 */

import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { SampleStore, StoreArrays } from "../analysis/samples.ts";
import { UserError } from "../errors.ts";
import { fileError, writeFileAtomic } from "../files/atomic.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../files/safetensors.ts";
import { downloadAll, type Gpu, upload } from "../gpu/device.ts";
import type { StreamPosition } from "../text/contexts.ts";
import { stateTensors } from "./state.ts";
import type { TrainingState } from "./step.ts";

/** The part of a checkpoint that is no tensor, state.json. */
export interface Progress {
  /** Steps taken. */
  readonly step: number;
  /** Where the text stood when the buffer of the next step began. */
  readonly position: StreamPosition;
  /** Seconds of training so far. */
  readonly elapsed_s: number;
}

/** The most checkpoints kept of a layer; older ones are removed. */
const KEPT = 2;

/**
 * The name of a checkpoint.
 *
 * @param step Steps taken.
 * @returns For example `step_000500`.
 */
export function checkpointName(step: number): string {
  return `step_${String(step).padStart(6, "0")}`;
}

/**
 * Writes a checkpoint of one layer and removes those that are too old.
 *
 * @param gpu The device.
 * @param directory The layer's directory.
 * @param progress Step, place in the text, time.
 * @param state The tensors on the GPU.
 * @param samples The training samples so far.
 * @param writeTranscoder Writes the transcoder as it is now to a path, ready to use.
 * @throws {UserError} When the disk does not take it; earlier checkpoints stay.
 */
export async function writeCheckpoint(
  gpu: Gpu,
  directory: string,
  progress: Progress,
  state: TrainingState,
  samples: SampleStore,
  writeTranscoder: (path: string) => Promise<void>,
): Promise<void> {
  const parent = join(directory, "checkpoints"), name = checkpointName(progress.step);
  const partial = join(parent, `.${name}`), final = join(parent, name);
  try {
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
    await writeTranscoder(join(partial, "transcoder.safetensors"));
    await writeSafetensors(join(partial, "optimizer.safetensors"), await stateToWrite(gpu, state));
    await writeSafetensors(join(partial, "samples.safetensors"), samplesToWrite(samples));
    await writeFileAtomic(join(partial, "state.json"), JSON.stringify(progress, null, 2) + "\n");
    await rm(final, { recursive: true, force: true });
    await rename(partial, final);
    for (const step of (await checkpointSteps(directory)).slice(KEPT)) {
      await rm(join(parent, checkpointName(step)), { recursive: true, force: true });
    }
  } catch (error) {
    await rm(partial, { recursive: true, force: true }).catch(() => {});
    throw fileError("write", final, error);
  }
}

async function stateToWrite(gpu: Gpu, state: TrainingState): Promise<TensorToWrite[]> {
  const named = stateTensors(state);
  const bytes = await downloadAll(gpu, named.map(([, tensor]) => tensor));
  return named.map(([name, { shape, type }], i) =>
    type === "f32"
      ? { name, dtype: "F32", shape, data: new Float32Array(bytes[i]) }
      : { name, dtype: "U32", shape, data: new Uint32Array(bytes[i]) }
  );
}

function samplesToWrite({ arrays }: SampleStore): TensorToWrite[] {
  return Object.entries(arrays).map(([name, data]) => ({
    name,
    dtype: data instanceof Float32Array ? "F32" : "U32",
    shape: [data.length],
    data,
  }));
}

/**
 * The steps of a layer's whole checkpoints.
 *
 * @param directory The layer's directory.
 * @returns Steps, newest first; empty when there is none.
 */
export async function checkpointSteps(directory: string): Promise<number[]> {
  const names = await readdir(join(directory, "checkpoints")).catch(() => []);
  return names.flatMap((name) => /^step_(\d+)$/.exec(name)?.[1] ?? []).map(Number).sort((a, b) => b - a);
}

/**
 * Restores one layer.
 *
 * @param gpu The device.
 * @param directory The layer's directory.
 * @param step Which checkpoint.
 * @param state The tensors to fill; sizes must be those of the run.
 * @param samples The store to fill.
 * @returns Step, place in the text, time.
 * @throws {UserError} When a file is missing, damaged or of other sizes.
 */
export async function readCheckpoint(
  gpu: Gpu,
  directory: string,
  step: number,
  state: TrainingState,
  samples: SampleStore,
): Promise<Progress> {
  const path = join(directory, "checkpoints", checkpointName(step));
  const optimizer = await openSafetensors(join(path, "optimizer.safetensors"));
  for (const [name, tensor] of stateTensors(state)) {
    const data = await optimizer.read(name);
    checkLength(optimizer.path, name, tensor.shape.reduce((a, b) => a * b, 1), data.length);
    upload(gpu, tensor, data as Float32Array | Uint32Array);
  }
  await optimizer.close();
  const stored = await openSafetensors(join(path, "samples.safetensors"));
  for (const [name, array] of Object.entries(samples.arrays) as [keyof StoreArrays, Float32Array | Uint32Array][]) {
    const data = await stored.read(name);
    checkLength(stored.path, name, array.length, data.length);
    array.set(data as Uint32Array);
  }
  await stored.close();
  return JSON.parse(await readFile(join(path, "state.json"), "utf8")) as Progress;
}

function checkLength(path: string, name: string, expected: number, actual: number): void {
  if (expected === actual) return;
  throw new UserError(
    `Cannot resume from ${path}: ${name} must have the run's ${expected} elements, it has ${actual}; ` +
      `remove this checkpoint, the one before it will be used`,
  );
}
