/**
 * Products of a dictionary's rows with each other, on the GPU in blocks: all cosines, those of random directions to hold them against, and
 * second moments. They take no text and no model.
 * @module
 */

import { matmul, paddedColumns } from "../../wgsl/shared/matmul.ts";
import { transpose } from "../../wgsl/shared/transpose.ts";
import { type Directions, directionsOf } from "../analysis/directions.ts";
import { type Cosines, CosineTally, randomDirections } from "../analysis/similarity.ts";
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
 * @param directions The rows; their width is a multiple of 4.
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
  const { z, u } = randomDirections(await secondMoment(gpu, rows, width), width, count);
  return { cosines, by_chance: await tallied(directionsOf(await product(gpu, z, u, width), width), each) };
}

/** Products of the upper triangle's blocks. */
async function takeProducts(
  gpu: Gpu,
  { rows: matrix, width }: Directions,
  tally: CosineTally,
  onDone: (blocks: number) => void,
): Promise<void> {
  using scratch = openScope(gpu);
  const count = matrix.length / width, most = Math.min(BLOCK, count), padded = paddedColumns(most);
  const x = createTensor(scratch, "rows", [most, width]), y = createTensor(scratch, "columns", [most, width]);
  const transposed = createTensor(scratch, "columns transposed", [width, padded]);
  const cosines = createTensor(scratch, "cosines", [most, most]);
  const block = (first: number) => matrix.subarray(first * width, Math.min(count, first + most) * width);
  let done = 0;
  async function* blocks() {
    for (let firstColumn = 0; firstColumn < count; firstColumn += most) {
      for (let firstRow = 0; firstRow <= firstColumn; firstRow += most) {
        yield await Promise.resolve({ firstRow, firstColumn });
      }
    }
  }
  const sized = ({ firstRow, firstColumn }: { firstRow: number; firstColumn: number }) => ({
    rows: Math.min(most, count - firstRow),
    columns: Math.min(most, count - firstColumn),
  });
  await overlapped(blocks(), {
    submit(at) {
      const { rows, columns } = sized(at), size = { rows, columns, depth: width }, pass = new Pass(gpu);
      upload(gpu, x, block(at.firstRow));
      if (at.firstRow === 0) upload(gpu, y, block(at.firstColumn));
      const turned = { rows: columns, columns: width, padded_rows: paddedColumns(columns) };
      pass.run(transpose, { x: y, y: transposed }, turned);
      pass.run(matmul(tileFor(gpu, size), "f32", "none"), { x, weight: transposed, y: cosines }, size);
      pass.submit();
    },
    read(at) {
      const { rows, columns } = sized(at);
      return downloadF32(gpu, viewOf(cosines, [rows, columns]));
    },
    take(at, values) {
      tally.take({ ...at, ...sized(at), values });
      onDone(++done);
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

/** x W of a tall x. */
async function product(
  gpu: Gpu,
  x: Float32Array<ArrayBuffer>,
  square: Float32Array<ArrayBuffer>,
  width: number,
): Promise<Float32Array<ArrayBuffer>> {
  using scratch = openScope(gpu);
  const count = x.length / width, most = Math.min(BLOCK, count), all = new Float32Array(x.length);
  const weight = tensorFrom(scratch, "square", [width, width], square);
  const tensor = (label: string): Tensor => createTensor(scratch, label, [most, width]);
  const rows = tensor("rows"), products = tensor("products");
  for (let first = 0; first < count; first += most) {
    const taken = Math.min(most, count - first), size = { rows: taken, columns: width, depth: width };
    upload(gpu, rows, x.subarray(first * width, (first + taken) * width));
    const pass = new Pass(gpu);
    pass.run(matmul(tileFor(gpu, size), "f32", "none"), { x: rows, weight, y: products }, size);
    pass.submit();
    all.set(await downloadF32(gpu, viewOf(products, [taken, width])), first * width);
  }
  return all;
}
