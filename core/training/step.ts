/**
 * One training step of a Matryoshka transcoder, recorded without waiting for the GPU. method.md, "Transcoder", is the source of
 * the formulas; tests/oracle/transcoder_step.ts is the same in plain float64 loops.
 * @module
 */

import { matmul, type MatmulBiasRelu, matmulBiasRelu, paddedColumns } from "../../wgsl/shared/matmul.ts";
import { transpose } from "../../wgsl/shared/transpose.ts";
import { skipRest, skipStep } from "../../wgsl/transcoder/skip.ts";
import {
  columnMoments,
  decode,
  decoderBiasStep,
  decoderStep,
  encoderStep,
  METRICS_EXTRA,
  prefixConstants,
  raiseDead,
  stepMetrics,
  trackInactive,
  trackThreshold,
} from "../../wgsl/transcoder/step.ts";
import { createTensor, type Gpu } from "../gpu/device.ts";
import { type ProductSize, tileFor } from "../gpu/products.ts";
import type { Pass } from "../gpu/run.ts";
import { ELEMENT_BYTES, type Tensor } from "../gpu/tensor.ts";
import type { Recipe } from "../runs/settings.ts";
import { learningRate, type Lineage } from "./recipe.ts";
import { featureCount, prefixEnds, type TranscoderShape } from "../transcoder/shape.ts";
import { type ColumnPlace, createColumns, type FeatureColumns, Selector } from "../transcoder/selection.ts";

/** A parameter with Adam's two running means, each of the parameter's shape. */
export interface Parameter {
  /** The parameter itself. */
  readonly weight: Tensor;
  /** Running mean of the gradient. */
  readonly mean: Tensor;
  /** Running mean of the squared gradient. */
  readonly square: Tensor;
}

/** Everything that changes from step to step: what a checkpoint holds. For prepared activations, not yet folded. */
export interface TrainingState {
  /** W_enc, feature-major: [features, d_in]. */
  readonly encoder: Parameter;
  /** W_dec: [features, d_out], rows of unit norm. */
  readonly decoder: Parameter;
  /** b_enc with Adam's means: [3, features]. */
  readonly encoderBias: Tensor;
  /** b_dec with Adam's means: [3, d_out]. */
  readonly decoderBias: Tensor;
  /** W_skip: [d_in, d_out]; null without a skip connection. */
  readonly skip: Parameter | null;
  /** [features] tokens since each feature was last kept. */
  readonly inactive: Tensor;
  /** [2]: the inference threshold, and 1 once it has started. */
  readonly threshold: Tensor;
}

/** What one logged step measured, on its training batch, as it is prepared. */
export interface StepMetrics {
  /** The weighted mean of the prefixes' mean squared errors, plus the auxiliary loss. */
  readonly loss: number;
  /** The weighted auxiliary loss; 0 when no dead feature was active. */
  readonly auxLoss: number;
  /** Fraction of variance unexplained by each prefix: its mean squared error over the batch's variance about its mean. */
  readonly fvu: readonly number[];
  /** Kept features per token. */
  readonly l0: number;
  /** Features without firing for dead_after_tokens. */
  readonly deadFeatures: number;
  /** The running inference threshold. */
  readonly threshold: number;
}

/** Where the main selection stands in the columns. */
const MAIN_PLACE: ColumnPlace = { selection: 0, base: 0 };

/** Rows the metrics ring can hold between two readings. */
export const METRICS_RING = 128;

/**
 * How `decoder_step` cuts a row: as few equal parts as fit into workgroup memory beside its two sums, which are shared by the lanes.
 *
 * @param width Columns of a row, a multiple of 4.
 * @param lanes Of a workgroup.
 * @param bytes Memory of a workgroup.
 * @returns The kernel's constants.
 */
export function decoderParts(width: number, lanes: number, bytes: number): { QUADS: number; PART: number } {
  const quads = width / 4, most = Math.floor((bytes / ELEMENT_BYTES - 5 * lanes) / 4 / lanes) * lanes;
  return { QUADS: quads, PART: quads <= most ? quads : lanes * Math.ceil(quads / Math.ceil(quads / most) / lanes) };
}

