/**
 * importance.json: how much the features of a finished transcoder matter, as `mtc analyze importance` measured it.
 * @module
 */

import { join } from "node:path";
import * as v from "valibot";
import { FEATURE_SETS, type Importance, MEASURES } from "../analysis/importance.ts";
import { REASONS, type Silent } from "../analysis/silent.ts";
import { writeFileAtomic } from "../files/atomic.ts";
import type { TranscoderConfig } from "./config.ts";
import { readJsonIfThere } from "./json.ts";
import { requireSum, writeSummed } from "./sums.ts";

/** The file's name. */
export const IMPORTANCE_FILE = "importance.json";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** JSON has no NaN: a `null` is read as one. */
const measured = v.pipe(v.nullable(v.number()), v.transform((value): number => value ?? NaN));
const interval = v.tuple([measured, measured]);
const nearness = { encoder_norm: measured, gap: measured, cosine: measured };
const measure = v.picklist(MEASURES), set = v.picklist(FEATURE_SETS);

/** What the file holds. */
export interface StoredImportance extends Importance {
  /** The transcoder's training steps when it was measured: after more of them it is another transcoder. */
  steps: number;
  /** Features that fire hardly or not at all; null where the run has no features.csv. */
  silent: Silent | null;
}

const schema: v.GenericSchema<unknown, StoredImportance> = v.object({
  steps: count,
  tokens: count,
  predictions: count,
  contexts: count,
  documents: count,
  resampled: v.picklist(["documents", "contexts"]),
  clean_ce: measured,
  features: v.array(v.object({
    feature: count,
    group: count,
    fires: count,
    mass: measured,
    fvu_rise: measured,
    effect: v.nullable(v.object({
      sets: v.array(set),
      ce_rise: measured,
      ce_rise_ci95: interval,
      ce_rise_per_fire: measured,
      kl: measured,
      kl_ci95: interval,
    })),
  })),
  agreement: v.array(v.object({
    set,
    features: count,
    chance: measured,
    pairs: v.array(v.object({ a: measure, b: measure, spearman: measured, ci95: interval })),
    reliability: v.object({ mass: measured, fvu_rise: measured, ce_rise: measured, kl: measured }),
  })),
  silent: v.optional(
    v.nullable(v.object({
      dead: count,
      ultra_rare: count,
      living: v.object({ features: count, gap_p95: measured, ...nearness }),
      features: v.array(v.object({
        ...{ feature: count, group: count, fires: count, bias: measured, threshold: measured },
        ...{ mean: measured, std: measured, largest: measured, ...nearness },
        neighbour: v.pipe(v.number(), v.safeInteger()),
        why: v.picklist(REASONS),
      })),
      definitions: v.record(v.string(), v.string()),
    })),
    null,
  ),
  definitions: v.record(v.string(), v.string()),
});

/**
 * Writes the file.
 *
 * @param directory The transcoder's directory.
 * @param importance The figures; NaN becomes null.
 * @throws {UserError} When the disk does not take it.
 */
export function writeImportance(directory: string, importance: StoredImportance): Promise<void> {
  const path = join(directory, IMPORTANCE_FILE);
  return writeSummed(path, () => writeFileAtomic(path, JSON.stringify(importance, null, 1) + "\n"));
}

/**
 * Reads the file.
 *
 * @param directory The transcoder's directory.
 * @param config Its config.json.
 * @returns The figures; undefined where there are none, or those of the transcoder after fewer steps.
 * @throws {UserError} When the file is cut off, or a figure is absent.
 */
export async function readImportance(
  directory: string,
  { steps }: Pick<TranscoderConfig, "steps">,
): Promise<StoredImportance | undefined> {
  await requireSum(directory, IMPORTANCE_FILE, "remove it; `mtc analyze importance` makes it anew");
  const stored = await readJsonIfThere(v.safeParser(schema), join(directory, IMPORTANCE_FILE));
  return stored?.steps === steps ? stored : undefined;
}
