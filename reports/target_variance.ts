/**
 * What is said of a target whose variance lies in few of its dimensions.
 * @module
 */
import type { TargetVariance } from "../core/analysis/target_variance.ts";
import { percent } from "./format.ts";
import { thresholds } from "./thresholds.ts";

/**
 * A warning where one dimension holds so much of a target's variance that it decides the FVU.
 *
 * @param target What the target is called.
 * @param variance How its variance is spread.
 * @returns A sentence without a full stop; empty where no dimension does.
 */
export function decisiveDimension(target: string, { largest_dimension, top_1 }: TargetVariance): string {
  if (!(top_1 > thresholds.decisiveDimension)) return "";
  return `dimension ${largest_dimension} holds ${
    percent(top_1, 0)
  } of the variance of ${target}, so that FVU mostly says ` +
    "how well that one is predicted; FVU at unit variance counts all dimensions alike";
}

/** The shares of the variance that the 1, 5 and 20 largest dimensions hold. */
export function varianceShares({ top_1, top_5, top_20 }: TargetVariance): string {
  return [top_1, top_5, top_20].map((share) => percent(share)).join(" / ");
}
