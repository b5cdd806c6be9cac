/**
 * evaluation.json: the figures of a finished transcoder on held-out text, each with its definition.
 * @module
 */

import { join } from "node:path";
import * as v from "valibot";
import type { Evaluation, TrainingTextFigures } from "../analysis/evaluation.ts";
import type { LossEvaluation } from "../analysis/loss.ts";
import type { SaebenchFigures } from "../analysis/saebench.ts";
import type { TargetFigures } from "../analysis/target_figures.ts";
import type { TokenCounts } from "../analysis/token_counts.ts";
import { writeFileAtomic } from "../files/atomic.ts";
import { checked, parseJson, readText } from "./json.ts";
import { requireSum, writeSummed } from "./sums.ts";

/** The file's name. */
export const EVALUATION_FILE = "evaluation.json";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
/** JSON has no NaN: a `null` is read as one, so that a diverged run can still be reported. */
const orNaN = v.transform((value: number | null): number => value ?? NaN);
const measured = v.pipe(v.nullable(v.pipe(v.number(), v.finite())), orNaN);
/** What is counted, or a mean of squares. */
const amount = v.pipe(v.nullable(v.pipe(v.number(), v.finite(), v.minValue(0))), orNaN);
const share = v.pipe(v.nullable(v.pipe(v.number(), v.minValue(0), v.maxValue(1))), orNaN);
/** A cosine of rounded numbers may be a little beyond. */
const cosine = v.pipe(v.nullable(v.pipe(v.number(), v.minValue(-1.001), v.maxValue(1.001))), orNaN);
const interval = v.pipe(
  v.tuple([measured, measured]),
  v.check(([low, high]) => !(low > high), "its ends must be in their order"),
);

const reconstruction = {
  fvu: amount,
  ci95: interval,
  fvu_unit_variance: v.optional(amount),
  cosine: v.optional(cosine),
  cosine_ci95: v.optional(interval),
};
const prefix = v.object({
  prefix: positive,
  ...reconstruction,
  l0: v.optional(amount),
  l0_ci95: v.optional(interval),
});
const targetVariance = v.object({
  ...{ top_1: share, top_5: share, top_20: share },
  ...{ largest_dimension: count, constant_dimensions: count },
});
const targetFigures: v.GenericSchema<unknown, TargetFigures> = v.object({
  target: v.string(),
  ...{ fvu: amount, ci95: interval, fvu_unit_variance: amount },
  fvu_per_prefix: v.array(v.object({ prefix: positive, fvu: amount })),
  target_variance: targetVariance,
  linear_map: v.optional(v.object({ fvu: amount, fvu_unit_variance: amount })),
});
const saebench: v.GenericSchema<unknown, SaebenchFigures> = v.object({
  reconstruction_quality: v.object({ explained_variance: measured, cossim: measured }),
  shrinkage: v.object({
    l2_norm_in: measured,
    l2_norm_out: measured,
    l2_ratio: measured,
    relative_reconstruction_bias: measured,
  }),
  sparsity: v.object({ l0: measured }),
  misc_metrics: v.object({
    frac_alive: measured,
    freq_over_1_percent: measured,
    freq_over_10_percent: measured,
    normalized_freq_over_1_percent: measured,
    normalized_freq_over_10_percent: measured,
  }),
  definitions: v.record(v.string(), v.string()),
});
const tokenCounts = v.object({ tokens: count, excluded_tokens: count, outlier_tokens: v.optional(count) });
const documentFvu = v.object({ document: v.string(), tokens: count, fvu: amount });

/** What evaluation.json holds: the figures at the end of training, and those of `mtc evaluate --loss` once that was asked for. */
export interface StoredEvaluation extends Evaluation {
  /** The model's predictions with the transcoder in the target's place. */
  loss?: LossEvaluation;
  /** The same transcoder on training text; absent where an older mtc evaluated. */
  training_text?: TrainingTextFigures;
  /** What of the training text was left out; likewise. */
  token_counts?: RunCounts;
}

/** The tokens of the training text that a run has taken in. */
export interface RunCounts {
  /** Those of all shuffle buffers; absent where a part of the run did not count them. */
  training?: TokenCounts;
  /** Those of the final pass, which samples are from. */
  samples: TokenCounts;
  /** Records of the training text that hold no text and were left out; absent for none. */
  bad_records?: number;
}

/** What joins the definitions of an evaluation for {@link RunCounts}. */
export const TOKEN_COUNTS_DEFINITION: Readonly<Record<string, string>> = {
  token_counts:
    "Tokens of the training text: those harvested in training, each as often as it was harvested, and those of the final pass, which " +
    "samples are from; tokens counts those that were used, excluded_tokens those that were left out for their ids, outlier_tokens " +
    "others that were left out for their norm, if any were to be, and bad_records the records of files that hold no text and were left out, " +
    "each once, if there were any.",
};