/** Records the steps of one transcoder; owns the scratch tensors. */
export class Stepper {
  /** The kept features of the last recorded step. */
  readonly selector: Selector;
  /** The same by feature, and behind them those that the dead features keep for the auxiliary loss. */
  readonly columns: FeatureColumns;
  /** [METRICS_RING, prefixes + METRICS_EXTRA]; see wgsl/transcoder/step_metrics.wgsl. */
  readonly ring: Tensor;
  readonly #recipe: Recipe & Lineage;
  readonly #shape: TranscoderShape;
  readonly #lanes: number;
  readonly #features: number;
  readonly #auxSelector: Selector;
  readonly #activations: Tensor;
  readonly #xTransposed: Tensor;
  readonly #product: MatmulBiasRelu;
  readonly #ends: ReturnType<typeof prefixConstants>;
  readonly #decoderParts: { readonly QUADS: number; readonly PART: number };
  readonly #auxPlace: ColumnPlace;
  /** [prefixes + 1, tokens, d_out]: weighted suffix sums over the prefixes, then the residual of the dead features. */
  readonly #residual: Tensor;
  readonly #auxTarget: Tensor;
  readonly #squares: Tensor;
  readonly #auxSquares: Tensor;
  readonly #slope: Tensor;
  readonly #moments: Tensor;
  /** What a skip connection leaves of the target, [tokens, d_out], and its gradient but for a factor, [d_in, d_out]; null without one. */
  readonly #skipped: { readonly rest: Tensor; readonly gradient: Tensor } | null;
  readonly #gpu: Gpu;

