/**
 * The kernels of an evaluation and of a record beside encoding and decoding: what is measured of a reconstruction, and the linear map that it is held
 * against.
 * @module
 */

import columnSquaresSource from "./column_squares.wgsl" with { type: "text" };
import cosinesSource from "./cosines.wgsl" with { type: "text" };
import errorRemovedSource from "./error_removed.wgsl" with { type: "text" };
import linearResidualSource from "./linear_residual.wgsl" with { type: "text" };
import prefixCountsSource from "./prefix_counts.wgsl" with { type: "text" };
import reduceSource from "../shared/reduce.wgsl" with { type: "text" };
import { defineKernel, linearGrid } from "../kernel.ts";
import { prefixConstants } from "./step.ts";

/** Squared residuals of each column, summed over tokens, for each prefix. */
export const columnSquares = defineKernel({
  name: "column_squares",
  source: columnSquaresSource,
  bindings: { residual: "read", squares: "write" },
  params: { tokens: "u32", width: "u32", prefixes: "u32" },
  constants: {},
  shapes: ({ tokens, width, prefixes }) => ({ residual: [prefixes, tokens, width], squares: [prefixes, width] }),
  workgroups: ({ width, prefixes }) => [Math.ceil(width / 64), prefixes, 1],
});

/** Cosine between target and reconstruction, both less a mean, of each token and prefix. */
export const cosines = defineKernel({
  name: "cosines",
  source: cosinesSource + reduceSource,
  bindings: { target_y: "read", mean: "read", residual: "read", cosine: "write" },
  params: { tokens: "u32", width: "u32", prefixes: "u32" },
  constants: { LANES: 64 },
  shapes: ({ tokens, width, prefixes }) => ({
    target_y: [tokens, width],
    mean: [width],
    residual: [prefixes, tokens, width],
    cosine: [tokens, prefixes],
  }),
  workgroups: ({ tokens }) => linearGrid(tokens, 1),
});

/** How much larger the squared error of each prefix were without each feature, over all tokens. At most `MOST_GROUPS` prefixes. */
export const errorRemoved = defineKernel({
  name: "error_removed",
  source: errorRemovedSource + reduceSource,
  bindings: { activations: "read", residual: "read", decoder: "read", removed: "write" },
  params: { tokens: "u32", width: "u32", features: "u32", prefixes: "u32" },
  constants: { LANES: 64 },
  shapes: ({ tokens, width, features, prefixes }) => ({
    activations: [features, tokens],
    residual: [prefixes, tokens, width],
    decoder: [features, width],
    removed: [features, prefixes],
  }),
  workgroups: ({ features }) => linearGrid(features, 1),
});

/** A linear map's product becomes its residual, and the squared length of that. */
export const linearResidual = defineKernel({
  name: "linear_residual",
  source: linearResidualSource + reduceSource,
  bindings: { bias: "read", target_y: "read", residual: "write", squares: "write" },
  params: { tokens: "u32", width: "u32" },
  constants: { LANES: 64 },
  shapes: ({ tokens, width }) => ({
    bias: [width],
    target_y: [tokens, width],
    residual: [tokens, width],
    squares: [tokens],
  }),
  workgroups: ({ tokens }) => linearGrid(tokens, 1),
});

/** Active features of each token within each prefix. */
export const prefixCounts = defineKernel({
  name: "prefix_counts",
  source: prefixCountsSource,
  bindings: { row_start: "read", index: "read", counts: "write" },
  params: { tokens: "u32", prefixes: "u32" },
  constants: prefixConstants([]),
  shapes: ({ tokens, prefixes }) => ({ row_start: [tokens + 1], index: [1], counts: [tokens, prefixes] }),
  workgroups: ({ tokens }) => [Math.ceil(tokens / 64), 1, 1],
});
