/**
 * What an imported transcoder does on a text: its figures on held-out text, and samples and statistics of its features, as training measures them
 * behind its last step.
 * @module
 */

import { type FeatureRow, featureRows } from "../../core/analysis/feature_rows.ts";
import type { FeatureTally } from "../../core/analysis/samples.ts";
import type { Gpu } from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import type { ModelFiles } from "../../core/model/files.ts";
import { measureColumns } from "../../core/passes/columns.ts";
import { evaluateTranscoders } from "../../core/passes/evaluation.ts";
import { withLimitedTaps } from "../../core/passes/norm_limits.ts";
import { collectSamples } from "../../core/passes/samples.ts";
import { dataOf } from "../../core/runs/config.ts";
import { IMPORTED_TOKEN_COUNTS_DEFINITION, type StoredEvaluation } from "../../core/runs/evaluation.ts";
import { type FinishedTranscoder, loadRunModel } from "../../core/runs/finished.ts";
import { tapsOf } from "../../core/runs/ids.ts";
import { readLinearMap } from "../../core/runs/linear_map.ts";
import type { SampleTexts } from "../../core/runs/samples.ts";
import { rereading } from "../../core/text/reading.ts";
import { evaluatedText, openTokenSource, type TokenSource } from "../../core/text/source.ts";
import { readingOf } from "../../core/text/summary.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";
import { choosePreparation } from "../../core/training/initialise.ts";
import type { Preparation } from "../../core/transcoder/weights.ts";
import { loadVisibly } from "../open_model.ts";
import { Progress } from "../progress.ts";

/** What was measured. */
export interface MeasuredImport {
  /** The figures on held-out text. */
  readonly evaluation: StoredEvaluation;
  /** Samples. */
  readonly tally: FeatureTally;
  /** Statistics of the features. */
  readonly features: FeatureRow[];
  /** Turns samples into text. */
  readonly texts: SampleTexts;
  /** How its activations would be prepared for a training, which analyses that compare activations need. */
  readonly preparation: Preparation;
}

/** Tokens that the preparation is measured on, as many as a training's first buffer has at least. */
const MEASURED_TOKENS = 8192;

/**
 * Measures a transcoder.
 *
 * @param device The device.
 * @param model The model, opened.
 * @param one The transcoder.
 * @returns What it does.
 * @throws {UserError} When model or text cannot be read, or the device fails.
 */
export async function measureImported(
  device: Gpu,
  model: ModelFiles,
  one: FinishedTranscoder,
): Promise<MeasuredImport> {
  const { directory, config, transcoder: { shape: { groups }, weights } } = one;
  const placed = { ...one, linearMap: await readLinearMap(directory, config) };
  using gpu = openScope(device);
  const taps = withLimitedTaps(tapsOf([config]), config);
  const decoder = await loadVisibly((onLoading) => loadRunModel(gpu, model, [one], { taps, onLoading }));
  const common = { gpu, decoder, settings: config, transcoders: [placed] };
  const { evaluation_tokens, sample_tokens } = config, split = "test";
  const [figures] = await onText(
    ...[model, config, "Evaluating", { split, seed: null, tokens: evaluation_tokens }] as const,
    (source, onProgress) => {
      const text = evaluatedText(source, split);
      return evaluateTranscoders({ ...common, source, text, tokens: evaluation_tokens, onProgress });
    },
  );
  const preparation = await onText(
    ...[model, config, "Measuring activations", { split: "train", seed: 0 }] as const,
    async (source, onProgress) => {
      const { source: tap, targets } = config, tokens = Math.min(MEASURED_TOKENS, sample_tokens);
      const [first, ...rest] = await measureColumns({ ...common, source, tokens, onProgress }, [tap, ...targets]);
      return choosePreparation(first, rest);
    },
  );
  return await onText(
    ...[model, config, "Collecting samples", { split: "train", seed: 0 }] as const,
    async (source, onProgress) => {
      // How it does on what is training text for others is nobody's question.
      const settings = { ...config, evaluation_tokens: 0 };
      const sampled = await collectSamples({ ...common, settings, source, tokens: sample_tokens, onProgress });
      const { tallies: [tally], counts: samples } = sampled, { tokenText, decode } = loadTokenizer(model);
      const definitions = { ...figures.definitions, ...IMPORTED_TOKEN_COUNTS_DEFINITION };
      return {
        ...{ preparation, tally, evaluation: { ...figures, token_counts: { samples }, definitions } },
        texts: { tokenText, decode, documentName: (document) => source.documentName(document) },
        features: featureRows(groups, weights, tally, tokenText),
      };
    },
  );
}

/** Opens a part of the text for one measurement, which is shown, and closes it behind it. */
async function onText<T>(
  tokenizer: ModelFiles,
  config: FinishedTranscoder["config"],
  label: string,
  part: { readonly split: "train" | "test"; readonly seed: number | null; readonly tokens?: number },
  measure: (source: TokenSource, onProgress: (done: number, total: number) => void) => Promise<T>,
): Promise<T> {
  const { context, data } = config, text = { data: dataOf(config), reading: rereading(readingOf(data)), context };
  const progress = new Progress(label), source = await openTokenSource({ tokenizer, ...text, ...part });
  try {
    return await measure(source, (done, total) => progress.advance({ done, total, unit: "tokens" }));
  } finally {
    progress.stop();
    await source.close();
  }
}
