/**
 * The bootstrap: how much a figure would move if other documents, or other contexts, had been drawn.
 * @module
 */

import { randomGenerator } from "../random.ts";
import { quantile } from "./statistics.ts";

/** Lower and upper end of a 95 % bootstrap interval. */
export type Interval = [number, number];

/** Resamples behind each interval. */
const RESAMPLES = 1000;
/** Resamples of fewer items than this are too few to tell anything: 5 can be drawn in 126 ways, 2 in three. */
export const LEAST_RESAMPLED = 5;
/** Separates these draws from other uses of the generator. */
const BOOTSTRAP_STREAM = 0x626f6f74;

/**
 * Draws resamples of n items, each n draws with replacement. The same for equal n, so that intervals can be repeated and compared.
 * Of a few items they would be the same few again and again, as if the figures were certain: those are empty, so that
 * intervals are NaN.
 *
 * @param items How many items there are, at least 1.
 * @returns One array per resample: how often each item was drawn.
 */
export function drawResamples(items: number): Uint16Array[] {
  const random = randomGenerator(0, BOOTSTRAP_STREAM, items);
  return Array.from({ length: RESAMPLES }, () => {
    const counts = new Uint16Array(items);
    if (items < LEAST_RESAMPLED) return counts;
    for (let i = 0; i < items; i++) counts[random.below(items)]++;
    return counts;
  });
}

/**
 * Sums one number per item over each resample.
 *
 * @param resamples From {@link drawResamples}.
 * @param values One number per item.
 * @returns One sum per resample.
 */
export function resampledSums(resamples: readonly Uint16Array[], values: ArrayLike<number>): Float64Array {
  return Float64Array.from(resamples, (counts) => {
    let sum = 0;
    for (let i = 0; i < counts.length; i++) sum += counts[i] * values[i];
    return sum;
  });
}

/** What is resampled of a text that lies in contexts. */
export interface Resampling {
  /** Whole documents, or with fewer than {@link LEAST_RESAMPLED} of them whole contexts. */
  readonly resampled: "documents" | "contexts";
  /** From {@link drawResamples}. */
  readonly resamples: readonly Uint16Array[];
  /** Sums one number per context over each resample. */
  readonly sums: (perContext: ArrayLike<number>) => Float64Array;
}

/**
 * Draws the resamples of a text.
 *
 * @param documents The document of each context, by number.
 * @returns What is resampled, and how.
 */
export function resamplingOf(documents: readonly number[]): Resampling {
  const distinct = [...new Set(documents)], isByDocument = distinct.length >= LEAST_RESAMPLED;
  const numbers = new Map(distinct.map((document, i) => [document, i]));
  const units = documents.map((document, c) => isByDocument ? numbers.get(document)! : c);
  const count = isByDocument ? distinct.length : documents.length, resamples = drawResamples(count);
  return {
    resampled: isByDocument ? "documents" : "contexts",
    resamples,
    sums(perContext) {
      const perUnit = new Float64Array(count);
      units.forEach((unit, c) => perUnit[unit] += perContext[c]);
      return resampledSums(resamples, perUnit);
    },
  };
}

/** Dimensions handled together: their part of all items stays in the processor's cache while the resamples go over it. */
const BLOCK = 32;

/**
 * Sums one vector per item over each resample and takes the squared length of the sum.
 *
 * @param resamples From {@link drawResamples}.
 * @param vectors One vector per item, all of one length.
 * @returns |sum|^2 per resample.
 */
export function resampledSquaredLengths(
  resamples: readonly Uint16Array[],
  vectors: readonly Float64Array[],
): Float64Array {
  const squared = new Float64Array(resamples.length), width = vectors[0].length;
  const block = new Float64Array(vectors.length * BLOCK), sum = new Float64Array(BLOCK);
  for (let first = 0; first < width; first += BLOCK) {
    const size = Math.min(BLOCK, width - first);
    vectors.forEach((vector, i) => block.set(vector.subarray(first, first + size), i * size));
    resamples.forEach((counts, r) => {
      sum.fill(0);
      for (let i = 0, at = 0; i < counts.length; i++, at += size) {
        const count = counts[i];
        if (count > 0) { for (let d = 0; d < size; d++) sum[d] += count * block[at + d]; }
      }
      for (let d = 0; d < size; d++) squared[r] += sum[d] * sum[d];
    });
  }
  return squared;
}

/** Sums over the tokens of one item, [width] each. */
export interface DimensionSums {
  /** sum y */
  readonly target: Float64Array;
  /** sum y^2 */
  readonly targetSquares: Float64Array;
  /** sum of the squared residuals of y */
  readonly residualSquares: Float64Array;
}

/**
 * For each resample the mean over dimensions of sum of squared residuals / sum (y - mean(y))^2, the mean of y being the resample's own.
 * Dimensions that do not vary in it are left out.
 *
 * @param resamples From {@link drawResamples}.
 * @param tokens Tokens of each resample.
 * @param items Sums per item, all of one width.
 * @returns One mean per resample; NaN where nothing varies.
 */
export function resampledMeanRatios(
  resamples: readonly Uint16Array[],
  tokens: Float64Array,
  items: readonly DimensionSums[],
): Float64Array {
  const sums = new Float64Array(resamples.length), dimensions = new Uint32Array(resamples.length);
  const width = items[0].target.length, column = new Float64Array(3 * items.length);
  for (let d = 0; d < width; d++) {
    items.forEach(({ target, targetSquares, residualSquares }, i) => {
      column[3 * i] = target[d];
      column[3 * i + 1] = targetSquares[d];
      column[3 * i + 2] = residualSquares[d];
    });
    resamples.forEach((counts, r) => {
      let y = 0, squares = 0, residual = 0;
      for (let i = 0, at = 0; i < counts.length; i++, at += 3) {
        const count = counts[i];
        if (count === 0) continue;
        y += count * column[at];
        squares += count * column[at + 1];
        residual += count * column[at + 2];
      }
      const variance = squares - y * y / tokens[r];
      if (!(variance > 0)) return;
      sums[r] += residual / variance;
      dimensions[r]++;
    });
  }
  return sums.map((sum, r) => sum / dimensions[r]);
}

/**
 * The middle 95 % of what the resamples gave.
 *
 * @param values One figure per resample.
 * @returns The 2.5th and 97.5th percentile; NaN when any figure is.
 */
export function interval95(values: Float64Array): Interval {
  if (values.some(Number.isNaN)) return [NaN, NaN];
  const ascending = values.toSorted();
  return [quantile(ascending, 0.025), quantile(ascending, 0.975)];
}
