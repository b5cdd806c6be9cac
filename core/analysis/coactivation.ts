/**
 * Which features fire together: rows of the sparse Gram matrix, one feature at a time, so that no matrix of all pairs is ever held. Chance is
 * what the same features do together once their contexts are shuffled.
 * @module
 */

import type { RandomGenerator } from "../random.ts";
import { permutation } from "../random.ts";
import { type ActivationColumns, contextStarts, type RecordedTokens } from "./record.ts";
import type { SparseRows } from "./samples.ts";

/** A feature and those that fire with it. */
export interface Partners {
  /** The feature. */
  readonly feature: number;
  /** Those that fire at least once where it does, itself included where both sides are one record; in no order. */
  readonly partners: Uint32Array;
  /** [features] on how many tokens each fires together with it; 0 for all others. */
  readonly together: Uint32Array;
  /** [features] the sum over those tokens of the product of both activations. */
  readonly products: Float64Array;
}

/** Hears how many features were looked at, of all that are to be, over all passes. */
export type FeatureProgress = (done: number, total: number) => void;

/** Features between two reports of how far an analysis is. */
const REPORTED = 32;

/**
 * Counts features for one who waits.
 *
 * @param total Features that are to be looked at, over all passes.
 * @param onProgress Hears of every 32nd, and of the last.
 * @returns To be called after each feature.
 */
export function featureCounter(total: number, onProgress?: FeatureProgress): () => void {
  let done = 0;
  return () => {
    if (++done % REPORTED === 0 || done === total) onProgress?.(done, total);
  };
}

/** What {@link eachWithPartners} may be told besides. */
export interface PartnerOptions {
  /** [tokens] which token of the rows stands beside each token of the columns; the same one if left out. */
  readonly beside?: Uint32Array;
  /** The features to look at; all if left out. */
  readonly features?: Iterable<number>;
  /** Partners of a feature are below this; the partner's record ends them if left out. */
  readonly limit?: (feature: number) => number;
  /** Called after each feature. */
  readonly onFeature?: () => void;
}

/**
 * Goes through features with all that fire beside them. It takes as long as the tokens have pairs of active features, and memory for one row
 * of the matrix.
 *
 * @param columns The features' activations by feature.
 * @param rows The partners' activations by token, of the same tokens: the same record's, or that of another transcoder.
 * @param count How many partners there are.
 * @param take Hears of each feature in turn. What it is given is overwritten afterwards.
 * @param options What else is to be known.
 */
export function eachWithPartners(
  { start, token, value }: ActivationColumns,
  rows: SparseRows,
  count: number,
  take: (partners: Partners) => void,
  { beside, features, limit, onFeature }: PartnerOptions = {},
): void {
  const together = new Uint32Array(count), products = new Float64Array(count), found = new Uint32Array(count);
  const { rowStart, index, value: other } = rows;
  for (const feature of features ?? Array(start.length - 1).keys()) {
    const below = limit?.(feature) ?? count;
    let partners = 0;
    for (let at = start[feature]; at < start[feature + 1]; at++) {
      const activation = value[at], row = beside ? beside[token[at]] : token[at], end = rowStart[row + 1];
      for (let entry = rowStart[row]; entry < end; entry++) {
        const partner = index[entry];
        if (partner >= below) break;
        if (together[partner]++ === 0) found[partners++] = partner;
        products[partner] += activation * other[entry];
      }
    }
    take({ feature, partners: found.subarray(0, partners), together, products });
    for (let at = 0; at < partners; at++) {
      together[found[at]] = 0;
      products[found[at]] = 0;
    }
    onFeature?.();
  }
}

/**
 * Shuffles contexts: which token is to stand beside each. Contexts of the commonest length change places among each other, so that a token
 * stays in its column; the others do likewise, one behind the other. Whatever a feature does within a context, in bursts or at certain
 * positions, stays; whether another fires at the same time is left to chance.
 *
 * @param tokens The tokens of a record.
 * @param random Where the order comes from.
 * @returns [tokens] a permutation of the tokens.
 */
export function shuffledContexts(
  tokens: Pick<RecordedTokens, "place" | "context">,
  random: RandomGenerator,
): Uint32Array {
  const starts = contextStarts(tokens), lengths = starts.slice(1).map((end, c) => end - starts[c]);
  const counts = Map.groupBy(lengths, (length) => length);
  const [[usual]] = [...counts].sort(([, a], [, b]) => b.length - a.length);
  const beside = new Uint32Array(tokens.place.length);
  const tokensOf = (contexts: number[]) =>
    contexts.flatMap((c) => Array.from({ length: lengths[c] }, (_, i) => starts[c] + i));
  for (const isUsual of [true, false]) {
    const contexts = [...lengths.keys()].filter((c) => (lengths[c] === usual) === isUsual);
    const from = tokensOf(contexts), order = permutation(contexts.length, random);
    const to = tokensOf(Array.from(order, (rank) => contexts[rank]));
    from.forEach((token, at) => beside[token] = to[at]);
  }
  return beside;
}

/** What is summed of each feature's activations over all tokens. */
export interface ActivationSums {
  /** [features] tokens that it fires on. */
  readonly fires: Uint32Array;
  /** [features] sum of its activations. */
  readonly sum: Float64Array;
  /** [features] their mean over all tokens. */
  readonly mean: Float64Array;
  /** [features] 1 / sqrt(sum of squared deviations from that mean); 0 where they never change. */
  readonly scale: Float64Array;
}

/**
 * Sums each feature's activations.
 *
 * @param columns Activations by feature.
 * @param tokens How many tokens there are, those on which nothing fires included.
 * @returns The sums.
 */
export function activationSums({ start, value }: ActivationColumns, tokens: number): ActivationSums {
  const features = start.length - 1, fires = new Uint32Array(features);
  const sum = new Float64Array(features), mean = new Float64Array(features), scale = new Float64Array(features);
  for (let i = 0; i < features; i++) {
    let squares = 0;
    fires[i] = start[i + 1] - start[i];
    for (let at = start[i]; at < start[i + 1]; at++) {
      sum[i] += value[at];
      squares += value[at] * value[at];
    }
    mean[i] = sum[i] / tokens;
    const deviations = squares - sum[i] * mean[i];
    scale[i] = deviations > 0 ? 1 / Math.sqrt(deviations) : 0;
  }
  return { fires, sum, mean, scale };
}

/**
 * Pearson's correlation of two features' activations over all tokens, those on which neither fires included.
 *
 * @param product The sum of the products of both activations.
 * @param a The sums of one record.
 * @param i A feature of it.
 * @param b The sums of the same record or another one, of as many tokens.
 * @param j A feature of that.
 * @returns From -1 to 1; 0 where one of them never changes.
 */
export function correlation(product: number, a: ActivationSums, i: number, b: ActivationSums, j: number): number {
  return Math.max(-1, Math.min(1, (product - a.sum[i] * b.mean[j]) * a.scale[i] * b.scale[j]));
}
