/**
 * The kernels of one training step, apart from the encoder's matrix product and the selection: gather, decode, the three
 * optimiser steps and the bookkeeping.
 * @module
 */

import adamSource from "./adam.wgsl" with { type: "text" };
import columnMomentsSource from "./column_moments.wgsl" with { type: "text" };
import decodeSource from "./decode.wgsl" with { type: "text" };
import decoderBiasStepSource from "./decoder_bias_step.wgsl" with { type: "text" };
import decoderStepSource from "./decoder_step.wgsl" with { type: "text" };
import encoderStepSource from "./encoder_step.wgsl" with { type: "text" };
import gatherRowsSource from "./gather_rows.wgsl" with { type: "text" };
import reduceSource from "../shared/reduce.wgsl" with { type: "text" };
import stepMetricsSource from "./step_metrics.wgsl" with { type: "text" };
import trackThresholdSource from "./track_threshold.wgsl" with { type: "text" };
import { defineKernel, linearGrid } from "../kernel.ts";
import { SELECTION_SIZE } from "./selection.ts";

/** The uniform members that every optimiser step shares. */
const ADAM = { beta1: "f32", beta2: "f32", epsilon: "f32", step_size: "f32", correction: "f32" } as const;

/** The columns of a metrics row beside one error per prefix: loss, aux loss, variance, kept, dead, threshold. */
export const METRICS_EXTRA = 6;

/** y = scale * the rows of x named by order[first ..]. */
export const gatherRows = defineKernel({
  name: "gather_rows",
  source: gatherRowsSource,
  bindings: { x: "read", order: "read", y: "write" },
  params: { rows: "u32", width: "u32", first: "u32", scale: "f32" },
  constants: {},
  shapes: ({ rows, width, first }) => ({ x: [1, width], order: [first + rows], y: [rows, width] }),
  workgroups: ({ rows, width }) => linearGrid(rows * width, 64),
});

/** Mean and summed squared deviation of each column. */
export const columnMoments = defineKernel({
  name: "column_moments",
  source: columnMomentsSource,
  bindings: { x: "read", moments: "write" },
  params: { rows: "u32", width: "u32", slot: "u32" },
  constants: {},
  shapes: ({ rows, width, slot }) => ({ x: [rows, width], moments: [slot + 1, 2, width] }),
  workgroups: ({ width }) => [Math.ceil(width / 64), 1, 1],
});

/** Nested reconstructions, the suffix sums of their residuals, and the squared residual norms. */
export const decode = defineKernel({
  name: "decode",
  source: decodeSource + reduceSource,
  bindings: {
    row_start: "read",
    index: "read",
    value: "read",
    decoder: "read",
    bias: "read",
    target_y: "read",
    prefix_ends: "read",
    residual: "write",
    squares: "write",
  },
  params: {
    tokens: "u32",
    width: "u32",
    features: "u32",
    prefixes: "u32",
    target_first: "u32",
    target_weight: "f32",
    bias_weight: "f32",
  },
  constants: { LANES: 64 },
  shapes: ({ tokens, width, features, prefixes, target_first }) => ({
    row_start: [tokens + 1],
    index: [1],
    value: [1],
    decoder: [features, width],
    bias: [width],
    target_y: [target_first + tokens * width],
    prefix_ends: [prefixes],
    residual: [prefixes, tokens, width],
    squares: [tokens, prefixes],
  }),
  workgroups: ({ tokens }) => linearGrid(tokens, 1),
});

