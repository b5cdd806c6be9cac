/**
 * linear_map.safetensors: the best linear map from a run's source to its target, fitted when the run began, on training text alone. It is
 * kept so that an evaluation needs no training text to hold a transcoder against it.
 *
 * The file holds F32 tensors weight [d_in, d_out], bias and target.mean [d_out], and the number of tokens in its metadata. A run that
 * was begun by a version without it has none.
 * @module
 */

import { join } from "node:path";
import { UserError } from "../errors.ts";
import { exists } from "../files/exists.ts";
import { openSafetensors, writeSafetensors } from "../files/safetensors.ts";
import type { LinearMap } from "../transcoder/linear_map.ts";
import type { TranscoderConfig } from "./config.ts";
import { requireSummed } from "./sums.ts";

/** The file's name. */
export const LINEAR_MAP_FILE = "linear_map.safetensors";

/**
 * Writes the file atomically.
 *
 * @param directory The transcoder's directory.
 * @param map The map.
 * @throws {UserError} When the disk does not take it.
 */
export async function writeLinearMap(directory: string, map: LinearMap): Promise<void> {
  const { weight, bias, targetMean, tokens } = map, d_out = bias.length;
  const tensor = (name: string, shape: number[], data: Float32Array) => ({ name, dtype: "F32", shape, data }) as const;
  await writeSafetensors(join(directory, LINEAR_MAP_FILE), [
    tensor("weight", [weight.length / d_out, d_out], weight),
    tensor("bias", [d_out], bias),
    tensor("target.mean", [d_out], targetMean),
  ], { tokens: String(tokens) });
}

/**
 * Reads the linear map of a run.
 *
 * @param directory The transcoder's directory.
 * @param config Its config.json.
 * @returns The map; null where the run has none.
 * @throws {UserError} When the file is damaged, is not as wide as `config` says, or has a number that is not finite.
 */
export async function readLinearMap(
  directory: string,
  { d_in, d_out }: Pick<TranscoderConfig, "d_in" | "d_out">,
): Promise<LinearMap | null> {
  const path = join(directory, LINEAR_MAP_FILE);
  await requireSummed(directory, LINEAR_MAP_FILE);
  if (!await exists(path)) return null;
  const file = await openSafetensors(path), tokens = Number(file.metadata.tokens);
  const unusable = (requirement: string, found: string) =>
    new UserError({ action: `read ${path}`, requirement, found, remedy: "restore the files that belong together" });
  try {
    const read = async (name: string, count: number) => {
      const data = await file.readF32(name), bad = data.findIndex((value) => !Number.isFinite(value));
      if (data.length === count && bad === -1) return data;
      const found = bad === -1 ? `it has ${data.length}` : `number ${bad} is ${data[bad]}`;
      throw unusable(`${name} must have ${count} numbers, each finite`, found);
    };
    if (!(Number.isSafeInteger(tokens) && tokens > 0)) {
      throw unusable("its metadata must say on how many tokens it was fitted", `it says ${file.metadata.tokens}`);
    }
    return {
      weight: await read("weight", d_in * d_out),
      bias: await read("bias", d_out),
      targetMean: await read("target.mean", d_out),
      tokens,
    };
  } finally {
    await file.close();
  }
}
