/**
 * Exact, deterministic batch top-k: a radix search for the threshold over the bits of the activations, then the kept entries as
 * sparse rows (by token) and sparse columns (by feature). Every kernel takes `inactive` and `min_inactive`: with 0 all features
 * take part, otherwise only those that have not fired for that many tokens (the auxiliary loss).
 *
 * The activation function is the business of the encoder's product, whose epilogue stores what is positive where a feature is active and 0
 * elsewhere; these kernels keep what is positive (is_positive.wgsl) and no more than that.
 *
 * Declarations stand one file per family of kernels, each kernel's text in a file of its own beside it.
 * @module
 */

import columnCountSource from "./column_count.wgsl" with { type: "text" };
import columnWriteSource from "./column_write.wgsl" with { type: "text" };
import histogramSource from "./histogram.wgsl" with { type: "text" };
import isKeptSource from "./is_kept.wgsl" with { type: "text" };
import isPositiveSource from "./is_positive.wgsl" with { type: "text" };
import pickDigitSource from "./pick_digit.wgsl" with { type: "text" };
import rowCountSource from "./row_count.wgsl" with { type: "text" };
import rowWriteSource from "./row_write.wgsl" with { type: "text" };
import scanSource from "./scan.wgsl" with { type: "text" };
import tokenTopKSource from "./token_top_k.wgsl" with { type: "text" };
import { defineKernel } from "../kernel.ts";

/** Elements of the `selection` tensor: threshold bits, ties to take, entries kept, flat index of the last tie taken. */
export const SELECTION_SIZE = 4;
/** The most digits one histogram distinguishes. */
export const HISTOGRAM_SIZE = 2048;
/** The digits of a positive f32's 31 bits, most significant first. */
export const RADIX_DIGITS = [{ shift: 20, width: 11 }, { shift: 10, width: 10 }, { shift: 0, width: 10 }] as const;
/** How many segments a token's features are cut into, so that tokens x segments invocations can work. */
export const ROW_SEGMENTS = 16;
/** counts[digit] += positive activations that agree with the threshold's bits so far. */
export const histogram = defineKernel({
  name: "histogram",
  source: histogramSource + isPositiveSource,
  bindings: { activations: "read", inactive: "read", selection: "read", counts: "write" },
  params: { tokens: "u32", features: "u32", shift: "u32", width: "u32", min_inactive: "u32" },
  constants: { LANES: 64, TOKEN_BLOCK: 256, FEATURE_BLOCK: 64 },
  shapes: ({ tokens, features }) => ({
    activations: [features, tokens],
    inactive: [features],
    selection: [SELECTION_SIZE],
    counts: [HISTOGRAM_SIZE],
  }),
  workgroups: ({ tokens, features }, { TOKEN_BLOCK, FEATURE_BLOCK }) => [
    Math.ceil(tokens / TOKEN_BLOCK),
    Math.ceil(features / FEATURE_BLOCK),
    1,
  ],
});

/** Fixes the next digit of the threshold from the histogram, and clears the histogram. */
export const pickDigit = defineKernel({
  name: "pick_digit",
  source: pickDigitSource,
  bindings: { counts: "write", selection: "write" },
  params: { shift: "u32", width: "u32", wanted: "u32", is_first: "u32" },
  constants: { LANES: 64 },
  shapes: () => ({ counts: [HISTOGRAM_SIZE], selection: [SELECTION_SIZE] }),
  workgroups: () => [1, 1, 1],
});

/** Counts per (token, segment) what exceeds and what equals the threshold. */
export const rowCount = defineKernel({
  name: "row_count",
  source: rowCountSource + isPositiveSource,
  bindings: { activations: "read", inactive: "read", selection: "read", above: "write", ties: "write" },
  params: { tokens: "u32", features: "u32", min_inactive: "u32" },
  constants: { LANES: 8, SEGMENTS: ROW_SEGMENTS },
  shapes: ({ tokens, features }, { SEGMENTS }) => ({
    activations: [features, tokens],
    inactive: [features],
    selection: [SELECTION_SIZE],
    above: [tokens, SEGMENTS],
    ties: [tokens, SEGMENTS],
  }),
  workgroups: ({ tokens }, { LANES, SEGMENTS }) => [Math.ceil(tokens / LANES), SEGMENTS, 1],
});