/** Gradient, projection, Adam and normalisation of one group's decoder rows, and the slopes of their activations. */
export const decoderStep = defineKernel({
  name: "decoder_step",
  source: decoderStepSource + reduceSource + adamSource,
  bindings: {
    start: "read",
    token: "read",
    value: "read",
    residual: "read",
    aux_start: "read",
    aux_token: "read",
    aux_value: "read",
    aux_residual: "read",
    decoder: "write",
    mean: "write",
    square: "write",
    slope: "write",
    aux_slope: "write",
  },
  params: {
    tokens: "u32",
    first_feature: "u32",
    features: "u32",
    group: "u32",
    scale: "f32",
    aux_scale: "f32",
    ...ADAM,
  },
  constants: { LANES: 64, WIDTH: 128 },
  shapes: ({ tokens, first_feature, features, group }, { WIDTH }) => ({
    start: [first_feature + features + 1],
    token: [1],
    value: [1],
    residual: [group + 1, tokens, WIDTH],
    aux_start: [first_feature + features + 1],
    aux_token: [1],
    aux_value: [1],
    aux_residual: [tokens, WIDTH],
    decoder: [first_feature + features, WIDTH],
    mean: [first_feature + features, WIDTH],
    square: [first_feature + features, WIDTH],
    slope: [1],
    aux_slope: [1],
  }),
  workgroups: ({ features }) => linearGrid(features, 1),
});

/** Gradient and Adam of the encoder rows and biases; counts the tokens since each feature last fired. */
export const encoderStep = defineKernel({
  name: "encoder_step",
  source: encoderStepSource + adamSource,
  bindings: {
    start: "read",
    token: "read",
    slope: "read",
    aux_start: "read",
    aux_token: "read",
    aux_slope: "read",
    x: "read",
    encoder: "write",
    mean: "write",
    square: "write",
    bias: "write",
    inactive: "write",
  },
  params: { tokens: "u32", features: "u32", width: "u32", ...ADAM },
  constants: { LANES: 64 },
  shapes: ({ tokens, features, width }) => ({
    start: [features + 1],
    token: [1],
    slope: [1],
    aux_start: [features + 1],
    aux_token: [1],
    aux_slope: [1],
    x: [tokens, width],
    encoder: [features, width],
    mean: [features, width],
    square: [features, width],
    bias: [3, features],
    inactive: [features],
  }),
  workgroups: ({ features }) => linearGrid(features, 1),
});

/** Gradient and Adam of the decoder bias. */
export const decoderBiasStep = defineKernel({
  name: "decoder_bias_step",
  source: decoderBiasStepSource + adamSource,
  bindings: { residual: "read", bias: "write" },
  params: { tokens: "u32", width: "u32", scale: "f32", ...ADAM },
  constants: {},
  shapes: ({ tokens, width }) => ({ residual: [tokens, width], bias: [3, width] }),
  workgroups: ({ width }) => [Math.ceil(width / 8), 1, 1],
});

/** Running mean of the smallest kept activation. */
export const trackThreshold = defineKernel({
  name: "track_threshold",
  source: trackThresholdSource,
  bindings: { selection: "read", state: "write" },
  params: { rate: "f32" },
  constants: {},
  shapes: () => ({ selection: [SELECTION_SIZE], state: [2] }),
  workgroups: () => [1, 1, 1],
});

/** One row of the metrics ring. */
export const stepMetrics = defineKernel({
  name: "step_metrics",
  source: stepMetricsSource + reduceSource,
  bindings: {
    squares: "read",
    aux_squares: "read",
    moments: "read",
    selection: "read",
    aux_selection: "read",
    inactive: "read",
    state: "read",
    ring: "write",
  },
  params: {
    tokens: "u32",
    width: "u32",
    features: "u32",
    prefixes: "u32",
    slot: "u32",
    dead_after: "u32",
    aux_weight: "f32",
  },
  constants: { LANES: 64 },
  shapes: ({ tokens, width, features, prefixes, slot }) => ({
    squares: [tokens, prefixes],
    aux_squares: [tokens],
    moments: [2, width],
    selection: [SELECTION_SIZE],
    aux_selection: [SELECTION_SIZE],
    inactive: [features],
    state: [2],
    ring: [slot + 1, prefixes + METRICS_EXTRA],
  }),
  workgroups: () => [1, 1, 1],
});
