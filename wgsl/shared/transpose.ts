import source from "./transpose.wgsl" with { type: "text" };
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
