/**
 * How the variance of activations is spread over their dimensions: where one holds most of it, an error in squares is the error in that one.
 * @module
 */

/** How a target's variance is spread over its dimensions. */
export interface TargetVariance {
  /** Share of the sum of the dimensions' variances that the largest one holds, that the five largest hold, and the twenty largest. */
  top_1: number;
  /** Likewise of five. */
  top_5: number;
  /** Likewise of twenty. */
  top_20: number;
  /** The dimension with the largest variance, counted from 0. */
  largest_dimension: number;
  /** Dimensions that do not vary at all. */
  constant_dimensions: number;
}

/**
 * Sums the spread up.
 *
 * @param variance [width] variance of each dimension, in any unit.
 * @returns Shares; NaN where nothing varies.
 */
export function varianceSpread(variance: Float64Array): TargetVariance {
  const falling = variance.toSorted().reverse(), whole = sumOf(falling);
  const share = (count: number) => sumOf(falling.subarray(0, count)) / whole;
  return {
    top_1: share(1),
    top_5: share(5),
    top_20: share(20),
    largest_dimension: variance.reduce((largest, value, d) => value > variance[largest] ? d : largest, 0),
    constant_dimensions: variance.reduce((count, value) => count + (value <= 0 ? 1 : 0), 0),
  };
}

function sumOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
