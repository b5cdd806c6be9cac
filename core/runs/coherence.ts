/**
 * coherence.json: the semantic coherence of a finished transcoder's features, as `mtc analyze coherence` measured it.
 * @module
 */

import { join } from "node:path";
import * as v from "valibot";
import type { Coherence } from "../analysis/coherence.ts";
import { UserError } from "../errors.ts";
import { writeFileAtomic } from "../files/atomic.ts";
import type { TranscoderConfig } from "./config.ts";
import { readJsonIfThere } from "./json.ts";
import { requireSum, writeSummed } from "./sums.ts";

/** The file's name. */
export const COHERENCE_FILE = "coherence.json";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** JSON has no NaN: a `null` is read as one. */
const measured = v.pipe(v.nullable(v.number()), v.transform((value): number => value ?? NaN));

/** What the file holds. */
export interface StoredCoherence extends Coherence {
  /** The transcoder's training steps when it was measured: after more of them it is another transcoder. */
  steps: number;
  /** Where the activations were taken, for example `layer2.resid_mid`. */
  source: string;
  /** One sentence per figure that says exactly what it is. */
  definitions: Record<string, string>;
}

const schema: v.GenericSchema<unknown, StoredCoherence> = v.object({
  steps: count,
  source: v.string(),
  tokens: count,
  rare: count,
  left_out: count,
  random: v.object({ directions: count, median: measured, limit: measured }),
  beyond: count,
  features: v.array(v.object({
    feature: count,
    fires: count,
    documents: count,
    cosine: measured,
    by_token: measured,
    coherence: measured,
    ci95: v.tuple([measured, measured]),
    token_entropy: measured,
    examples: v.array(count),
  })),
  definitions: v.record(v.string(), v.string()),
});

/**
 * Writes the file.
 *
 * @param directory The transcoder's directory.
 * @param coherence The figures; NaN becomes null.
 * @throws {UserError} When the disk does not take it.
 */
export function writeCoherence(directory: string, coherence: StoredCoherence): Promise<void> {
  const path = join(directory, COHERENCE_FILE);
  return writeSummed(path, () => writeFileAtomic(path, JSON.stringify(coherence) + "\n"));
}

/**
 * Reads the file.
 *
 * @param directory The transcoder's directory.
 * @param config Its config.json.
 * @returns The figures; undefined where there are none, or those of the transcoder after fewer steps.
 * @throws {UserError} When the file is cut off, a figure is absent, or it is of another dictionary.
 */
export async function readCoherence(
  directory: string,
  { steps, features }: Pick<TranscoderConfig, "steps" | "features">,
): Promise<StoredCoherence | undefined> {
  await requireSum(directory, COHERENCE_FILE, "remove it; `mtc analyze coherence` makes it anew");
  const path = join(directory, COHERENCE_FILE), stored = await readJsonIfThere(v.safeParser(schema), path);
  if (stored?.steps !== steps) return undefined;
  const stranger = stored.features.find(({ feature, examples }) => {
    return feature >= features || examples.length === 0 || examples.some((token) => token >= stored.tokens);
  });
  if (stranger === undefined) return stored;
  throw new UserError({
    action: `read ${path}`,
    requirement: `its features must be below ${features}, with examples below ${stored.tokens}`,
    found: `feature ${stranger.feature} has ${stranger.examples.join(", ") || "none"}`,
    remedy: "remove it; `mtc analyze coherence` makes it anew",
  });
}
