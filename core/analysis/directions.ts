/**
 * Directions of features: rows of unit length, and the cosines between them.
 * @module
 */

/** Rows of unit length; those of no length stay zeros. */
export interface Directions {
  /** [count, width] */
  readonly rows: Float32Array<ArrayBuffer>;
  /** How long each row is. */
  readonly width: number;
}

/**
 * Scales rows to unit length.
 *
 * @param matrix [count, width] row-major.
 * @param width Columns.
 * @returns New rows; one that holds a number that is not finite becomes zeros.
 */
export function directionsOf(matrix: Float32Array, width: number): Directions {
  const rows = new Float32Array(matrix.length);
  for (let first = 0; first < matrix.length; first += width) {
    let squares = 0;
    for (let c = 0; c < width; c++) squares += matrix[first + c] ** 2;
    const scale = 1 / Math.sqrt(squares);
    if (scale > 0 && scale < Infinity) { for (let c = 0; c < width; c++) rows[first + c] = matrix[first + c] * scale; }
  }
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
