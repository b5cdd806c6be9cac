/**
 * The norms of a layer: the input norm, that of query and key heads, and the fused norm, residual sum and next norm after each branch.
 * @module
 */

import headNormSource from "./head_norm.wgsl" with { type: "text" };
import normAddNormSource from "./norm_add_norm.wgsl" with { type: "text" };
import rmsNormSource from "./rms_norm.wgsl" with { type: "text" };
import reduceSource from "../shared/reduce.wgsl" with { type: "text" };
import { defineKernel, linearGrid } from "../kernel.ts";

/** y = gain * x / rms(x), row by row. LANES: a power of two. */
export const rmsNorm = defineKernel({
  name: "rms_norm",
  source: rmsNormSource + reduceSource,
  bindings: { x: "read", gain: "read", y: "write" },
  params: { rows: "u32", width: "u32", epsilon: "f32" },
  constants: { LANES: 256 },
  shapes: ({ rows, width }) => ({ x: [rows, width], gain: [width], y: [rows, width] }),
  workgroups: ({ rows }) => linearGrid(rows, 1),
});

/** Norms each query head and each key head of qkv in place. LANES: a power of two. */
export const headNorm = defineKernel({
  name: "head_norm",
  source: headNormSource + reduceSource,
  bindings: { gain: "read", qkv: "write" },
  params: { rows: "u32", heads: "u32", key_value_heads: "u32", head_dim: "u32", epsilon: "f32" },
  constants: { LANES: 64 },
  shapes: ({ rows, heads, key_value_heads, head_dim }) => ({
    gain: [2, head_dim],
    qkv: [rows, heads + 2 * key_value_heads, head_dim],
  }),
  workgroups: ({ rows, heads, key_value_heads }) => linearGrid(rows * (heads + key_value_heads), 1),
});

/** normed = norm of the branch, sum = residual + normed, next = norm of the sum unless NORM_NEXT is 0. LANES: a power of two. */
export const normAddNorm = defineKernel({
  name: "norm_add_norm",
  source: normAddNormSource + reduceSource,
  bindings: {
    branch: "read",
    branch_gain: "read",
    residual: "read",
    next_gain: "read",
    normed: "write",
    sum: "write",
    next: "write",
  },
  params: { rows: "u32", width: "u32", epsilon: "f32" },
  constants: { LANES: 256, NORM_NEXT: 1 },
  shapes: ({ rows, width }) => ({
    branch: [rows, width],
    branch_gain: [width],
    residual: [rows, width],
    next_gain: [width],
    normed: [rows, width],
    sum: [rows, width],
    next: [rows, width],
  }),
  workgroups: ({ rows }) => linearGrid(rows, 1),
});
