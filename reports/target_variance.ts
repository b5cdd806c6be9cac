/**
 * What is said of a target whose variance lies in one dimension.
 * @module
 */
import type { TargetVariance } from "../core/analysis/target_variance.ts";
import { percent } from "./format.ts";
import { thresholds } from "./thresholds.ts";

/** One sentence when one dimension holds so much of the target's variance that it decides the FVU; null otherwise. */
export function decisiveDimension(
  target: string,
  { largest_dimension, top_1 }: TargetVariance,
): string | null {
  if (!(top_1 > thresholds.decisiveDimension)) return null;
  return `dimension ${largest_dimension} holds ${
    percent(top_1, 0)
  } of the variance of ${target}: FVU mostly says how well ` +
    `that one is predicted; read FVU at unit variance beside it`;
}
