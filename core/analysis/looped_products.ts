/**
 * Products of a dictionary's rows with each other where there is no GPU for them: in blocks that stay in the caches, by one core.
 * @module
 */

import { type Directions, directionsOf } from "./directions.ts";
import { type Cosines, CosineTally, randomDirections } from "./similarity.ts";

/** Rows and columns of a block. */
const BLOCK = 256;

/**
 * Compares all pairs of rows, and all pairs of as many random directions with the same second moment.
 *
 * @param directions The rows; the random ones take their place, as a large matrix is not to be held twice.
 * @param groups Rows per Matryoshka group.
 * @param onProgress Hears of the blocks done.
 * @returns The cosines of both.
 */
export function loopedCosines(
  directions: Directions,
  groups: readonly number[],
  onProgress?: (done: number, blocks: number) => void,
): { cosines: Cosines; by_chance: Cosines } {
  const { rows, width } = directions, count = rows.length / width, sides = Math.ceil(count / BLOCK);
  const each = sides * (sides + 1) / 2;
  let done = 0;
  const tallied = () => {
    const tally = new CosineTally(groups);
    for (let firstRow = 0; firstRow < count; firstRow += BLOCK) {
      for (let firstColumn = firstRow; firstColumn < count; firstColumn += BLOCK) {
        const at = { firstRow, rows: Math.min(BLOCK, count - firstRow) };
        const across = { firstColumn, columns: Math.min(BLOCK, count - firstColumn) };
        tally.take({ ...at, ...across, values: block(rows, width, { ...at, ...across }) });
        onProgress?.(++done, 2 * each);
      }
    }
    return tally.result();
  };
  const cosines = tallied(), { draw, u } = randomDirections(loopedMoment(rows, width), width, count);
  for (let first = 0; first < rows.length; first += width) {
    const z = draw(1);
    for (let c = 0; c < width; c++) {
      // U is upper triangular: nothing below its diagonal.
      let sum = 0;
      for (let i = 0; i <= c; i++) sum += z[i] * u[i * width + c];
      rows[first + c] = sum;
    }
  }
  directionsOf(rows, width, rows);
  return { cosines, by_chance: tallied() };
}

function block(
  rows: Float32Array,
  width: number,
  { firstRow, rows: height, firstColumn, columns }: {
    firstRow: number;
    rows: number;
    firstColumn: number;
    columns: number;
  },
): Float32Array {
  const values = new Float32Array(height * columns);
  for (let r = 0; r < height; r++) {
    for (let c = 0; c < columns; c++) {
      let sum = 0;
      for (let i = (firstRow + r) * width, j = (firstColumn + c) * width, end = i + width; i < end; i++, j++) {
        sum += rows[i] * rows[j];
      }
      values[r * columns + c] = sum;
    }
  }
  return values;
}

/**
 * The mean of d d^T over the rows d of a matrix.
 *
 * @param rows [count, width] row-major.
 * @param width How wide it is.
 * @returns [width, width]
 */
export function loopedMoment(rows: Float32Array, width: number): Float64Array {
  const count = rows.length / width, sum = new Float64Array(width * width);
  for (let first = 0; first < rows.length; first += width) {
    for (let i = 0; i < width; i++) {
      const value = rows[first + i] / count;
      for (let j = i; j < width; j++) sum[i * width + j] += value * rows[first + j];
    }
  }
  for (let i = 0; i < width; i++) for (let j = 0; j < i; j++) sum[i * width + j] = sum[j * width + i];
  return sum;
}
