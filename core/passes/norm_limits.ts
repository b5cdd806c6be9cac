/**
 * Which tokens are left out because an activation that a transcoder reads is far longer there than usual. A few tokens of a Gemma have
 * norms several times the median; whatever is squared, the loss and FVU, is then about them.
 *
 * The rule is one for all transcoders of a run: a token is out when it is too long at any of their sources. They share the buffer and
 * the order in which it is drawn, and are evaluated and compared on the same tokens.
 * @module
 */

import { type Tap, tapName } from "../model/sites.ts";
import type { MedianNorm } from "../runs/config.ts";

/** What is too long at a tap. */
export interface NormLimit {
  /** The tap. */
  readonly tap: Tap;
  /** Tokens whose activation has a larger Euclidean norm are left out. */
  readonly most: number;
}

/** What a run says of the norms that are too large. */
export interface NormSettings {
  /** How many times the median is too large; none is where it is 0 or left out. */
  readonly exclude_norm_above?: number;
  /** The medians at the sources, as measured before the first step. */
  readonly median_norms?: readonly MedianNorm[];
}

/**
 * The limits of a run.
 *
 * @param settings Its settings with its medians.
 * @returns One limit per source; none where norms do not matter.
 */
export function normLimits({ exclude_norm_above: factor = 0, median_norms = [] }: NormSettings): NormLimit[] {
  if (factor === 0) return [];
  return median_norms.map(({ layer, site, norm }) => ({ tap: { layer, site }, most: factor * norm }));
}

/**
 * Takes away the rows that are too long at any tap.
 *
 * @param rows Row numbers.
 * @param norms For each limit, the norms by row number.
 * @param limits The limits.
 * @returns The rows that are within all limits, in their order.
 */
export function withinLimits(
  rows: Uint32Array<ArrayBuffer>,
  norms: readonly Float32Array[],
  limits: readonly NormLimit[],
): Uint32Array<ArrayBuffer> {
  return rows.filter((row) => !limits.some(({ most }, i) => norms[i][row] > most));
}

/**
 * The taps that a measurement of a run's transcoders needs beside their own.
 *
 * @param taps Their own.
 * @param settings The run's settings with its medians.
 * @returns Those, then the taps of limits that are not among them.
 */
export function withLimitedTaps(taps: readonly Tap[], settings: NormSettings): Tap[] {
  const all = [...taps, ...normLimits(settings).map(({ tap }) => tap)];
  return [...new Map(all.map((tap) => [tapName(tap), tap])).values()];
}
