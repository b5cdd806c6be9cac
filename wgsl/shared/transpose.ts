import source from "./transpose.wgsl" with { type: "text" };
import pairsSource from "./transpose_pairs.wgsl" with { type: "text" };
import { defineKernel, linearGrid } from "../kernel.ts";

/** y [columns, padded_rows] = transpose of x [rows, columns], zero from column `rows` on. */
export const transpose = defineKernel({
  name: "transpose",
  source,
  bindings: { x: "read", y: "write" },
  params: { rows: "u32", columns: "u32", padded_rows: "u32" },
  constants: {},
  shapes: ({ rows, columns, padded_rows }) => ({ x: [rows, columns], y: [columns, padded_rows] }),
  workgroups: ({ columns, padded_rows }) => linearGrid(columns * padded_rows, 64),
});

/** The same for 16-bit elements, two to a u32: `columns` and `padded_rows` must be even. */
export const transposePairs = defineKernel({
  name: "transpose_pairs",
  source: pairsSource,
  bindings: { x: "read", y: "write" },
  params: { rows: "u32", columns: "u32", padded_rows: "u32" },
  constants: {},
  shapes: ({ rows, columns, padded_rows }) => ({ x: [rows, columns / 2], y: [columns, padded_rows / 2] }),
  workgroups: ({ columns, padded_rows }) => linearGrid(columns * padded_rows / 4, 64),
});
