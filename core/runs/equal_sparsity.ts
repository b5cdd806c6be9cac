/**
 * equal_sparsity.json: what a transcoder leaves unexplained once its threshold is raised so that it has no more active features than another one, as
 * `mtc analyze compare --equal-l0` measured it. It lies beside the one whose threshold is raised, an entry for each that it was compared with.
 * @module
 */

import { join } from "node:path";
import * as v from "valibot";
import type { ComparedReconstructions } from "../analysis/equal_sparsity.ts";
import { writeFileAtomic } from "../files/atomic.ts";
import type { TranscoderVectors } from "../transcoder/weights.ts";
import { readJsonIfThere } from "./json.ts";
import { fingerprintOf } from "./record.ts";
import { requireSum, writeSummed } from "./sums.ts";

/** The file's name. */
export const EQUAL_SPARSITY_FILE = "equal_sparsity.json";

/** Entries that are kept, the last ones. */
const KEPT = 32;

/** What was measured: `a` is the transcoder with its threshold raised, `b` the one that it was compared with. */
export interface EqualSparsity extends ComparedReconstructions {
  /** The threshold that an activation had to be above, besides its own. */
  readonly threshold: number;
}

/** JSON has no NaN: a `null` is read as one. */
const measured = v.pipe(v.nullable(v.number()), v.transform((value): number => value ?? NaN));
const interval = v.tuple([measured, measured]);
const side = v.object({ l0: measured, fvus: v.array(measured), ci95: interval });
const schema = v.array(v.object({
  ...{ transcoder: v.string(), against: v.string(), tokens: v.number(), threshold: measured },
  resampled: v.picklist(["documents", "contexts"]),
  ...{ a: side, b: side, difference: measured, difference_ci95: interval },
}));

/**
 * Keeps a measurement.
 *
 * @param directory The directory of the transcoder whose threshold was raised.
 * @param transcoder That one.
 * @param against The other one.
 * @param found What was measured; NaN becomes null.
 * @throws {UserError} When the disk does not take it, or what is there is damaged.
 */
export async function writeEqualSparsity(
  directory: string,
  transcoder: TranscoderVectors,
  against: TranscoderVectors,
  found: EqualSparsity,
): Promise<void> {
  const path = join(directory, EQUAL_SPARSITY_FILE), pair = keyOf(transcoder, against);
  const others = (await readAll(directory) ?? []).filter((entry) =>
    entry.transcoder === pair.transcoder && entry.against !== pair.against
  );
  const text = JSON.stringify([...others, { ...pair, ...found }].slice(-KEPT), null, 1) + "\n";
  await writeSummed(path, () => writeFileAtomic(path, text));
}

/**
 * Reads a measurement.
 *
 * @param directory The directory of the transcoder whose threshold would be raised.
 * @param transcoder That one as its files say now.
 * @param against The other one.
 * @param tokens The tokens that both are compared on.
 * @returns What was measured; undefined where it was not, or of what one of them was before.
 * @throws {UserError} When the file is damaged.
 */
export async function readEqualSparsity(
  directory: string,
  transcoder: TranscoderVectors,
  against: TranscoderVectors,
  tokens: number,
): Promise<EqualSparsity | undefined> {
  const pair = keyOf(transcoder, against);
  const stored = await readAll(directory);
  const found = stored?.find((entry) =>
    entry.transcoder === pair.transcoder && entry.against === pair.against && entry.tokens === tokens
  );
  if (found === undefined) return undefined;
  const { transcoder: _, against: __, ...figures } = found;
  return figures;
}

async function readAll(directory: string): Promise<v.InferOutput<typeof schema> | undefined> {
  await requireSum(directory, EQUAL_SPARSITY_FILE, "remove it; `mtc report` makes it anew");
  return await readJsonIfThere(v.safeParser(schema), join(directory, EQUAL_SPARSITY_FILE));
}

function keyOf(transcoder: TranscoderVectors, against: TranscoderVectors) {
  return { transcoder: fingerprintOf(transcoder), against: fingerprintOf(against) };
}
