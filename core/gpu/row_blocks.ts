/**
 * Matrices of activations with more rows than one binding can hold: their rows lie in several tensors, and gathers take one tensor
 * after the other.
 * @module
 */

import { gatherRows, prepareRows, rowNorms, scatterRows } from "../../wgsl/shared/rows.ts";
import { createTensor, type Gpu, upload } from "./device.ts";
import type { Pass } from "./run.ts";
import { ELEMENT_BYTES, type Tensor } from "./tensor.ts";

/** An f32 matrix [rows, width] in blocks of rows. */
export interface RowBlocks {
  /** Rows of each block but the last, which may have fewer. */
  readonly rowsPerBlock: number;
  /** [rows of the block, width] each, in the order of the rows. */
  readonly blocks: readonly Tensor[];
}

/**
 * Allocates a matrix of zeros in as few blocks as the adapter's bindings allow.
 *
 * @param gpu The device.
 * @param label What the matrix is.
 * @param rows Its rows.
 * @param width Its columns.
 * @returns The matrix.
 * @throws {UserError} When not even one row can be bound.
 */
export function createRowBlocks(gpu: Gpu, label: string, rows: number, width: number): RowBlocks {
  const { maxBufferSize, maxStorageBufferBindingSize } = gpu.limits;
  const most = Math.floor(Math.min(maxBufferSize, maxStorageBufferBindingSize) / (width * ELEMENT_BYTES));
  const rowsPerBlock = Math.max(1, Math.min(rows, most)), count = Math.ceil(rows / rowsPerBlock);
  return {
    rowsPerBlock,
    blocks: Array.from({ length: count }, (_, block) => {
      const height = Math.min(rowsPerBlock, rows - block * rowsPerBlock);
      return createTensor(gpu, `${label}, block ${block + 1} of ${count}`, [height, width]);
    }),
  };
}

/**
 * A matrix that lies in one tensor, for gathers that take either.
 *
 * @param tensor [rows, width]
 * @returns The same storage.
 */
export function oneBlock(tensor: Tensor): RowBlocks {
  return { rowsPerBlock: tensor.shape[0], blocks: [tensor] };
}

/**
 * Records overwriting consecutive rows.
 *
 * @param pass Where to record.
 * @param from [.., width] the new rows, from the first.
 * @param to The matrix.
 * @param first The first row to overwrite.
 * @param rows How many.
 */
export function recordStore(pass: Pass, from: Tensor, to: RowBlocks, first: number, rows: number): void {
  const { rowsPerBlock, blocks } = to, [, width] = blocks[0].shape;
  for (let row = first; row < first + rows;) {
    const block = Math.floor(row / rowsPerBlock), place = row - block * rowsPerBlock;
    const count = Math.min(first + rows - row, rowsPerBlock - place);
    pass.copy(from, (row - first) * width, blocks[block], place * width, count * width);
    row += count;
  }
}

/**
 * Overwrites consecutive rows from host memory, at once.
 *
 * @param gpu The device.
 * @param from [rows, width] the new rows.
 * @param to The matrix.
 * @param first The first row to overwrite.
 */
export function uploadRows(gpu: Gpu, from: Float32Array, { rowsPerBlock, blocks }: RowBlocks, first: number): void {
  const [, width] = blocks[0].shape, end = first + from.length / width;
  for (let row = first; row < end;) {
    const block = Math.floor(row / rowsPerBlock), place = row - block * rowsPerBlock;
    const count = Math.min(end - row, rowsPerBlock - place);
    upload(gpu, blocks[block], from.subarray((row - first) * width, (row - first + count) * width), place * width);
    row += count;
  }
}

/** Which rows to gather, or to scatter. */
export interface Gathering {
  /** How many rows. */
  readonly rows: number;
  /** Their columns. */
  readonly width: number;
  /** Where in the order the first of them stands. */
  readonly first: number;
}

/** The same where a wider matrix has other columns beside these. */
export interface ColumnGathering extends Gathering {
  /** Where in it the first of the columns stands; 0 if left out. */
  readonly column?: number;
}

