/**
 * Rows of matrices: gathered and scattered, their columns taken four at a time, and how long they are.
 * @module
 */

import gatherRowsSource from "./gather_rows.wgsl" with { type: "text" };
import prepareRowsSource from "./prepare_rows.wgsl" with { type: "text" };
import reduceSource from "./reduce.wgsl" with { type: "text" };
import rowNormsSource from "./row_norms.wgsl" with { type: "text" };
import scatterRowsSource from "./scatter_rows.wgsl" with { type: "text" };
import { defineKernel, linearGrid } from "../kernel.ts";

/**
 * How many columns are left when they are taken four at a time; kernels that do so would mix up the rows of any other width.
 *
 * @param width Columns.
 * @returns A quarter of them.
 * @throws {RangeError} When that is no whole number.
 */
export function quadsOf(width: number): number {
  if (width % 4 === 0) return width / 4;
  throw new RangeError(`Cannot take columns four at a time: the width must be a multiple of 4, it is ${width}`);
}

/** The uniform members of both gathers. */
const GATHER = { rows: "u32", width: "u32", first: "u32", block_first: "u32", block_rows: "u32" } as const;

/** y = the rows named by order[first ..], as far as they lie in this block of rows. */
export const gatherRows = defineKernel({
  name: "gather_rows",
  source: gatherRowsSource,
  bindings: { x: "read", order: "read", y: "write" },
  params: GATHER,
  constants: {},
  shapes: ({ rows, width, first, block_rows }) => ({ x: [block_rows, width], order: [first + rows], y: [rows, width] }),
  workgroups: ({ rows, width }) => linearGrid(rows * quadsOf(width), 64),
});

/** The same rows, each column less its mean and scaled, into some neighbouring columns of y. */
export const prepareRows = defineKernel({
  name: "prepare_rows",
  source: prepareRowsSource,
  bindings: { x: "read", order: "read", columns: "read", y: "write" },
  params: { ...GATHER, y_width: "u32", y_column: "u32" },
  constants: {},
  shapes: ({ rows, width, first, block_rows, y_width }) => ({
    ...{ x: [block_rows, width], order: [first + rows], columns: [2, 4 * quadsOf(y_width)], y: [rows, y_width] },
  }),
  workgroups: ({ rows, width }) => linearGrid(rows * quadsOf(width), 64),
});

/** The rows named by order[first ..] = some neighbouring columns of those of x, or of its only one. */
export const scatterRows = defineKernel({
  name: "scatter_rows",
  source: scatterRowsSource,
  bindings: { x: "read", order: "read", y: "write" },
  params: { rows: "u32", width: "u32", first: "u32", x_rows: "u32", y_rows: "u32", x_width: "u32", x_column: "u32" },
  constants: {},
  shapes: ({ rows, width, first, x_rows, y_rows, x_width }) => ({
    ...{ x: [x_rows, 4 * quadsOf(x_width)], order: [first + rows], y: [y_rows, width] },
  }),
  workgroups: ({ rows, width }) => linearGrid(rows * quadsOf(width), 64),
});

/** The Euclidean length of each row. */
export const rowNorms = defineKernel({
  name: "row_norms",
  source: rowNormsSource + reduceSource,
  bindings: { x: "read", norms: "write" },
  params: { rows: "u32", width: "u32", first: "u32" },
  constants: { LANES: 64 },
  shapes: ({ rows, width, first }) => ({ x: [rows, width], norms: [first + rows] }),
  workgroups: ({ rows }) => linearGrid(rows, 1),
});
