/**
 * What a finished transcoder must have, and what of it is lost: missing or damaged. All of it can be made again from the last checkpoint.
 * @module
 */

import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { exists } from "../files/exists.ts";
import { checkpointName, checkpointsOf, checkpointSteps } from "./checkpoints.ts";
import { CONFIG_FILE, type TranscoderConfig } from "./config.ts";
import { EVALUATION_FILE, readEvaluation } from "./evaluation.ts";
import { FEATURES_FILE, readFeatures } from "./features.ts";
import { LINEAR_MAP_FILE } from "./linear_map.ts";
import { METRICS_FILE, readMetrics } from "./metrics.ts";
import { PREPARATION_FILE } from "./preparation.ts";
import { readSamples, SAMPLES_FILE, TRAINING_SAMPLES_FILE } from "./samples.ts";
import { requireSum, requireSummed } from "./sums.ts";
import { readTranscoder, TRANSCODER_FILE } from "./transcoder.ts";

/** Reads a file as whoever uses it does, and throws a UserError where it cannot be. */
type Reader = (directory: string, config: TranscoderConfig) => Promise<unknown>;

/** The files that reports are made of, each with what reads it. */
const READERS: Readonly<Record<string, Reader>> = {
  [TRANSCODER_FILE]: (directory, config) => readTranscoder(directory, config, true),
  [METRICS_FILE]: (directory, { groups }) => readMetrics(directory, groups),
  [EVALUATION_FILE]: readEvaluation,
  [FEATURES_FILE]: (directory, { groups }) => readFeatures(directory, groups),
  [SAMPLES_FILE]: async (directory, { groups }) => {
    for await (const _ of readSamples(directory, groups));
  },
};

/**
 * The names of the files without which there is no report.
 *
 * @param config The transcoder's config.json.
 * @returns All that are read; of a transcoder that was trained elsewhere there is no course of a training.
 */
export function reportedFiles({ imported }: Pick<TranscoderConfig, "imported">): string[] {
  return Object.keys(READERS).filter((name) => !(imported && name === METRICS_FILE));
}

/** What a run begins with and keeps a copy of in each checkpoint, each with what tells whether it is lost. */
const BEGINNINGS: Readonly<Record<string, Reader>> = {
  [PREPARATION_FILE]: (directory) => requireSummed(directory, PREPARATION_FILE),
  [LINEAR_MAP_FILE]: (directory) => requireSummed(directory, LINEAR_MAP_FILE),
};

/** Their names. */
export const BEGINNING_FILES: readonly string[] = Object.keys(BEGINNINGS);

/** The names of all files that a finished transcoder has by itself. */
export const FINISHED_FILES: readonly string[] = [
  CONFIG_FILE,
  ...BEGINNING_FILES,
  ...Object.keys(READERS),
  TRAINING_SAMPLES_FILE,
];

/**
 * Finds out what of a transcoder must be made when its last step is done.
 *
 * @param directory The transcoder's directory.
 * @param config Its config.json.
 * @returns The names of the files that are missing or cannot be read; all where it was never finished. Empty when it is whole.
 * @throws {UserError} When a directory, a pipe or the like is in the place of one.
 */
export async function filesToMake(directory: string, config: TranscoderConfig): Promise<string[]> {
  const all = [...reportedFiles(config), TRAINING_SAMPLES_FILE];
  if (!await exists(join(directory, TRANSCODER_FILE))) return all;
  const lost: string[] = [];
  const readers: Readonly<Record<string, Reader>> = {
    ...BEGINNINGS,
    ...READERS,
    [TRAINING_SAMPLES_FILE]: (directory) => requireSum(directory, TRAINING_SAMPLES_FILE),
  };
  for (const [name, read] of Object.entries(readers)) {
    if (!all.includes(name) && !BEGINNING_FILES.includes(name)) continue;
    const path = join(directory, name), info = await lstat(path).catch(() => null);
    if (info !== null && !info.isFile() && !info.isSymbolicLink()) throw inTheWay(path);
    if ((info === null && all.includes(name)) || !await isReadable(() => read(directory, config))) lost.push(name);
  }
  return lost;
}

async function isReadable(read: () => Promise<unknown>): Promise<boolean> {
  try {
    await read();
    return true;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

function inTheWay(path: string): UserError {
  return new UserError({
    action: `make ${path} again`,
    requirement: "it must be a file or not be there",
    found: "it is a directory, a pipe or the like",
    remedy: "move it elsewhere",
  });
}

/**
 * Makes sure that what is lost of a finished transcoder can be made again.
 *
 * @param directory The transcoder's directory.
 * @param config Its config.json.
 * @param lost The names of the files.
 * @throws {UserError} When the checkpoint of its last step is gone, or holds no copy of a lost file that it should have one of.
 */
export async function requireMendable(
  directory: string,
  { steps }: Pick<TranscoderConfig, "steps">,
  lost: readonly string[],
): Promise<void> {
  const action = `make ${lost.join(", ")} of ${directory} again`;
  if (!await isMendable(directory, steps)) {
    throw new UserError({
      action,
      requirement: "the checkpoint of its last step must be there",
      found: "it was removed",
      remedy: "restore what is lost, or the checkpoint, or train the run again",
    });
  }
  for (const name of [METRICS_FILE, ...BEGINNING_FILES]) {
    const copy = join(checkpointsOf(directory), checkpointName(steps), name);
    if (!lost.includes(name) || await exists(copy)) continue;
    throw new UserError({
      action,
      requirement: `the checkpoint of its last step must hold a copy of ${name}`,
      found: "it holds none, as those of an older mtc",
      remedy: "restore the file or train the run again",
    });
  }
}

async function isMendable(directory: string, steps: number): Promise<boolean> {
  return (await checkpointSteps(directory)).includes(steps);
}

/**
 * Adds to an error about a file of a finished transcoder how that is made again, where it can be.
 *
 * @param error What was thrown.
 * @param directory The transcoder's directory.
 * @param config Its config.json.
 * @returns The same error, or one with another remedy.
 */
export async function withMending(
  error: unknown,
  directory: string,
  { steps }: Pick<TranscoderConfig, "steps">,
): Promise<unknown> {
  if (!(error instanceof UserError) || !await isMendable(directory, steps)) return error;
  return new UserError({ ...error.parts, remedy: `make it again: mtc train --resume ${join(directory, "..")}` });
}
