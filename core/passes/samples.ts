/**
 * Samples and feature statistics from text, with frozen weights, and beside them what the transcoders make of such text as a whole.
 * @module
 */

import type { TrainingTextFigures } from "../analysis/evaluation.ts";
import { FeatureTally } from "../analysis/samples.ts";
import type { TokenCounts } from "../analysis/token_counts.ts";
import { openScope } from "../gpu/scope.ts";
import { countedPerContext } from "../text/contexts.ts";
import { featureCount } from "../transcoder/shape.ts";
import { Evaluator } from "./evaluation.ts";
import { FeatureReader, type TextSettings, type TranscodersOnText } from "./features.ts";
import { normLimits } from "./norm_limits.ts";
import { overText } from "./over_text.ts";

/** Whose samples are taken from what. */
export interface SampleOptions extends TranscodersOnText {
  /** The run's settings, as far as they concern samples. */
  readonly settings: TextSettings & {
    /** The most samples per feature. */
    readonly samples_per_feature: number;
    /** Activations below this are not sampled. */
    readonly sample_threshold: number;
    /** Tokens to be evaluated, of the text's first contexts. */
    readonly evaluation_tokens: number;
  };
}

/** What was taken from a text. */
export interface Sampled {
  /** One per transcoder, in their order. */
  readonly tallies: readonly FeatureTally[];
  /** Likewise; none where no token was evaluated. */
  readonly figures: readonly TrainingTextFigures[];
  /** The text's tokens. */
  readonly counts: TokenCounts;
}

/** What an evaluation would say of the text and its documents, which nobody asks here. */
const UNNAMED = { split: "test", documents: null, excluded: 0, documentName: String } as const;

/**
 * Takes the top samples and the statistics of every feature from text, with frozen weights, and evaluates the transcoders on a part of it.
 *
 * @param options Whose, and from what. A text shorter than what is asked for is read once: a second time shows nothing new.
 * @returns One tally and one evaluation per transcoder, and how many tokens there were.
 * @throws {UserError} When the text or the device fails.
 * @throws The signal's reason once it is aborted.
 */
export async function collectSamples(options: SampleOptions): Promise<Sampled> {
  const { gpu, decoder, transcoders, tokens, onProgress } = options;
  const { context, include_bos: includeBos, exclude_tokens: excluded } = options.settings;
  const { samples_per_feature, sample_threshold, evaluation_tokens } = options.settings;
  const tallies = transcoders.map(({ transcoder: { shape } }) =>
    new FeatureTally(featureCount(shape.groups), samples_per_feature, sample_threshold)
  );
  const perContext = countedPerContext(context, includeBos), limits = normLimits(options.settings);
  const maxTokens = decoder.contextsAtOnce * perContext;
  using scratch = openScope(gpu);
  const evaluated = Math.ceil(evaluation_tokens / perContext);
  const evaluators = transcoders.map((placed) => new Evaluator(scratch, placed, decoder.config, maxTokens, evaluated));
  const reader = new FeatureReader(
    scratch,
    transcoders,
    maxTokens,
    ({ batch, places }, features) => features.forEach((rows, i) => tallies[i].add(rows, batch, places)),
  );
  const taken = await overText({
    ...options,
    contexts: Math.ceil(tokens / perContext),
    isReadOnce: true,
    includeBos,
    excluded,
    limits,
    onProgress: (done) => onProgress?.(Math.min(done.tokens, tokens), tokens),
  }, [reader, ...evaluators]);
  const { tokens: counted, excluded: excluded_tokens, outliers: outlier_tokens } = taken;
  const figures = evaluators.filter(({ tokens }) => tokens > 0).map((evaluator) => {
    const { tokens, contexts, fvu, fvu_ci95 } = evaluator.result(UNNAMED);
    return { tokens, contexts, fvu, fvu_ci95 };
  });
  return { tallies, figures, counts: { tokens: counted, excluded_tokens, ...limits.length > 0 && { outlier_tokens } } };
}
