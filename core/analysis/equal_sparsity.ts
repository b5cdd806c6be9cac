/**
 * Two transcoders at the same number of active features per token: the one with more of them keeps the largest alone.
 *
 * Its threshold is raised to where it keeps as many activations, over all tokens, as the other one has. That is what a transcoder trained for batch
 * top-k with a smaller k does, and any threshold is a sort of top-k over the whole text; which activation is large is told by the activation itself,
 * as its own threshold does. What it then leaves unexplained has to be measured anew, with the model.
 * @module
 */

import { type Interval, interval95, type Resampling, resamplingOf } from "./bootstrap.ts";
import { contextStarts, type FeatureRecord, prefixFvus } from "./record.ts";

/** Counts of active features that differ by a smaller share are equal. */
const EQUAL = 0.01;

/** Two counts of active features per token. */
export interface Sparsities {
  /** Of the first. */
  readonly a: number;
  /** Of the second. */
  readonly b: number;
  /** Which has more, by a hundredth or more of the other's; null where they are equal. */
  readonly denser: "a" | "b" | null;
}

/**
 * Compares how many features are active per token.
 *
 * @param a One record.
 * @param b Another one, of the same tokens.
 * @returns Both counts.
 */
export function compareSparsity(a: Pick<FeatureRecord, "index" | "place">, b: typeof a): Sparsities {
  const [first, second] = [a, b].map(({ index, place }) => index.length / place.length);
  const isEqual = Math.abs(first - second) < EQUAL * Math.min(first, second) || first === second;
  return { a: first, b: second, denser: isEqual ? null : first > second ? "a" : "b" };
}

/**
 * The threshold at which a record keeps its largest activations alone.
 *
 * @param record What the denser transcoder does.
 * @param activations How many it is to keep, fewer than it has.
 * @returns A float32; as many are above it, fewer where several are equal.
 */
export function raisedThreshold({ value }: Pick<FeatureRecord, "value">, activations: number): number {
  return value.toSorted()[value.length - 1 - activations];
}

/**
 * Raises thresholds.
 *
 * @param thresholds [features]
 * @param least What none is to be below.
 * @returns New thresholds.
 */
export function raised(thresholds: Float32Array, least: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(thresholds, (threshold) => Math.max(threshold, least));
}

/** One of two transcoders at equal sparsity. */
export interface EqualSide {
  /** Active features per token. */
  readonly l0: number;
  /** FVU of each prefix. */
  readonly fvus: readonly number[];
  /** That of the whole dictionary: its 95 % bootstrap interval. */
  readonly ci95: Interval;
}

/** Two transcoders on the same tokens, reconstruction beside reconstruction. */
export interface ComparedReconstructions {
  /** Tokens. */
  readonly tokens: number;
  /** What the intervals resample, for both the same. */
  readonly resampled: Resampling["resampled"];
  /** The first. */
  readonly a: EqualSide;
  /** The second. */
  readonly b: EqualSide;
  /** FVU of the second's whole dictionary less that of the first's. */
  readonly difference: number;
  /** Its interval, each resample drawn of both: what texts have in common goes out. */
  readonly difference_ci95: Interval;
}

/**
 * Holds reconstructions against each other on the same tokens, each of its own target.
 *
 * @param a One record.
 * @param b Another one, of the same tokens.
 * @returns The figures. In a resample the target varies about the mean of all tokens.
 */
export function compareReconstructions(a: FeatureRecord, b: FeatureRecord): ComparedReconstructions {
  const starts = contextStarts(a), { resampled, sums } = resamplingOf(starts.slice(0, -1).map((t) => a.document[t]));
  const perContext = (values: Float32Array, every: number) =>
    starts.slice(0, -1).map((start, c) => {
      let sum = 0;
      for (let t = start; t < starts[c + 1]; t++) sum += values[t * every + every - 1];
      return sum;
    });
  const sides = [a, b].map((record) => {
    const { groups: { length: prefixes }, residualSquares, targetSquares, targetVariation } = record;
    const left = sums(perContext(residualSquares, prefixes)), target = sums(perContext(targetSquares, 1));
    const all = targetSquares.reduce((sum, square) => sum + square, 0), fvus = prefixFvus(record);
    const resamples = left.map((squares, r) => squares / (target[r] * targetVariation / all));
    const l0 = record.index.length / record.place.length;
    return { side: { l0, fvus, ci95: interval95(resamples) }, fvu: fvus[prefixes - 1], resamples };
  });
  const [first, second] = sides;
  return {
    ...{ tokens: a.place.length, resampled, a: first.side, b: second.side },
    difference: second.fvu - first.fvu,
    difference_ci95: interval95(second.resamples.map((value, r) => value - first.resamples[r])),
  };
}