/** The same of a transcoder that was trained elsewhere: nothing is known of its training text. */
export const IMPORTED_TOKEN_COUNTS_DEFINITION: Readonly<Record<string, string>> = {
  token_counts:
    "Tokens of the text outside of validation and test that samples are from; tokens counts those that were used, excluded_tokens those " +
    "that were left out for their ids, outlier_tokens others that were left out for their norm, if any were to be.",
};

/** What joins the definitions of an evaluation for `training_text`. */
export const TRAINING_TEXT_DEFINITION: Readonly<Record<string, string>> = {
  training_text:
    "fvu and its interval on text of the training part, read with the same threshold as held-out text: the first contexts of the final " +
    "pass, as many tokens as are asked of held-out text or all that the pass reads, in another order than training saw them. Contexts are packed as in training, so that " +
    "some hold the end of one document and the beginning of the next; such a context counts as one of its first document.",
};

const predictions = {
  ce: amount,
  ce_ci95: interval,
  kl: measured,
  kl_ci95: interval,
  top1: share,
  top1_ci95: interval,
};
const spliced = {
  ...predictions,
  recovered_zero: measured,
  recovered_zero_ci95: interval,
  recovered_mean: measured,
  recovered_mean_ci95: interval,
};
const ablations = { zero: v.object(predictions), mean: v.object(predictions) };
const lossSchema: v.GenericSchema<unknown, LossEvaluation> = v.object({
  tokens: count,
  contexts: count,
  documents: count,
  resampled: v.picklist(["documents", "contexts"]),
  clean: v.object({ ce: amount, ce_ci95: interval }),
  ...ablations,
  per_prefix: v.pipe(v.array(v.object({ prefix: positive, ...spliced })), v.minLength(1)),
  replacement_model: v.optional(v.object({
    transcoders: v.array(v.string()),
    ...ablations,
    per_prefix: v.pipe(v.array(v.object({ prefixes: v.array(positive), ...spliced })), v.minLength(1)),
  })),
  definitions: v.record(v.string(), v.string()),
});

const schema: v.GenericSchema<unknown, StoredEvaluation> = v.object({
  tokens: count,
  contexts: count,
  split: v.optional(v.picklist(["validation", "test"])),
  excluded_tokens: v.optional(count),
  outlier_tokens: v.optional(count),
  documents: v.optional(count),
  split_documents: v.optional(v.nullable(count)),
  resampled: v.optional(v.picklist(["documents", "contexts"])),
  threshold: measured,
  threshold_range: v.optional(v.tuple([measured, measured])),
  fvu: amount,
  fvu_ci95: interval,
  fvu_per_prefix: v.pipe(v.array(prefix), v.minLength(1)),
  fvu_per_target: v.optional(v.array(targetFigures)),
  fvu_unit_variance: v.optional(amount),
  fvu_unit_variance_ci95: v.optional(interval),
  target_variance: v.optional(targetVariance),
  cosine: v.optional(cosine),
  cosine_ci95: v.optional(interval),
  linear_map: v.optional(v.object({ tokens: positive, ...reconstruction })),
  skip_alone: v.optional(v.object(reconstruction)),
  fvu_over_documents: v.optional(v.object({ min: documentFvu, median: amount, max: documentFvu })),
  fvu_per_document: v.optional(v.array(documentFvu)),
  explained_variance: measured,
  fvu_all_elements: amount,
  l0: amount,
  l0_ci95: interval,
  l0_quantiles: v.object({ p05: amount, p25: amount, p50: amount, p75: amount, p95: amount }),
  k: positive,
  dead_features: amount,
  dead_fraction: share,
  saebench: v.optional(saebench),
  loss: v.optional(lossSchema),
  training_text: v.optional(v.object({ tokens: count, contexts: count, fvu: amount, fvu_ci95: interval })),
  token_counts: v.optional(v.object({
    training: v.optional(tokenCounts),
    samples: tokenCounts,
    bad_records: v.optional(count),
  })),
  definitions: v.record(v.string(), v.string()),
});

/**
 * Writes the file.
 *
 * @param directory The transcoder's directory.
 * @param evaluation The figures; NaN becomes null.
 * @throws {UserError} When the disk does not take it.
 */
export function writeEvaluation(directory: string, evaluation: StoredEvaluation): Promise<void> {
  const path = join(directory, EVALUATION_FILE);
  return writeSummed(path, () => writeFileAtomic(path, JSON.stringify(evaluation, null, 2) + "\n"));
}

/**
 * Reads the file.
 *
 * @param directory The transcoder's directory.
 * @returns The figures; `null` where a number belongs becomes NaN.
 * @throws {UserError} When it is missing, cut off, or a figure is absent.
 */
export async function readEvaluation(directory: string): Promise<StoredEvaluation> {
  const path = join(directory, EVALUATION_FILE);
  await requireSum(directory, EVALUATION_FILE);
  return checked(v.safeParser(schema), parseJson(await readText(path), path), path);
}
