/**
 * What is said of a transcoder's thresholds: the number where all features have the same, their middle and range where they do not.
 * @module
 */

import { median, moments } from "./statistics.ts";

/** Thresholds in a few numbers. */
export interface ThresholdSummary {
  /** The threshold of all features; where they differ, the median of the finite ones. */
  threshold: number;
  /** The least and the largest finite threshold; only there where they differ. */
  threshold_range?: [least: number, most: number];
}

/**
 * Summarises thresholds.
 *
 * @param thresholds One per feature, at least one.
 * @returns The one number, or median and range of the finite ones: a feature with an infinite threshold is never active. NaN where none
 * is finite.
 */
export function summarizeThresholds(thresholds: Float32Array): ThresholdSummary {
  const [first] = thresholds;
  const isOne = thresholds.every((threshold) => threshold === first || Number.isNaN(threshold) && Number.isNaN(first));
  if (isOne) return { threshold: first };
  const finite = thresholds.filter(Number.isFinite), { min, max } = moments(finite);
  return { threshold: median(finite), threshold_range: [min, max] };
}