  /**
   * Allocates the scratch tensors.
   *
   * @param gpu The device.
   * @param recipe The run's settings.
   * @param shape The transcoder's sizes.
   * @param state What the steps change.
   */
  constructor(gpu: Gpu, recipe: Recipe & Lineage, shape: TranscoderShape, readonly state: TrainingState) {
    const features = featureCount(shape.groups), tokens = recipe.batch_tokens, prefixes = shape.groups.length;
    const tensor = (label: string, extents: number[]) => createTensor(gpu, label, extents);
    this.#gpu = gpu;
    this.#recipe = recipe;
    this.#shape = shape;
    this.#features = features;
    this.#lanes = gpu.isCpu ? 8 : 64;
    const kept = tokens * recipe.k, auxKept = tokens * Math.min(recipe.aux_k, features);
    this.selector = new Selector(gpu, "kept", tokens, features, kept);
    this.#auxSelector = new Selector(gpu, "dead kept", tokens, features, auxKept);
    this.columns = createColumns(gpu, features, [kept, auxKept]);
    this.#auxPlace = { selection: 1, base: kept };
    this.ring = tensor("metrics ring", [METRICS_RING, prefixes + METRICS_EXTRA]);
    this.#activations = tensor("activations", [features, tokens]);
    this.#xTransposed = tensor("x transposed", [shape.d_in, paddedColumns(tokens)]);
    this.#product = matmulBiasRelu(tileFor(gpu, { rows: features, columns: tokens, depth: shape.d_in }));
    this.#ends = prefixConstants(prefixEnds(shape.groups));
    this.#decoderParts = decoderParts(shape.d_out, this.#lanes, gpu.limits.maxComputeWorkgroupStorageSize);
    this.#residual = tensor("residual", [prefixes + 1, tokens, shape.d_out]);
    this.#auxTarget = tensor("aux target", [tokens, shape.d_out]);
    this.#squares = tensor("squared residuals", [tokens, prefixes]);
    this.#auxSquares = tensor("squared aux residuals", [tokens]);
    this.#slope = tensor("slope", [kept + auxKept]);
    this.#moments = tensor("target moments", [2, shape.d_out]);
    this.#skipped = state.skip && {
      rest: tensor("target less what is skipped", [tokens, shape.d_out]),
      gradient: tensor("gradient of W_skip", [shape.d_in, shape.d_out]),
    };
  }

  /**
   * Records one step.
   *
   * @param pass Where to record.
   * @param x [batch_tokens, d_in] source activations, prepared.
   * @param y [batch_tokens, d_out] target activations, prepared.
   * @param step The step's number, counted from 1.
   * @param slot The row of the metrics ring to fill, or null for a step that is not logged.
   */
  record(pass: Pass, x: Tensor, y: Tensor, step: number, slot: number | null): void {
    this.#encode(pass, x);
    this.#select(pass);
    this.#decode(pass, this.#recordSkip(pass, x, y));
    this.#update(pass, x, step);
    if (slot !== null) this.#measure(pass, y, slot);
  }

  /** activations = relu(W_enc x^T + b_enc), feature-major, so that neighbouring lanes are neighbouring tokens ever after. */
  #encode(pass: Pass, x: Tensor): void {
    const tokens = this.#recipe.batch_tokens, { d_in } = this.#shape;
    const padded = paddedColumns(tokens);
    pass.run(transpose, { x, y: this.#xTransposed }, { rows: tokens, columns: d_in, padded_rows: padded });
    const { encoder, encoderBias } = this.state;
    pass.run(
      this.#product,
      { x: encoder.weight, weight: this.#xTransposed, bias: encoderBias, y: this.#activations },
      { rows: this.#features, columns: tokens, depth: d_in },
    );
  }

  #select(pass: Pass): void {
    const { batch_tokens: tokens, k, aux_k, dead_after_tokens } = this.#recipe, { inactive } = this.state;
    const everyone = { inactive, minInactive: 0 }, dead = { inactive, minInactive: dead_after_tokens };
    this.selector.recordTopK(pass, this.#activations, tokens, tokens * k, everyone);
    this.selector.recordColumns(pass, this.#activations, tokens, everyone, this.columns, MAIN_PLACE);
    this.#auxSelector.recordTopK(pass, this.#activations, tokens, tokens * Math.min(aux_k, this.#features), dead);
    this.#auxSelector.recordColumns(pass, this.#activations, tokens, dead, this.columns, this.#auxPlace);
    const { threshold: state } = this.state;
    pass.run(trackThreshold, { selection: this.selector.selection, state }, { rate: this.#recipe.threshold_rate });
  }

  /** The target less x W_skip, which every prefix has: what is left for the features. The target itself without a skip connection. */
  #recordSkip(pass: Pass, x: Tensor, y: Tensor): Tensor {
    if (this.state.skip === null || this.#skipped === null) return y;
    const { d_in: depth, d_out: columns } = this.#shape,
      { batch_tokens: rows } = this.#recipe,
      { rest } = this.#skipped;
    this.#multiply(pass, x, this.state.skip.weight, rest, { rows, columns, depth });
    pass.run(skipRest, { target_y: y, rest }, { count: rows * columns });
    return rest;
  }

  #multiply(pass: Pass, x: Tensor, weight: Tensor, y: Tensor, size: ProductSize): void {
    pass.run(matmul(tileFor(this.#gpu, size), "f32", "none"), { x, weight, y }, size);
  }

  /** Residuals of the nested reconstructions, then of the dead features' reconstruction of the last one's residual. */
  #decode(pass: Pass, y: Tensor): void {
    const { batch_tokens: tokens, whole_weight } = this.#recipe, width = this.#shape.d_out, features = this.#features;
    const prefixes = this.#shape.groups.length;
    const { decoder, decoderBias } = this.state;
    const shared = { decoder: decoder.weight, bias: decoderBias, residual: this.#residual };
    const { rowStart, index, value } = this.selector.rows;
    pass.run(
      decode,
      { ...shared, row_start: rowStart, index, value, target_y: y, squares: this.#squares },
      {
        ...{ tokens, width, features, prefixes, residual_first: 0 },
        // The last slab must be y_P - y itself, so that the weight of the whole is left to the optimiser steps.
        ...{ target_weight: -1, bias_weight: 1, inner_weight: 1 / whole_weight },
      },
      { LANES: this.#lanes, ...this.#ends },
    );
    // The dead features see y - y_P as data: no gradient flows back through it. The last slab so far is y_P - y.
    const slab = tokens * width, aux = this.#auxSelector.rows;
    pass.copy(this.#residual, (prefixes - 1) * slab, this.#auxTarget, 0, slab);
    pass.run(
      decode,
      {
        ...shared,
        row_start: aux.rowStart,
        index: aux.index,
        value: aux.value,
        target_y: this.#auxTarget,
        squares: this.#auxSquares,
      },
      {
        ...{ tokens, width, features, prefixes: 1, residual_first: prefixes * slab },
        ...{ target_weight: 1, bias_weight: 0, inner_weight: 1 },
      },
      { LANES: this.#lanes, ...prefixConstants([features]) },
    );
  }

  #update(pass: Pass, x: Tensor, step: number): void {
    const { batch_tokens: tokens, epsilon, aux_weight, encoder_bias_rate, whole_weight, revival_rate } = this.#recipe,
      { d_in, d_out, groups } = this.#shape;
    // The kernels see the betas as float32: the bias corrections must be those of the same numbers.
    const beta1 = Math.fround(this.#recipe.beta1), beta2 = Math.fround(this.#recipe.beta2);
    const adam = {
      beta1,
      beta2,
      epsilon,
      step_size: learningRate(this.#recipe, step) / (1 - beta1 ** step),
      correction: 1 / Math.sqrt(1 - beta2 ** step),
    };
    const { encoder, decoder, encoderBias, decoderBias, inactive } = this.state;
    const scale = 2 * whole_weight / ((groups.length - 1 + whole_weight) * tokens * d_out);
    const aux_scale = 2 * aux_weight / (tokens * d_out);
    const { start, token, value } = this.columns, slope = this.#slope, prefixes = groups.length;
    let first_feature = 0;
    groups.forEach((features, group) => {
      const place = { tokens, first_feature, features, all_features: this.#features, group, prefixes };
      const { weight, mean, square } = decoder;
      pass.run(
        decoderStep,
        { start, token, value, residual: this.#residual, decoder: weight, mean, square, slope },
        { ...place, scale, aux_scale, ...adam },
        { LANES: this.#lanes, ...this.#decoderParts },
      );
      first_feature += features;
    });
    const { weight, mean, square } = encoder;
    pass.run(
      encoderStep,
      { start, token, slope, x, encoder: weight, mean, square, bias: encoderBias },
      { tokens, features: this.#features, width: d_in, ...adam, bias_step_size: adam.step_size * encoder_bias_rate },
      { LANES: this.#lanes },
    );
    // As far as a bias moves in a step at most, once Adam is under way.
    const rise = revival_rate * encoder_bias_rate * learningRate(this.#recipe, step);
    if (rise > 0) {
      const raised = { features: this.#features, dead_after: this.#recipe.dead_after_tokens, rise };
      pass.run(raiseDead, { start, inactive, bias: encoderBias }, raised);
    }
    pass.run(trackInactive, { start, inactive }, { tokens, features: this.#features });
    pass.run(decoderBiasStep, { residual: this.#residual, bias: decoderBias }, {
      tokens,
      width: d_out,
      scale,
      ...adam,
    });
    const { skip } = this.state;
    if (skip === null || this.#skipped === null) return;
    // The first slab sums the residuals of all prefixes. Tokens that fill up the transposed source are zeros, whatever stands in the slab
    // behind it.
    const { gradient: product } = this.#skipped, size = { rows: d_in, columns: d_out, depth: paddedColumns(tokens) };
    this.#multiply(pass, this.#xTransposed, this.#residual, product, size);
    pass.run(skipStep, { product, ...skip }, { count: d_in * d_out, scale, ...adam });
  }

  #measure(pass: Pass, y: Tensor, slot: number): void {
    const { batch_tokens: tokens, aux_weight, dead_after_tokens, whole_weight } = this.#recipe,
      width = this.#shape.d_out;
    pass.run(columnMoments, { x: y, moments: this.#moments }, { rows: tokens, width, slot: 0 });
    pass.run(
      stepMetrics,
      {
        squares: this.#squares,
        aux_squares: this.#auxSquares,
        moments: this.#moments,
        selection: this.selector.selection,
        aux_selection: this.#auxSelector.selection,
        inactive: this.state.inactive,
        state: this.state.threshold,
        ring: this.ring,
      },
      {
        tokens,
        width,
        features: this.#features,
        prefixes: this.#shape.groups.length,
        slot,
        dead_after: dead_after_tokens,
        aux_weight,
        whole_weight,
      },
      { LANES: this.#lanes },
    );
  }

  /**
   * Reads one row of the ring's downloaded bytes.
   *
   * @param ring The ring's elements.
   * @param slot The row.
   * @returns What that step measured.
   */
  metrics(ring: Float32Array, slot: number): StepMetrics {
    const prefixes = this.#shape.groups.length, width = prefixes + METRICS_EXTRA;
    const row = ring.subarray(slot * width, (slot + 1) * width);
    const [variance, kept, deadFeatures, threshold] = row.subarray(2 + prefixes);
    return {
      loss: row[0],
      auxLoss: row[1],
      fvu: Array.from(row.subarray(2, 2 + prefixes), (error) => error / variance),
      l0: kept / this.#recipe.batch_tokens,
      deadFeatures,
      threshold,
    };
  }
}
