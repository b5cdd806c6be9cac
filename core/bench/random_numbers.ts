/**
 * Random numbers by the million, as benchmarks need them: a table of them, repeated.
 * @module
 */

import { randomGenerator } from "../random.ts";

/** A prime, so that the rows of a matrix differ whatever its width. */
const PERIOD = 262_139;

/**
 * Numbers from a bell curve.
 *
 * @param count How many; from the 262,140th on they repeat.
 * @param deviation Their standard deviation.
 * @param seed Different seeds give unrelated numbers.
 * @returns The numbers.
 */
export function bellCurve(count: number, deviation: number, seed: number): Float32Array<ArrayBuffer> {
  const random = randomGenerator(seed), numbers = new Float32Array(count);
  const period = Math.min(count, PERIOD);
  for (let i = 0; i < period; i++) numbers[i] = deviation * random.gaussian();
  for (let filled = period; filled < count; filled += period) {
    numbers.copyWithin(filled, 0, Math.min(period, count - filled));
  }
  return numbers;
}
