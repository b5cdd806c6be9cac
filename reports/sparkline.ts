/**
 * A histogram in a line of text.
 * @module
 */

/** Bars from nothing to full. */
const BARS = "▁▂▃▄▅▆▇█";

/**
 * Draws values as bars.
 *
 * @param values None below 0.
 * @param most What a full bar stands for; the largest if left out.
 * @returns One character per value; nothing where there is nothing to draw.
 */
export function sparkline(values: readonly number[], most = Math.max(...values)): string {
  if (!(most > 0)) return "";
  return values.map((value) => BARS[Math.min(BARS.length - 1, Math.ceil(value / most * (BARS.length - 1)))]).join("");
}

/**
 * Sums neighbouring bins.
 *
 * @param counts One per bin.
 * @param bins How many are wanted, no more than there are.
 * @returns The sums.
 */
export function rebinned(counts: readonly number[], bins: number): number[] {
  const sums = new Array<number>(bins).fill(0);
  counts.forEach((count, bin) => sums[Math.floor(bin * bins / counts.length)] += count);
  return sums;
}
