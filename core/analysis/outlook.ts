/**
 * What more training would give, from the course of one run.
 * @module
 */

import { leastSquares } from "./statistics.ts";

/** A logged step, as far as it matters here. */
export interface LoggedStep {
  /** Optimiser step. */
  readonly step: number;
  /** FVU of each Matryoshka prefix in its batch, that of the whole dictionary last. */
  readonly fvu_per_prefix: readonly number[];
}

/** How FVU would fall with twice the steps. */
export interface Outlook {
  /** Share of the FVU that a doubling of the steps takes away; NaN where too few steps were logged to tell. */
  gain: number;
  /** Standard error of `gain` from the scatter of the batches alone. */
  error: number;
}

/** The share of the steps that is left out at the start, where FVU falls from its random beginning. */
const START = 0.2;
/** Fewer logged steps than this determine nothing. */
const LEAST_ROWS = 5;

/**
 * Estimates what a doubling of the steps would give, with the schedule stretched to them.
 *
 * That a loss lies level at the end says nothing: where the learning rate goes to zero it always does. What one run does
 * show is how FVU fell over all of its steps. A line is fitted to log FVU over log step, without the warm-up and the first
 * fifth, and goes on for one doubling. The decaying rate bends that line twice, up since small steps move little, down since
 * they take away the noise of large ones; with a cosine the two nearly cancel, which cannot be told apart in one run. Neither
 * can a level that FVU never falls below, so the line goes no further.
 *
 * How well it predicts, measured on held-out text with the embedded model (layer 4, one seed), in percent of the FVU that
 * the doubling from so many steps took away; 512 features, then 24, which learn little more:
 *
 *     steps        60   120   150   240   480   960  1440     24:  240   480
 *     predicted    15    16    17    16    16    12    10            4     3
 *     measured     15    18    19    19    13     8    10            4     2
 *
 * It is off by 2 % of the FVU (root mean square). That is partly the fit's own choice: some sixty forms of it were tried on the gains
 * from 60, 120, 150, 240 and 480 steps; those from 960 and 1,440 and with 24 features came afterwards, and are missed by 4, 1, 1 and 2 %. The line looks back over two doublings and so sees a bend late.
 *
 * @param metrics Logged steps, ascending.
 * @param warmupSteps Steps of warm-up.
 * @returns The share that would go.
 */
export function outlook(metrics: readonly LoggedStep[], warmupSteps: number): Outlook {
  const first = Math.max(warmupSteps + 1, START * metrics[metrics.length - 1].step);
  const rows = metrics.filter(({ step }) => step >= first);
  if (rows.length < LEAST_ROWS) return { gain: NaN, error: NaN };
  const steps = rows.map(({ step }) => Math.log2(step));
  const fvus = rows.map(({ fvu_per_prefix: fvus }) => Math.log2(fvus[fvus.length - 1]));
  const { slope, correlation } = leastSquares(steps, fvus);
  // A slope's standard error by way of the correlation; an FVU that never changes has neither.
  const unexplained = slope === 0 ? 0 : Math.max(0, 1 / correlation ** 2 - 1);
  const error = Math.abs(slope) * Math.sqrt(unexplained / (rows.length - 2));
  return { gain: 1 - 2 ** slope, error: Math.LN2 * 2 ** slope * error };
}
