/**
 * The kernels of one training step, apart from the gathering of its batch, the encoder's matrix product and the selection: decode,
 * the three optimiser steps and the bookkeeping. One file declares the family, each kernel's text is a file of its own beside it.
 * @module
 */

import adamSource from "./adam.wgsl" with { type: "text" };
import columnMomentsSource from "./column_moments.wgsl" with { type: "text" };
import decodeSource from "./decode.wgsl" with { type: "text" };
import decoderBiasStepSource from "./decoder_bias_step.wgsl" with { type: "text" };
import decoderStepSource from "./decoder_step.wgsl" with { type: "text" };
import encoderStepSource from "./encoder_step.wgsl" with { type: "text" };
import quadsSource from "./quads.wgsl" with { type: "text" };
import raiseDeadSource from "./raise_dead.wgsl" with { type: "text" };
import reduceSource from "../shared/reduce.wgsl" with { type: "text" };
import stepMetricsSource from "./step_metrics.wgsl" with { type: "text" };
import trackInactiveSource from "./track_inactive.wgsl" with { type: "text" };
import trackThresholdSource from "./track_threshold.wgsl" with { type: "text" };
import { defineKernel, linearGrid } from "../kernel.ts";
import { quadsOf } from "../shared/rows.ts";
import { SELECTION_SIZE } from "./selection.ts";

/** The uniform members that every optimiser step shares. */
export const ADAM = { beta1: "f32", beta2: "f32", epsilon: "f32", step_size: "f32", correction: "f32" } as const;

/** The columns of a metrics row beside one error per prefix: loss, aux loss, variance, kept, dead, threshold. */
export const METRICS_EXTRA = 6;

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

/** The most Matryoshka groups: each prefix end is an override of `decode`. */
export const MOST_GROUPS = 8;

/** The prefix ends as the overrides that `decode` has for them. */
type PrefixConstants = Record<`END_${0 | 1 | 2 | 3 | 4 | 5 | 6 | 7}`, number>;

/**
 * Names prefix ends as `decode` wants them.
 *
 * @param ends At most {@link MOST_GROUPS} prefix ends, ascending.
 * @returns END_0 .. END_7; those beyond the last prefix are 0.
 */
export function prefixConstants(ends: readonly number[]): PrefixConstants {
  if (ends.length > MOST_GROUPS) throw new RangeError(`Cannot decode ${ends.length} prefixes: at most ${MOST_GROUPS}`);
  const [END_0 = 0, END_1 = 0, END_2 = 0, END_3 = 0, END_4 = 0, END_5 = 0, END_6 = 0, END_7 = 0] = ends;
  return { END_0, END_1, END_2, END_3, END_4, END_5, END_6, END_7 };
}

/** Nested reconstructions, the weighted suffix sums of their residuals, and the squared residual norms. */
export const decode = defineKernel({
  name: "decode",
  source: decodeSource + quadsSource + reduceSource,
  bindings: {
    row_start: "read",
    index: "read",
    value: "read",
    decoder: "read",
    bias: "read",
    target_y: "read",
    residual: "write",
    squares: "write",
  },
  params: {
    tokens: "u32",
    width: "u32",
    features: "u32",
    prefixes: "u32",
    residual_first: "u32",
    target_weight: "f32",
    bias_weight: "f32",
    inner_weight: "f32",
  },
  constants: { LANES: 64, ...prefixConstants([]) },
  shapes: ({ tokens, width, features, prefixes, residual_first }) => ({
    row_start: [tokens + 1],
    index: [1],
    value: [1],
    decoder: [features, width],
    bias: [width],
    target_y: [tokens, width],
    residual: [residual_first + prefixes * tokens * 4 * quadsOf(width)],
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
    decoder: "write",
    mean: "write",
    square: "write",
    slope: "write",
  },
  params: {
    tokens: "u32",
    first_feature: "u32",
    features: "u32",
    all_features: "u32",
    group: "u32",
    prefixes: "u32",
    scale: "f32",
    aux_scale: "f32",
    ...ADAM,
  },
  constants: { LANES: 64, QUADS: 32, PART: 32 },
  shapes: ({ tokens, all_features, prefixes }, { QUADS }) => ({
    start: [2, all_features + 1],
    token: [1],
    value: [1],
    residual: [prefixes + 1, tokens, 4 * QUADS],
    decoder: [all_features, 4 * QUADS],
    mean: [all_features, 4 * QUADS],
    square: [all_features, 4 * QUADS],
    slope: [1],
  }),
  workgroups: ({ features }) => linearGrid(features, 1),
});

/** Gradient and Adam of the encoder rows and biases. */
export const encoderStep = defineKernel({
  name: "encoder_step",
  source: encoderStepSource + quadsSource + adamSource,
  bindings: {
    start: "read",
    token: "read",
    slope: "read",
    x: "read",
    encoder: "write",
    mean: "write",
    square: "write",
    bias: "write",
  },
  params: { tokens: "u32", features: "u32", width: "u32", ...ADAM, bias_step_size: "f32" },
  constants: { LANES: 64 },
  shapes: ({ tokens, features, width }) => ({
    start: [2, features + 1],
    token: [1],
    slope: [1],
    x: [tokens, 4 * quadsOf(width)],
    encoder: [features, width],
    mean: [features, width],
    square: [features, width],
    bias: [3, features],
  }),
  workgroups: ({ features }) => linearGrid(features, 1),
});

/** Raises the biases of dead features that nothing activates. */
export const raiseDead = defineKernel({
  name: "raise_dead",
  source: raiseDeadSource,
  bindings: { start: "read", inactive: "read", bias: "write" },
  params: { features: "u32", dead_after: "u32", rise: "f32" },
  constants: {},
  shapes: ({ features }) => ({ start: [2, features + 1], inactive: [features], bias: [3, features] }),
  workgroups: ({ features }) => [Math.ceil(features / 64), 1, 1],
});

/** Tokens since each feature was last kept. */
export const trackInactive = defineKernel({
  name: "track_inactive",
  source: trackInactiveSource,
  bindings: { start: "read", inactive: "write" },
  params: { tokens: "u32", features: "u32" },
  constants: {},
  shapes: ({ features }) => ({ start: [features + 1], inactive: [features] }),
  workgroups: ({ features }) => [Math.ceil(features / 64), 1, 1],
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
    whole_weight: "f32",
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
