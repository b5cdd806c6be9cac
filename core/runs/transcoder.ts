/**
 * transcoder.safetensors of a run: it comes last, so that it marks a transcoder as finished.
 * @module
 */

import { join } from "node:path";
import { UserError } from "../errors.ts";
import { sumOfFile } from "../files/checksum.ts";
import { featureCount } from "../transcoder/shape.ts";
import { saveTranscoder, storedTranscoder } from "../transcoder/formats/native.ts";
import { type StoredTranscoder, type Transcoder, wholeTranscoder } from "../transcoder/weights.ts";
import type { TranscoderConfig } from "./config.ts";
import { requireSum, writeSummed } from "./sums.ts";

/** The file's name. */
export const TRANSCODER_FILE = "transcoder.safetensors";

/**
 * Writes the file.
 *
 * @param directory The transcoder's directory.
 * @param transcoder The transcoder, for raw activations.
 * @throws {UserError} When the disk does not take it.
 */
export function writeTranscoder(directory: string, transcoder: Transcoder): Promise<void> {
  const path = join(directory, TRANSCODER_FILE);
  return writeSummed(path, () => saveTranscoder(path, transcoder));
}

/**
 * Reads the file and holds it against config.json.
 *
 * @param directory The transcoder's directory.
 * @param config Its config.json.
 * @param isDiagnosed Whether numbers that are not finite are let through, as they are what is looked for.
 * @returns The transcoder.
 * @throws {UserError} When the file is missing or damaged, or its sizes are not those of `config`.
 */
export async function readTranscoder(
  directory: string,
  config: Pick<TranscoderConfig, "d_in" | "d_out" | "features" | "groups">,
  isDiagnosed: boolean = false,
): Promise<Transcoder> {
  return await wholeTranscoder(await openTranscoder(directory, config, isDiagnosed));
}

/**
 * Reads the file but for its matrices, which are read when they are asked for, and holds it against config.json.
 *
 * @param directory The transcoder's directory.
 * @param config Its config.json.
 * @param isDiagnosed As {@link readTranscoder} takes it.
 * @returns The transcoder.
 * @throws {UserError} As {@link readTranscoder} does.
 */
export async function openTranscoder(
  directory: string,
  config: Pick<TranscoderConfig, "d_in" | "d_out" | "features" | "groups">,
  isDiagnosed: boolean = false,
): Promise<StoredTranscoder> {
  await requireSum(directory, TRANSCODER_FILE);
  const transcoder = await storedTranscoder(join(directory, TRANSCODER_FILE), isDiagnosed), { shape } = transcoder;
  const sizes = [shape.d_in, featureCount(shape.groups), shape.d_out];
  const expected = [config.d_in, config.features, config.d_out];
  if (sizes.join() === expected.join()) return { ...transcoder, shape: { ...shape, groups: config.groups } };
  throw new UserError({
    action: `read ${join(directory, TRANSCODER_FILE)}`,
    requirement: `config.json asks for d_in, features, d_out = ${expected.join(", ")}`,
    found: `the file has ${sizes.join(", ")}`,
    remedy: "restore the files that belong together",
  });
}

/**
 * Tells the file from that of every other transcoder.
 *
 * @param directory The transcoder's directory.
 * @returns SHA-256 of all of its bytes.
 * @throws {UserError} When it cannot be read.
 */
export function transcoderFingerprint(directory: string): Promise<string> {
  return sumOfFile(join(directory, TRANSCODER_FILE));
}
