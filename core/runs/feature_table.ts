/**
 * features.csv: one row of statistics per feature, from the final pass and the weights.
 * @module
 */

import { csvFormatRows } from "d3-dsv";
import type { FinalPass } from "../analysis/samples.ts";

/** The columns of features.csv, in file order. */
export const FEATURE_COLUMNS: readonly string[] = [
  "feature",
  "group",
  "fires",
  "density",
  "mean_activation",
  "max_activation",
  "sample_count",
  "encoder_norm",
  "decoder_norm",
  "encoder_bias",
  "encoder_decoder_cosine",
  "top_token_id",
  "top_token",
  "top_token_share",
  "token_entropy_bits",
  "dead",
];

/** The weights whose rows are described: feature-major, for raw activations. */
export interface FeatureWeights {
  /** [features, d_in] */
  readonly encoder: Float32Array;
  /** [features] */
  readonly encoderBias: Float32Array;
  /** [features, d_out] */
  readonly decoder: Float32Array;
}

/** How a feature's top samples are spread over tokens. */
export interface TokenSpread {
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
export function tokenSpread(tokens: readonly number[]): TokenSpread {
  const counts = new Map<number, number>();
  for (const token of tokens) counts.set(token, (counts.get(token) ?? 0) + 1);
  const [[token, most]] = [...counts].sort(([a, n], [b, m]) => m - n || a - b);
  const shares = [...counts.values()].map((count) => count / tokens.length);
  const entropy = shares.reduce((sum, share) => sum - share * Math.log2(share), 0);
  return { token, share: most / tokens.length, entropy: Math.max(0, entropy) };
}

/**
 * Makes the table.
 *
 * @param shape Widths and groups of the transcoder.
 * @param weights Its weights for raw activations.
 * @param pass The final pass.
 * @param tokenText The raw text of a token.
 * @returns The file's text. Cells that have no value, such as the mean activation of a dead feature, are empty.
 */
export function featureTable(
  { d_in, d_out, groups }: { d_in: number; d_out: number; groups: readonly number[] },
  { encoder, encoderBias, decoder }: FeatureWeights,
  pass: FinalPass,
  tokenText: (id: number) => string,
): string {
  const cell = (value: number) => Number.isFinite(value) ? String(Number(value.toPrecision(7))) : "";
  const groupOf = groups.flatMap((size, group) => new Array<number>(size).fill(group));
  const rows = groupOf.map((group, i) => {
    const fires = pass.fires[i], samples = pass.top.samples(i);
    const source = encoder.subarray(i * d_in, (i + 1) * d_in), target = decoder.subarray(i * d_out, (i + 1) * d_out);
    const sourceNorm = norm(source), targetNorm = norm(target);
    const cosine = d_in === d_out ? dot(source, target) / (sourceNorm * targetNorm) : NaN;
    const spread = samples.length > 0 ? tokenSpread(samples.map(({ token }) => token)) : null;
    return [
      String(i),
      String(group),
      String(fires),
      cell(fires / pass.tokens),
      cell(pass.sums[i] / fires),
      cell(fires > 0 ? pass.maxima[i] : NaN),
      String(samples.length),
      cell(sourceNorm),
      cell(targetNorm),
      cell(encoderBias[i]),
      cell(cosine),
      spread ? String(spread.token) : "",
      spread ? JSON.stringify(tokenText(spread.token)).slice(1, -1) : "",
      cell(spread?.share ?? NaN),
      cell(spread?.entropy ?? NaN),
      fires === 0 ? "1" : "0",
    ];
  });
  return csvFormatRows([[...FEATURE_COLUMNS], ...rows]) + "\n";
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function norm(a: Float32Array): number {
  return Math.sqrt(dot(a, a));
}
