/**
 * preparation.safetensors: how a transcoder's activations are prepared for training, or would be where it was imported. It stands beside config.json from the first step
 * on; training reads it, and what compares activations as training sees them. What it says is folded into the weights that are saved.
 *
 * The file holds F32 tensors source.mean and source.scale [d_in], target.mean and target.scale [d_out]. A run of an older format has
 * none, but one factor for either end in its config.json.
 * @module
 */

import { join } from "node:path";
import { UserError } from "../errors.ts";
import { openSafetensors, writeSafetensors } from "../files/safetensors.ts";
import { type Columns, type Preparation, scaledBy } from "../transcoder/weights.ts";
import type { TranscoderConfig } from "./config.ts";
import { requireSummed } from "./sums.ts";

/** The file's name. */
export const PREPARATION_FILE = "preparation.safetensors";

/**
 * Writes the file atomically.
 *
 * @param directory The transcoder's directory.
 * @param preparation What to write; each number must be a float32.
 * @throws {UserError} When the disk does not take it.
 */
export async function writePreparation(directory: string, preparation: Preparation): Promise<void> {
  const tensor = (name: string, values: Float64Array) =>
    ({ name, dtype: "F32", shape: [values.length], data: Float32Array.from(values) }) as const;
  await writeSafetensors(
    join(directory, PREPARATION_FILE),
    (["source", "target"] as const).flatMap((end) => [
      tensor(`${end}.mean`, preparation[end].mean),
      tensor(`${end}.scale`, preparation[end].scale),
    ]),
  );
}

/**
 * Reads how the activations of a run are prepared.
 *
 * @param directory The transcoder's directory.
 * @param config Its config.json; one of an older format says it itself.
 * @returns The preparation.
 * @throws {UserError} When the file is missing or damaged, is not as wide as `config` says, or has a number that cannot be.
 */
export async function readPreparation(
  directory: string,
  { d_in, d_out, scales }: Pick<TranscoderConfig, "d_in" | "d_out" | "scales">,
): Promise<Preparation> {
  if (scales !== undefined) return { source: scaledBy(d_in, scales.source), target: scaledBy(d_out, scales.target) };
  await requireSummed(directory, PREPARATION_FILE);
  const file = await openSafetensors(join(directory, PREPARATION_FILE));
  try {
    const read = async (name: string, width: number, isSound: (value: number) => boolean, requirement: string) => {
      const data = await file.readF32(name);
      const bad = data.findIndex((value) => !isSound(value));
      if (data.length === width && bad === -1) return Float64Array.from(data);
      throw new UserError({
        action: `read ${file.path}`,
        requirement: `${name} must have ${width} numbers, each ${requirement}`,
        found: bad === -1 ? `it has ${data.length}` : `number ${bad} is ${data[bad]}`,
        remedy: "restore the files that belong together",
      });
    };
    const columns = async (end: string, width: number): Promise<Columns> => ({
      mean: await read(`${end}.mean`, width, Number.isFinite, "finite"),
      scale: await read(`${end}.scale`, width, (value) => value > 0 && Number.isFinite(value), "above 0 and finite"),
    });
    return { source: await columns("source", d_in), target: await columns("target", d_out) };
  } finally {
    await file.close();
  }
}
