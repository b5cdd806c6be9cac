/**
 * A histogram in a line of text.
 * @module
 */

/** Bars from nothing to full. */
const BARS = "▁▂▃▄▅▆▇█";

/**
 * Draws counts as bars, each beside the largest.
 *
 * @param counts One per bin.
 * @param width Characters; neighbouring bins share one where there are more of them.
 * @returns Nothing where all are 0.
 */
export function sparkline(counts: readonly number[], width: number): string {
  const bars = new Array<number>(Math.min(width, counts.length)).fill(0);
  counts.forEach((count, bin) => bars[Math.floor(bin * bars.length / counts.length)] += count);
  const most = Math.max(...bars);
  if (!(most > 0)) return "";
  return bars.map((count) => BARS[Math.ceil(count / most * (BARS.length - 1))]).join("");
}
