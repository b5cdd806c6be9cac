/**
 * Samples and feature statistics from text, with frozen weights.
 * @module
 */

import { FeatureTally } from "../analysis/samples.ts";
import type { TokenCounts } from "../analysis/token_counts.ts";
import { openScope } from "../gpu/scope.ts";
import { countedPerContext } from "../text/contexts.ts";
import { featureCount } from "../transcoder/shape.ts";
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
  };
}

/** What was taken from a text. */
export interface Sampled {
  /** One per transcoder, in their order. */
  readonly tallies: readonly FeatureTally[];
  /** The text's tokens. */
  readonly counts: TokenCounts;
}

/**
 * Takes the top samples and the statistics of every feature from text, with frozen weights.
 *
 * @param options Whose, and from what. A text shorter than what is asked for is read once: a second time shows nothing new.
 * @returns One tally per transcoder, and how many tokens there were.
 * @throws {UserError} When the text or the device fails.
 * @throws The signal's reason once it is aborted.
 */
export async function collectSamples(options: SampleOptions): Promise<Sampled> {
  const { gpu, decoder, transcoders, tokens, onProgress } = options;
  const { context, include_bos: includeBos, exclude_tokens: excluded, samples_per_feature, sample_threshold } =
    options.settings;
  const tallies = transcoders.map(({ transcoder: { shape } }) =>
    new FeatureTally(featureCount(shape.groups), samples_per_feature, sample_threshold)
  );
  const perContext = countedPerContext(context, includeBos), limits = normLimits(options.settings);
  using scratch = openScope(gpu);
  const reader = new FeatureReader(
    scratch,
    transcoders,
    decoder.contextsAtOnce * perContext,
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
  }, [reader]);
  const { tokens: counted, excluded: excluded_tokens, outliers: outlier_tokens } = taken;
  return { tallies, counts: { tokens: counted, excluded_tokens, ...limits.length > 0 && { outlier_tokens } } };
}