/** Exclusive sums of what is kept, with the ties going to the earliest items. */
export const scan = defineKernel({
  name: "scan",
  source: scanSource,
  bindings: { above: "read", ties: "write", selection: "read", start: "write" },
  params: { items: "u32", first: "u32", base: "u32" },
  constants: { LANES: 64 },
  shapes: ({ items, first }) => ({
    above: [items],
    ties: [items],
    selection: [SELECTION_SIZE],
    start: [first + items + 1],
  }),
  workgroups: () => [1, 1, 1],
});

/** Writes the kept entries token by token, features ascending. */
export const rowWrite = defineKernel({
  name: "row_write",
  source: rowWriteSource + isPositiveSource,
  bindings: {
    activations: "read",
    inactive: "read",
    start: "read",
    ties_before: "read",
    selection: "write",
    row_start: "write",
    index: "write",
    value: "write",
  },
  params: { tokens: "u32", features: "u32", min_inactive: "u32" },
  constants: { LANES: 8, SEGMENTS: ROW_SEGMENTS },
  shapes: ({ tokens, features }, { SEGMENTS }) => ({
    activations: [features, tokens],
    inactive: [features],
    start: [tokens * SEGMENTS + 1],
    ties_before: [tokens, SEGMENTS],
    selection: [SELECTION_SIZE],
    row_start: [tokens + 1],
    index: [1],
    value: [1],
  }),
  workgroups: ({ tokens }, { LANES, SEGMENTS }) => [Math.ceil(tokens / LANES), SEGMENTS, 1],
});

/** Counts the tokens that keep each feature. */
export const columnCount = defineKernel({
  name: "column_count",
  source: columnCountSource + isKeptSource + isPositiveSource,
  bindings: { activations: "read", inactive: "read", selection: "read", count: "write" },
  params: { tokens: "u32", features: "u32", min_inactive: "u32" },
  constants: { LANES: 8 },
  shapes: ({ tokens, features }) => ({
    activations: [features, tokens],
    inactive: [features],
    selection: [SELECTION_SIZE],
    count: [features],
  }),
  workgroups: ({ features }, { LANES }) => [Math.ceil(features / LANES), 1, 1],
});

/** Writes the kept entries feature by feature, tokens ascending. */
export const columnWrite = defineKernel({
  name: "column_write",
  source: columnWriteSource + isKeptSource + isPositiveSource,
  bindings: {
    activations: "read",
    inactive: "read",
    selection: "read",
    start: "read",
    token: "write",
    value: "write",
  },
  params: { tokens: "u32", features: "u32", min_inactive: "u32", first: "u32" },
  constants: { LANES: 8 },
  shapes: ({ tokens, features, first }) => ({
    activations: [features, tokens],
    inactive: [features],
    selection: [SELECTION_SIZE],
    start: [first + features + 1],
    token: [1],
    value: [1],
  }),
  workgroups: ({ features }, { LANES }) => [Math.ceil(features / LANES), 1, 1],
});

/** Keeps the `wanted` largest activations of each token, as sparsify's transcoders do, and puts 0 in the place of the others. */
export const tokenTopK = defineKernel({
  name: "token_top_k",
  source: tokenTopKSource + isPositiveSource,
  bindings: { activations: "write" },
  params: { tokens: "u32", features: "u32", wanted: "u32" },
  constants: { LANES: 8 },
  shapes: ({ tokens, features }) => ({ activations: [features, tokens] }),
  workgroups: ({ tokens }, { LANES }) => [Math.ceil(tokens / LANES), 1, 1],
});
