/**
 * A histogram of numbers that are seen once, and whose range is not known before: its bins grow twice as wide whenever a number lies outside.
 * @module
 */

/** Bins on either side of 0. */
const BINS = 32;

/** A histogram of equal bins. */
export interface SpreadHistogram {
  /** Where the first bin begins, */
  from: number;
  /** and where the last one ends. */
  to: number;
  /** Numbers per bin; neither the first nor the last is 0. */
  counts: number[];
}

/** Takes numbers in one by one. */
export class Spread {
  /** Of a bin: a power of two; 0 as long as nothing but zeros was seen. */
  #width = 0;
  #counts = new Uint32Array(2 * BINS);

  /**
   * Takes in a number.
   *
   * @param value A finite one; others are in no bin.
   */
  add(value: number): void {
    const size = Math.abs(value);
    if (!(size < Infinity)) return;
    if (this.#width === 0 && size > 0) this.#width = 2 ** Math.ceil(Math.log2(size / BINS));
    while (size >= BINS * this.#width && size > 0) this.#double();
    this.#counts[BINS + (size > 0 ? Math.floor(value / this.#width) : 0)]++;
  }

  /**
   * What was seen.
   *
   * @param centre What is taken off all numbers.
   * @returns It, without empty bins at either end; null where nothing was, or all numbers are 0.
   */
  histogram(centre: number): SpreadHistogram | null {
    const width = this.#width, first = this.#counts.findIndex((count) => count > 0);
    if (first < 0 || width === 0) return null;
    const end = this.#counts.findLastIndex((count) => count > 0) + 1;
    return {
      from: (first - BINS) * width - centre,
      to: (end - BINS) * width - centre,
      counts: Array.from(this.#counts.subarray(first, end)),
    };
  }

  #double(): void {
    const counts = new Uint32Array(2 * BINS);
    this.#counts.forEach((count, bin) => counts[BINS + Math.floor((bin - BINS) / 2)] += count);
    this.#counts = counts;
    this.#width *= 2;
  }
}
