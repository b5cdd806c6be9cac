/**
 * Products of a dictionary's rows with each other, on the GPU in blocks: all cosines, those of random directions to hold them against, and
 * second moments. They take no text and no model.
 * @module
 */

import { matmul, paddedColumns } from "../../wgsl/shared/matmul.ts";
import { transpose } from "../../wgsl/shared/transpose.ts";
import { type Directions, directionsOf } from "../analysis/directions.ts";
import {
  type CosineBlock,
  type Cosines,
  CosineTally,
  type RandomDirections,
  randomDirections,
} from "../analysis/similarity.ts";
import { createTensor, downloadF32, type Gpu, tensorFrom, upload } from "../gpu/device.ts";
import { overlapped } from "../gpu/overlap.ts";
import { tileFor } from "../gpu/products.ts";
import { Pass } from "../gpu/run.ts";
import { openScope } from "../gpu/scope.ts";
import { type Tensor, viewOf } from "../gpu/tensor.ts";

/** Rows and columns of a block: 16 MiB of cosines. */
const BLOCK = 2048;

/** Hears of blocks done of all. */
export type BlockProgress = (done: number, blocks: number) => void;

/** The cosines of a dictionary's rows, and what random ones would have. */
export interface ComparedCosines {
  /** Of the rows. */
  readonly cosines: Cosines;
  /** Of as many random directions with the same second moment. */
  readonly by_chance: Cosines;
}

/**
 * Compares all pairs of rows, and all pairs of random ones.
 *
 * @param gpu The device.
 * @param directions The rows; their width is a multiple of 4. The random ones take their place, as a large matrix is not to be held twice.
 * @param groups Rows per Matryoshka group.
 * @param onProgress Hears of the blocks done.
 * @returns Both.
 * @throws {UserError} When a tensor is larger than the adapter can bind, or the device fails.
 */
export async function compareCosines(
  gpu: Gpu,
  directions: Directions,
  groups: readonly number[],
  onProgress?: BlockProgress,
): Promise<ComparedCosines> {
  const { rows, width } = directions, count = rows.length / width, sides = Math.ceil(count / BLOCK);
  const each = sides * (sides + 1) / 2;
  const tallied = async (directions: Directions, before: number) => {
    const tally = new CosineTally(groups);
    await takeProducts(gpu, directions, tally, (done) => onProgress?.(before + done, 2 * each));
    return tally.result();
  };
  const cosines = await tallied(directions, 0);
  await fillAtRandom(gpu, directions, randomDirections(await secondMoment(gpu, rows, width), width, count));
  return { cosines, by_chance: await tallied(directionsOf(rows, width, rows), each) };
}

/** Products of the upper triangle's blocks. */
async function takeProducts(
  gpu: Gpu,
  { rows: matrix, width }: Directions,
  tally: CosineTally,
  onDone: (blocks: number) => void,
): Promise<void> {
  const count = matrix.length / width;
  const side = {
    count,
    block: (first: number, rows: number) => matrix.subarray(first * width, (first + rows) * width),
  };
  let done = 0;
  await eachProduct(gpu, side, side, width, (block) => {
    tally.take(block);
    onDone(++done);
  }, (firstRow, firstColumn) => firstRow <= firstColumn);
}

/** Rows of a matrix that may not be held as a whole. */
export interface BlockedRows {
  /** How many there are. */
  readonly count: number;
  /** Gives [rows, width] of them, from the first on. */
  readonly block: (first: number, rows: number) => Float32Array<ArrayBuffer>;
}

/** How many blocks {@link eachProduct} makes of all rows and columns. */
export function productBlocks(rows: number, columns: number): number {
  return Math.ceil(rows / BLOCK) * Math.ceil(columns / BLOCK);
}

/**
 * Multiplies all rows of one matrix with all rows of another, block by block, those of one block of columns one after the other.
 *
 * @param gpu The device.
 * @param rows The one, at least one row.
 * @param columns The other.
 * @param width The width of both, a multiple of 4.
 * @param take Takes in [rows, columns] scalar products.
 * @param isWanted Whether the block of this first row and first column is; all are if left out.
 * @throws {UserError} When a tensor is larger than the adapter can bind, or the device fails.
 */
