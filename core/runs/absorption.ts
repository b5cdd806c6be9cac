/**
 * absorption.json: first-letter absorption of a finished transcoder, as `mtc analyze absorption` measured it.
 * @module
 */

import { join } from "node:path";
import * as v from "valibot";
import type { Absorption } from "../analysis/absorption.ts";
import { writeFileAtomic } from "../files/atomic.ts";
import type { TranscoderConfig } from "./config.ts";
import { readJsonIfThere } from "./json.ts";
import { requireSum, writeSummed } from "./sums.ts";

/** The file's name. */
export const ABSORPTION_FILE = "absorption.json";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** JSON has no NaN: a `null` is read as one. */
const measured = v.pipe(v.nullable(v.number()), v.transform((value): number => value ?? NaN));
const rates = { full_absorption_rate: measured, mean_absorption_fraction: measured };
const scores = { mean_absorption_fraction_score: measured, mean_full_absorption_score: measured };

/** What the file holds. */
export interface StoredAbsorption extends Absorption {
  /** The transcoder's training steps when it was measured: after more of them it is another transcoder. */
  steps: number;
  /** Words of the vocabulary, of which so many were drawn. */
  vocabulary_words: number;
  /** Examples in front of each word. */
  examples: number;
  /** What the words were drawn by. */
  seed: number;
}

const schema: v.GenericSchema<unknown, StoredAbsorption> = v.object({
  ...{ steps: count, vocabulary_words: count, examples: count, seed: count },
  ...{ train_words: count, test_words: count, known_letters: count },
  mean: v.nullable(v.object({
    ...scores,
    mean_num_split_features: measured,
    mean_split_f1: measured,
    std_dev_absorption_fraction_score: measured,
    std_dev_full_absorption_score: measured,
    std_dev_num_split_features: measured,
    by_chance: v.object(scores),
  })),
  letters: v.array(v.object({
    first_letter: v.string(),
    ...{ train_words: count, test_words: count, probe_f1: measured },
    measured: v.nullable(v.object({
      ...rates,
      split_features: v.array(count),
      split_f1: measured,
      ...{ num_probe_true_positives: count, num_full_absorption: count },
      by_chance: v.object(rates),
      absorbed: v.array(v.object({ word: v.string(), feature: count, cosine: measured, share: measured })),
    })),
  })),
  definitions: v.record(v.string(), v.string()),
});

/**
 * Writes the file.
 *
 * @param directory The transcoder's directory.
 * @param absorption The figures; NaN becomes null.
 * @throws {UserError} When the disk does not take it.
 */
export function writeAbsorption(directory: string, absorption: StoredAbsorption): Promise<void> {
  const path = join(directory, ABSORPTION_FILE);
  return writeSummed(path, () => writeFileAtomic(path, JSON.stringify(absorption, null, 1) + "\n"));
}

/**
 * Reads the file.
 *
 * @param directory The transcoder's directory.
 * @param config Its config.json.
 * @returns The figures; undefined where there are none, or those of the transcoder after fewer steps.
 * @throws {UserError} When the file is cut off, or a figure is absent.
 */
export async function readAbsorption(
  directory: string,
  { steps }: Pick<TranscoderConfig, "steps">,
): Promise<StoredAbsorption | undefined> {
  await requireSum(directory, ABSORPTION_FILE, "remove it; `mtc analyze absorption` makes it anew");
  const stored = await readJsonIfThere(v.safeParser(schema), join(directory, ABSORPTION_FILE));
  return stored?.steps === steps ? stored : undefined;
}
