/**
 * How cost grows with a size, and which kernels make it grow faster than the size does.
 * @module
 */

import { leastSquares } from "../core/analysis/statistics.ts";

/** A kernel that grows faster than the size. */
export interface FastGrowth {
  /** The kernel. */
  readonly name: string;
  /** The power of the size that its cost follows. */
  readonly exponent: number;
  /** Its share of all kernels' time at the largest size. */
  readonly share: number;
}

/** An exponent above this is called worse than linear: repeated fits differ by a few hundredths. */
export const WORSE_THAN_LINEAR = 1.05;
/** Kernels that exceed their linear cost by less than this share of the largest size's time do not matter. */
const LEAST_EXCESS = 0.05;

/**
 * The power of the size that a cost follows: the slope of the line through both logarithms.
 *
 * @param sizes At least three, above 0.
 * @param milliseconds The cost at each, above 0.
 * @returns The exponent; 1 is linear.
 */
export function growthExponent(sizes: readonly number[], milliseconds: readonly number[]): number {
  return leastSquares(sizes.map(Math.log), milliseconds.map(Math.log)).slope;
}

/**
 * Finds the kernels that grow faster than the size and matter at the largest one.
 *
 * @param sizes Ascending.
 * @param kernels The cost of every kernel at each size.
 * @returns Them, the one with the largest cost beyond linear first.
 */
export function fasterThanLinear(
  sizes: readonly number[],
  kernels: readonly { readonly name: string; readonly milliseconds: readonly number[] }[],
): FastGrowth[] {
  const factor = sizes.at(-1)! / sizes[0];
  const total = kernels.reduce((sum, { milliseconds }) => sum + milliseconds.at(-1)!, 0);
  return kernels
    .map(({ name, milliseconds }) => ({
      name,
      exponent: growthExponent(sizes, milliseconds),
      share: milliseconds.at(-1)! / total,
      excess: milliseconds.at(-1)! - factor * milliseconds[0],
    }))
    .filter(({ excess, exponent }) => excess > LEAST_EXCESS * total && exponent > WORSE_THAN_LINEAR)
    .toSorted((a, b) => b.excess - a.excess)
    .map(({ name, exponent, share }) => ({ name, exponent, share }));
}