export async function eachProduct(
  gpu: Gpu,
  rows: BlockedRows,
  columns: BlockedRows,
  width: number,
  take: (block: CosineBlock) => void,
  isWanted: (firstRow: number, firstColumn: number) => boolean = () => true,
): Promise<void> {
  using scratch = openScope(gpu);
  const most = Math.min(BLOCK, rows.count), wide = Math.min(BLOCK, columns.count), padded = paddedColumns(wide);
  const x = createTensor(scratch, "rows", [most, width]), y = createTensor(scratch, "columns", [wide, width]);
  const transposed = createTensor(scratch, "columns transposed", [width, padded]);
  const products = createTensor(scratch, "products", [most, wide]);
  let held = -1;
  async function* blocks() {
    for (let firstColumn = 0; firstColumn < columns.count; firstColumn += wide) {
      for (let firstRow = 0; firstRow < rows.count; firstRow += most) {
        if (!isWanted(firstRow, firstColumn)) continue;
        yield await Promise.resolve({
          ...{ firstRow, rows: Math.min(most, rows.count - firstRow) },
          ...{ firstColumn, columns: Math.min(wide, columns.count - firstColumn) },
        });
      }
    }
  }
  await overlapped<Omit<CosineBlock, "values">, Float32Array>(blocks(), {
    submit(at) {
      const size = { rows: at.rows, columns: at.columns, depth: width }, pass = new Pass(gpu);
      upload(gpu, x, rows.block(at.firstRow, at.rows));
      if (held !== at.firstColumn) upload(gpu, y, columns.block(at.firstColumn, at.columns));
      held = at.firstColumn;
      const turned = { rows: at.columns, columns: width, padded_rows: paddedColumns(at.columns) };
      pass.run(transpose, { x: y, y: transposed }, turned);
      pass.run(matmul(tileFor(gpu, size), "f32", "none"), { x, weight: transposed, y: products }, size);
      pass.submit();
    },
    read({ rows, columns }) {
      return downloadF32(gpu, viewOf(products, [rows, columns]));
    },
    take(at, values) {
      take({ ...at, values });
    },
  });
}

/**
 * The mean of d d^T over the rows d of a matrix, in float32 over some thousand rows, in float64 over those.
 *
 * @param gpu The device.
 * @param matrix [count, width] row-major.
 * @param width How wide it is: a multiple of 4.
 * @returns [width, width]
 * @throws {UserError} When a tensor is larger than the adapter can bind, or the device fails.
 */
export async function secondMoment(
  gpu: Gpu,
  matrix: Float32Array<ArrayBuffer>,
  width: number,
): Promise<Float64Array> {
  using scratch = openScope(gpu);
  // The fast tiles take depths that are multiples of 4: rows of zeros add nothing.
  const count = matrix.length / width, most = paddedColumns(Math.min(BLOCK, count));
  const x = createTensor(scratch, "rows", [most, width]), turned = createTensor(scratch, "columns", [width, most]);
  const products = createTensor(scratch, "products", [width, width]), sum = new Float64Array(width * width);
  for (let first = 0; first < count; first += most) {
    const rows = matrix.subarray(first * width, (first + most) * width);
    upload(gpu, x, rows);
    upload(gpu, x, new Float32Array(most * width - rows.length), rows.length);
    const pass = new Pass(gpu), size = { rows: width, columns: width, depth: most };
    pass.run(transpose, { x, y: turned }, { rows: most, columns: width, padded_rows: most });
    pass.run(matmul(tileFor(gpu, size), "f32", "none"), { x: turned, weight: x, y: products }, size);
    pass.submit();
    const read = await downloadF32(gpu, products);
    for (let at = 0; at < sum.length; at++) sum[at] += read[at] / count;
  }
  return sum;
}

/** Overwrites rows with z U. */
async function fillAtRandom(gpu: Gpu, { rows: all, width }: Directions, { u, draw }: RandomDirections): Promise<void> {
  using scratch = openScope(gpu);
  const count = all.length / width, most = Math.min(BLOCK, count);
  const weight = tensorFrom(scratch, "square", [width, width], u);
  const tensor = (label: string): Tensor => createTensor(scratch, label, [most, width]);
  const rows = tensor("rows"), products = tensor("products");
  for (let first = 0; first < count; first += most) {
    const taken = Math.min(most, count - first), size = { rows: taken, columns: width, depth: width };
    upload(gpu, rows, draw(taken));
    const pass = new Pass(gpu);
    pass.run(matmul(tileFor(gpu, size), "f32", "none"), { x: rows, weight, y: products }, size);
    pass.submit();
    all.set(await downloadF32(gpu, viewOf(products, [taken, width])), first * width);
  }
}
