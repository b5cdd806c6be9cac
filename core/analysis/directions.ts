/**
 * Directions of features: rows of unit length, and the cosines between them.
 * @module
 */

import type { RandomGenerator } from "../random.ts";

/** Rows of which a random direction is mixed. */
const MIXED = 256;

/** Rows of unit length; those of no length stay zeros. */
export interface Directions {
  /** [count, width] */
  readonly rows: Float32Array<ArrayBuffer>;
  /** How long each row is. */
  readonly width: number;
}

/**
 * What rows are to be multiplied with to have unit length.
 *
 * @param matrix [count, width] row-major.
 * @param width Columns.
 * @returns [count]; 0 for a row of no length, or one that holds a number that is not finite.
 */
export function unitScales(matrix: Float32Array, width: number): Float64Array {
  return Float64Array.from({ length: matrix.length / width }, (_, row) => {
    let squares = 0;
    for (let at = row * width; at < (row + 1) * width; at++) squares += matrix[at] ** 2;
    const scale = 1 / Math.sqrt(squares);
    return scale > 0 && scale < Infinity ? scale : 0;
  });
}

/**
 * Scales rows to unit length.
 *
 * @param matrix [count, width] row-major.
 * @param width Columns.
 * @param rows Where they are put: new ones if left out, or the matrix itself where nobody needs it any more.
 * @returns The rows; one that holds a number that is not finite becomes zeros.
 */
export function directionsOf(
  matrix: Float32Array,
  width: number,
  rows: Float32Array<ArrayBuffer> = new Float32Array(matrix.length),
): Directions {
  unitScales(matrix, width).forEach((scale, row) => {
    for (let at = row * width; at < (row + 1) * width; at++) rows[at] = scale > 0 ? matrix[at] * scale : 0;
  });
  return { rows, width };
}

/**
 * The cosine of two rows.
 *
 * @param directions The rows.
 * @param i One of them.
 * @param j Another.
 * @returns From -1 to 1; 0 where one has no length.
 */
export function cosine({ rows, width }: Directions, i: number, j: number): number {
  let sum = 0;
  for (let c = 0; c < width; c++) sum += rows[i * width + c] * rows[j * width + c];
  return sum;
}

/**
 * Mixes rows drawn at random into a direction without any structure but theirs as a whole.
 *
 * @param count How many rows there are.
 * @param row One of them.
 * @param width How long each is.
 * @param random Where the draws come from.
 * @returns [width] of length 1: its second moment is that of the rows but for scale, and so many of them make it nearly normal.
 */
export function mixedDirection(
  count: number,
  row: (i: number) => Float32Array,
  width: number,
  random: RandomGenerator,
): Float32Array {
  const sum = new Float32Array(width);
  for (let n = 0; n < MIXED; n++) {
    const drawn = row(random.below(count)), weight = random.gaussian();
    for (let c = 0; c < width; c++) sum[c] += weight * drawn[c];
  }
  return directionsOf(sum, width).rows;
}
