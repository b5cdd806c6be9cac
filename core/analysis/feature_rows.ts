/**
 * One row of statistics per feature, from what it does on text and from its weights.
 * @module
 */

import type { FeatureTally } from "./samples.ts";

/** What is said of one feature. The names are those of the columns of features.csv. */
export interface FeatureRow {
  /** Index in the dictionary. */
  feature: number;
  /** Index of its Matryoshka group. */
  group: number;
  /** Activations above the threshold in the final pass. */
  fires: number;
  /** `fires` divided by the tokens of the final pass. */
  density: number;
  /** Mean of its activations above the threshold; NaN when it has none. */
  mean_activation: number;
  /** Largest activation in the final pass; NaN when it has none. */
  max_activation: number;
  /** Samples kept, at most `samples_per_feature`. */
  sample_count: number;
  /** |W_enc[:, i]|. */
  encoder_norm: number;
  /** |W_dec[i]|. */
  decoder_norm: number;
  /** b_enc[i]. */
  encoder_bias: number;
  /** Cosine of W_enc[:, i] and W_dec[i]; NaN when source and target differ in width. */
  encoder_decoder_cosine: number;
  /** Id of the most frequent token among its top samples; NaN when it has none. */
  top_token_id: number;
  /** That token as decoded. */
  top_token: string;
  /** Share of its top samples that are on that token. */
  top_token_share: number;
  /** Entropy in bits of the tokens of its top samples. */
  token_entropy_bits: number;
  /** True when it never fired in the final pass. */
  dead: boolean;
  /** Id of the token that is commonest among ALL its firings in the final pass; NaN when none stands out or was counted. */
  main_token_id: number;
  /** That token as decoded. */
  main_token: string;
  /** Share of all its firings that are on that token, at least; exact when it fired on few different tokens. */
  main_token_share: number;
  /** The most that this share, or that of any other token, can be: the counting's upper bound. */
  main_token_share_most: number;
  /** How often that token occurs in the final pass, whether the feature fires or not. */
  main_token_occurrences: number;
}

/** Weights for raw activations, feature-major: a feature is one row of the encoder and one of the decoder. */
export interface FeatureWeights {
  /** W_enc, [features, d_in]. */
  readonly encoder: Float32Array;
  /** b_enc, [features]. */
  readonly encoderBias: Float32Array;
  /** W_dec, [features, d_out]. */
  readonly decoder: Float32Array;
  /** b_dec, [d_out]. */
  readonly decoderBias: Float32Array;
  /** W_skip, [d_in, d_out]; only there with a skip connection. */
  readonly skip?: Float32Array;
}

/** How a feature's top samples are spread over tokens. */
interface TokenSpread {
  /** The most frequent token; the lowest id among equals. */
  readonly token: number;
  /** Its share of the samples. */
  readonly share: number;
  /** Entropy of the tokens' shares, in bits: 0 when all samples are the same token. */
  readonly entropy: number;
}

/**
 * Measures the spread of tokens.
 *
 * @param tokens Token ids, at least one.
 * @returns The most frequent one and the entropy.
 */
function tokenSpread(tokens: readonly number[]): TokenSpread {
  const counts = new Map<number, number>();
  for (const token of tokens) counts.set(token, (counts.get(token) ?? 0) + 1);
  const [[token, most]] = [...counts].sort(([a, n], [b, m]) => m - n || a - b);
  const shares = [...counts.values()].map((count) => count / tokens.length);
  const entropy = shares.reduce((sum, share) => sum - share * Math.log2(share), 0);
  return { token, share: most / tokens.length, entropy: Math.max(0, entropy) };
}

/**
 * Makes the rows.
 *
 * @param groups Features per Matryoshka group.
 * @param weights The transcoder's weights.
 * @param tally What the features did on text.
 * @param tokenText The raw text of a token.
 * @returns One row per feature, ascending.
 */
export function featureRows(
  groups: readonly number[],
  { encoder, encoderBias, decoder, decoderBias }: FeatureWeights,
  tally: FeatureTally,
  tokenText: (id: number) => string,
): FeatureRow[] {
  const d_in = encoder.length / encoderBias.length, d_out = decoderBias.length;
  const groupOf = groups.flatMap((size, group) => new Array<number>(size).fill(group));
  return groupOf.map((group, i) => {
    const fires = tally.fires[i], samples = tally.top.samples(i);
    const source = encoder.subarray(i * d_in, (i + 1) * d_in), target = decoder.subarray(i * d_out, (i + 1) * d_out);
    const sourceNorm = norm(source), targetNorm = norm(target);
    const main = tally.mainToken(i);
    const spread = samples.length > 0 ? tokenSpread(samples.map(({ token }) => token)) : null;
    return {
      feature: i,
      group,
      fires,
      density: fires / tally.tokens,
      mean_activation: tally.sums[i] / fires,
      max_activation: fires > 0 ? tally.maxima[i] : NaN,
      sample_count: samples.length,
      encoder_norm: sourceNorm,
      decoder_norm: targetNorm,
      encoder_bias: encoderBias[i],
      encoder_decoder_cosine: d_in === d_out ? dot(source, target) / (sourceNorm * targetNorm) : NaN,
      top_token_id: spread?.token ?? NaN,
      top_token: spread ? tokenText(spread.token) : "",
      top_token_share: spread?.share ?? NaN,
      token_entropy_bits: spread?.entropy ?? NaN,
      dead: fires === 0,
      main_token_id: main?.token ?? NaN,
      main_token: main ? tokenText(main.token) : "",
      main_token_share: main ? main.least / fires : NaN,
      main_token_share_most: main ? main.most / fires : NaN,
      main_token_occurrences: main ? tally.occurrences(main.token) : NaN,
    };
  });
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function norm(a: Float32Array): number {
  return Math.sqrt(dot(a, a));
}
