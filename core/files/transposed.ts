/**
 * Matrices that files keep the other way round.
 * @module
 */

/**
 * The matrix [rows, columns] as [columns, rows].
 *
 * @param matrix The matrix.
 * @param rows How many rows it has.
 * @param columns How many columns.
 * @returns The transposed one.
 */
export function transposed(
  matrix: Float32Array<ArrayBuffer>,
  rows: number,
  columns: number,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(matrix.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = matrix[r * columns + c];
  return out;
}
