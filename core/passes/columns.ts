/**
 * How the columns of a model's activations are spread over a text.
 * @module
 */

import { type Tap, tapIndex } from "../model/sites.ts";
import { countedPerContext } from "../text/contexts.ts";
import type { TextSettings, TranscodersOnText } from "./features.ts";
import { normLimits } from "./norm_limits.ts";
import { overText } from "./over_text.ts";
import { readActivations } from "./readback.ts";

/** Statistics of the columns at a tap. */
export interface ColumnStatistics {
  /** [width] mean of each. */
  readonly mean: Float64Array;
  /** [width] mean squared deviation from it. */
  readonly variance: Float64Array;
}

/**
 * Measures columns over the counted tokens of a text.
 *
 * @param text The text, the model, and how many tokens to count, rounded up to whole contexts.
 * @param taps Some of the model's taps.
 * @returns Their statistics, in their order; zeros where no token counts.
 * @throws {UserError} When the text or the device fails.
 */
export async function measureColumns(
  { gpu, decoder, source, settings, tokens, onProgress }:
    & Pick<TranscodersOnText, "gpu" | "decoder" | "source" | "tokens" | "onProgress">
    & { readonly settings: TextSettings },
  taps: readonly Tap[],
): Promise<ColumnStatistics[]> {
  const { context, include_bos: includeBos, exclude_tokens: excluded } = settings;
  const perContext = countedPerContext(context, includeBos);
  const sums = taps.map((): { mean: Float64Array; squares: Float64Array } => ({
    mean: new Float64Array(0),
    squares: new Float64Array(0),
  }));
  let count = 0;
  await overText({
    ...{ gpu, decoder, source, contexts: Math.ceil(tokens / perContext), isReadOnce: true },
    ...{ includeBos, excluded, limits: normLimits(settings) },
    onProgress: (done) => onProgress?.(Math.min(done.tokens, tokens), tokens),
  }, [
    readActivations(gpu, decoder, ({ places, batch }, activations) => {
      const before = count;
      for (const [t, tap] of taps.entries()) {
        const values = activations[tapIndex(decoder.taps, tap)], width = values.length / batch.ids.length;
        if (sums[t].mean.length === 0) sums[t] = { mean: new Float64Array(width), squares: new Float64Array(width) };
        count = before;
        for (const place of places) addRow(sums[t], values.subarray(place * width, (place + 1) * width), ++count);
      }
    }),
  ]);
  return sums.map(({ mean, squares }) => ({ mean, variance: squares.map((sum) => sum / Math.max(1, count)) }));
}

/** Welford's update, which loses nothing where means are far larger than deviations. */
function addRow(
  { mean, squares }: { mean: Float64Array; squares: Float64Array },
  row: Float32Array,
  count: number,
): void {
  for (let c = 0; c < row.length; c++) {
    const before = row[c] - mean[c];
    mean[c] += before / count;
    squares[c] += before * (row[c] - mean[c]);
  }
}
