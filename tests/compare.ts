/**
 * Comparison of a kernel's output with its float64 oracle: tolerance = floor + eps * |reference| per element, or one given per
 * element; a failure shows the worst element and how much of its tolerance was used.
 * @module
 */

import assert from "node:assert/strict";

/** A tolerance per element: an absolute floor plus a share of the reference's magnitude. */
export interface Tolerance {
  /** Absolute part, in the output's units. */
  readonly floor: number;
  /** Relative part. */
  readonly relative: number;
}

/**
 * Fails unless every element is within its tolerance.
 *
 * @param what Name of the compared quantity.
 * @param actual From the GPU.
 * @param expected From the oracle.
 * @param tolerance One rule for all, or a bound per element.
 */
export function assertClose(
  what: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: Tolerance | ArrayLike<number>,
): void {
  assert.equal(actual.length, expected.length, `${what}: length`);
  let worst = -1, used = -1;
  for (let i = 0; i < expected.length; i++) {
    const bound = "floor" in tolerance ? tolerance.floor + tolerance.relative * Math.abs(expected[i]) : tolerance[i];
    const error = Math.abs(actual[i] - expected[i]);
    // NaN compares false with everything: it must count as the worst, not as no error.
    const share = error === 0 ? 0 : Number.isNaN(error) ? Infinity : error / bound;
    if (share > used) [worst, used] = [i, share];
  }
  assert.ok(
    used <= 1,
    `${what}: element ${worst} is ${actual[worst]}, expected ${expected[worst]}: ${
      (used * 100).toFixed(0)
    } % of the tolerance`,
  );
}

/**
 * The distance between two arrays relative to the second: |a - b| / |b|, Euclidean.
 *
 * @param actual The array under test.
 * @param expected The reference.
 * @returns The relative distance.
 */
export function relativeL2(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  assert.equal(actual.length, expected.length);
  let error = 0, norm = 0;
  for (let i = 0; i < expected.length; i++) {
    error += (actual[i] - expected[i]) ** 2;
    norm += expected[i] ** 2;
  }
  return Math.sqrt(error / norm);
}

/** The unit roundoff of float32. */
export const UNIT_ROUNDOFF = 2 ** -24;

/**
 * The classical bound factor for a sum of n products in float32: gamma_n = n u / (1 - n u).
 *
 * @param n The number of products.
 * @returns gamma_n.
 */
export function gamma(n: number): number {
  return n * UNIT_ROUNDOFF / (1 - n * UNIT_ROUNDOFF);
}