/**
 * Records y[r] = from[order[first + r]].
 *
 * @param pass Where to record.
 * @param from The matrix.
 * @param order u32 row numbers, each less than the matrix has rows.
 * @param y [rows, width], overwritten.
 * @param gathering Which rows.
 */
export function recordGather(pass: Pass, from: RowBlocks, order: Tensor, y: Tensor, gathering: Gathering): void {
  for (const [block, x] of from.blocks.entries()) {
    const place = { block_first: block * from.rowsPerBlock, block_rows: x.shape[0] };
    pass.run(gatherRows, { x, order, y }, { ...gathering, ...place });
  }
}

/**
 * Records to[order[first + r], c] = from[r, column + c], the way back of {@link recordGather}; other rows keep what they hold.
 *
 * @param pass Where to record.
 * @param from [rows, column + width or more], or one such row that goes to all places.
 * @param order u32 row numbers, none of them twice, each less than `to` has rows.
 * @param to [.., width]
 * @param gathering Which rows, and which columns of `from`.
 */
export function recordScatter(pass: Pass, from: Tensor, order: Tensor, to: Tensor, gathering: ColumnGathering): void {
  const { column: x_column = 0, ...rest } = gathering, [height, x_width] = from.shape;
  const x_rows = Math.min(height, gathering.rows);
  pass.run(scatterRows, { x: from, order, y: to }, { ...rest, x_rows, y_rows: to.shape[0], x_width, x_column });
}

/**
 * Records y[r, d] = (from[order[first + r], c] - columns[0, d]) * columns[1, d] with d = column + c.
 *
 * @param pass Where to record.
 * @param from The matrix.
 * @param order u32 row numbers, each less than the matrix has rows.
 * @param columns [2, width of y] what is taken from each column, and what the rest is multiplied by.
 * @param y [rows, column + width or more], of which these columns are overwritten.
 * @param gathering Which rows, and which columns of y.
 */
export function recordPrepared(
  pass: Pass,
  from: RowBlocks,
  order: Tensor,
  columns: Tensor,
  y: Tensor,
  { column: y_column = 0, ...gathering }: ColumnGathering,
): void {
  const [, y_width] = columns.shape;
  for (const [block, x] of from.blocks.entries()) {
    const place = { block_first: block * from.rowsPerBlock, block_rows: x.shape[0], y_width, y_column };
    pass.run(prepareRows, { x, order, columns, y }, { ...gathering, ...place });
  }
}

/**
 * Records the same of several matrices with as many rows, whose columns come to stand side by side.
 *
 * @param pass Where to record.
 * @param from The matrices, from left to right.
 * @param order u32 row numbers, each less than they have rows.
 * @param columns [2, width] as {@link recordPrepared} reads them; the width is the sum of theirs.
 * @param y [rows, width], overwritten.
 * @param gathering Which rows.
 */
export function recordPreparedBeside(
  pass: Pass,
  from: readonly RowBlocks[],
  order: Tensor,
  columns: Tensor,
  y: Tensor,
  gathering: Omit<Gathering, "width">,
): void {
  let column = 0;
  for (const matrix of from) {
    const [, width] = matrix.blocks[0].shape;
    recordPrepared(pass, matrix, order, columns, y, { ...gathering, width, column });
    column += width;
  }
}

/**
 * Records norms[r] = |x[r]| of a matrix's first rows.
 *
 * @param gpu The device.
 * @param pass Where to record.
 * @param x The matrix.
 * @param norms [rows or more], overwritten as far.
 * @param rows How many; all if left out.
 */
export function recordNorms(
  gpu: Gpu,
  pass: Pass,
  { rowsPerBlock, blocks }: RowBlocks,
  norms: Tensor,
  rows = Infinity,
): void {
  for (const [block, x] of blocks.entries()) {
    const first = block * rowsPerBlock, [height, width] = x.shape, here = Math.min(height, rows - first);
    if (here > 0) pass.run(rowNorms, { x, norms }, { rows: here, width, first }, { LANES: gpu.isCpu ? 8 : 64 });
  }
}
