/**
 * The figures of each target alone, where a transcoder has several: what is measured of all of them side by side, cut apart again.
 * @module
 */

import { type DimensionSums, type Interval, interval95, resampledSquaredLengths, resampledSums } from "./bootstrap.ts";
import { type TargetVariance, varianceSpread } from "./target_variance.ts";

/** Some neighbouring dimensions of what a transcoder predicts. */
export interface EvaluatedTarget {
  /** What they are, for example `layer17.mlp_out`. */
  readonly target: string;
  /** How many. */
  readonly width: number;
}

/** The figures of one target of several. */
export interface TargetFigures {
  /** Which, for example `layer17.mlp_out`. */
  target: string;
  /** Fraction of its variance unexplained by the whole dictionary. */
  fvu: number;
  /** Its interval. */
  ci95: Interval;
  /** Likewise for each Matryoshka prefix, shortest first. */
  fvu_per_prefix: { prefix: number; fvu: number }[];
  /** FVU with every dimension scaled to variance 1. */
  fvu_unit_variance: number;
  /** How its variance is spread over its dimensions. */
  target_variance: TargetVariance;
  /** What the best linear map leaves of it; only there where the run has one. */
  linear_map?: { fvu: number; fvu_unit_variance: number };
}

/** What was measured of all targets side by side. */
export interface MeasuredTargets {
  /** The end of each Matryoshka prefix. */
  readonly prefixEnds: readonly number[];
  /** Of each reconstruction, [d_out] sum (y_hat - y)^2 by dimension: those of the prefixes, and behind them that of the linear map. */
  readonly columnSquares: readonly Float64Array[];
  /** [d_out] sum (y - mean(y))^2 by dimension. */
  readonly variances: Float64Array;
  /** Sums over each document, or context. */
  readonly units: readonly DimensionSums[];
  /** How often each resample has each of those, and the tokens that it has. */
  readonly resamples: readonly Uint16Array[];
  /** The tokens of each resample. */
  readonly resampledTokens: Float64Array;
  /** Whether there is a linear map. */
  readonly hasLinearMap: boolean;
}

/**
 * Cuts the targets apart.
 *
 * @param targets The targets, from left to right.
 * @param measured What was measured of all.
 * @returns The figures of each, in their order.
 */
export function targetFigures(targets: readonly EvaluatedTarget[], measured: MeasuredTargets): TargetFigures[] {
  let end = 0;
  return targets.map(({ target, width }) => {
    const first = end;
    end += width;
    return { target, ...figuresOf(first, end, measured) };
  });
}

function figuresOf(first: number, end: number, measured: MeasuredTargets): Omit<TargetFigures, "target"> {
  const { prefixEnds, columnSquares, units, resamples, resampledTokens, hasLinearMap } = measured;
  const cut = (values: Float64Array) => values.subarray(first, end);
  const variances = cut(measured.variances), variance = total(variances);
  const fvu = (which: number) => total(cut(columnSquares[which])) / variance;
  const unit = (which: number) => meanRatio(cut(columnSquares[which]), variances);
  const last = prefixEnds.length - 1;
  const squares = resampledSums(resamples, units.map(({ residualSquares }) => total(cut(residualSquares))));
  const targets = resampledSums(resamples, units.map(({ targetSquares }) => total(cut(targetSquares))));
  const lengths = resampledSquaredLengths(resamples, units.map(({ target }) => cut(target)));
  return {
    fvu: fvu(last),
    ci95: interval95(squares.map((sum, r) => sum / (targets[r] - lengths[r] / resampledTokens[r]))),
    fvu_per_prefix: prefixEnds.map((prefix, p) => ({ prefix, fvu: fvu(p) })),
    fvu_unit_variance: unit(last),
    target_variance: varianceSpread(variances),
    ...hasLinearMap && { linear_map: { fvu: fvu(last + 1), fvu_unit_variance: unit(last + 1) } },
  };
}

/**
 * The mean of a[d] / b[d] over the dimensions whose b is above 0.
 *
 * @param a [width]
 * @param b [width]
 * @returns The mean; NaN where there is none.
 */
export function meanRatio(a: Float64Array, b: Float64Array): number {
  let sum = 0, dimensions = 0;
  for (let d = 0; d < a.length; d++) {
    if (!(b[d] > 0)) continue;
    sum += a[d] / b[d];
    dimensions++;
  }
  return sum / dimensions;
}

function total(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
