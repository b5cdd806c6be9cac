/**
 * One training step of a Matryoshka transcoder in plain float64 loops, to be checked by eye against shared/design/method.md,
 * "Transcoder": dense, one loop per sum, no suffix sums or sparse lists on the way to a gradient. Every intermediate is returned.
 *
 * b token of B, i feature of F, p prefix of P, c column of x (d_in) or of y (d_out = D). Matrices are arrays of rows.
 * @module
 */

import type { Recipe } from "../../core/runs/settings.ts";
import { learningRate } from "../../core/training/recipe.ts";
import { prefixEnds } from "../../core/transcoder/shape.ts";
import { keepLargest, type Mask } from "./top_k.ts";

/** Rows of numbers. */
export type Matrix = number[][];

/** A number for each parameter: the weights themselves, their gradients, or one of Adam's running means. */
export interface Weights {
  /** [F][d_in] */
  encoder: Matrix;
  /** [F] */
  encoderBias: number[];
  /** [F][d_out] */
  decoder: Matrix;
  /** [d_out] */
  decoderBias: number[];
  /** [d_in][d_out]; no rows without a skip connection. */
  skip: Matrix;
}

/** What a step changes. */
export interface OracleState {
  weights: Weights;
  /** Adam's running mean of the gradients. */
  mean: Weights;
  /** Adam's running mean of the squared gradients. */
  square: Weights;
  /** [F] tokens since each feature was last kept. */
  inactive: number[];
  /** The running inference threshold; null before the first step. */
  threshold: number | null;
}

/** The settings that the loss depends on. */
export type LossSettings = Pick<Recipe, "groups" | "aux_weight" | "whole_weight">;

/** The forward pass for one selection. */
export interface Forward {
  /** a [B][F] */
  activations: Matrix;
  /** f [B][F]: a where kept, else 0. */
  features: Matrix;
  /** y_p [P][B][D] */
  reconstructions: Matrix[];
  /** [P]: the mean over tokens and dimensions of (y_p - y)^2. */
  errors: number[];
  /** [B][F]: a where the auxiliary selection kept it, else 0. */
  auxFeatures: Matrix;
  /** [B][D] */
  auxReconstruction: Matrix;
  /** y - y_P [B][D], or what stood in for it. */
  auxTarget: Matrix;
  /** The weighted auxiliary loss; 0 when nothing was kept for it. */
  auxLoss: number;
  /** The errors' mean, weighted with {@link prefixWeights}, + auxLoss */
  loss: number;
}

/** The gradient of the loss, and on the way to it that of the activations. */
export interface Backward {
  /** dloss/df [B][F] of the main loss. */
  slope: Matrix;
  /** dloss/df [B][F] of the auxiliary loss. */
  auxSlope: Matrix;
  gradient: Weights;
}

/** Everything one step computes. */
export interface OracleStep {
  kept: Mask;
  auxKept: Mask;
  forward: Forward;
  /** [P][B][D]: sum over q >= p of (y_q - y), each weighted as a multiple of the last one's weight. */
  residualSuffixSums: Matrix[];
  backward: Backward;
  /** The decoder's gradient less its part along the decoder row [F][D]. */
  projected: Matrix;
  /** Mean over tokens and dimensions of (y - column mean)^2. */
  variance: number;
  /** The state after the step. */
  next: OracleState;
}

/** [P]: what each prefix's error counts in the loss; 1 all together. */
function prefixWeights({ groups, whole_weight }: LossSettings): number[] {
  return groups.map((_, p) => (p + 1 === groups.length ? whole_weight : 1) / (groups.length - 1 + whole_weight));
}

const zeros = (rows: number, columns: number): Matrix => Array.from({ length: rows }, () => Array(columns).fill(0));

/** a = relu(x W_enc + b_enc) */
export function encode(weights: Weights, x: Matrix): Matrix {
  return x.map((row) =>
    weights.encoder.map((w, i) => {
      let sum = weights.encoderBias[i];
      for (let c = 0; c < w.length; c++) sum += row[c] * w[c];
      return Math.max(sum, 0);
    })
  );
}

/**
 * The loss for a selection that is given, and everything before it.
 *
 * @param detached What the dead features are to reconstruct; y - y_P when not given. Finite differences hold it fixed.
 */
export function forward(
  recipe: LossSettings,
  weights: Weights,
  x: Matrix,
  y: Matrix,
  kept: Mask,
  auxKept: Mask,
  detached?: Matrix,
): Forward {
  const ends = prefixEnds(recipe.groups), B = y.length, D = y[0].length;
  const activations = encode(weights, x);
  const features = activations.map((row, b) => row.map((a, i) => kept[b][i] ? a : 0));
  const auxFeatures = activations.map((row, b) => row.map((a, i) => auxKept[b][i] ? a : 0));

  const skipped = x.map((row) =>
    weights.decoderBias.map((_, c) => weights.skip.reduce((sum, column, j) => sum + row[j] * column[c], 0))
  );
  const reconstructions = ends.map((end) =>
    features.map((f, b) =>
      decode(f, weights.decoder, weights.decoderBias, end).map((value, c) => value + skipped[b][c])
    )
  );
  const errors = reconstructions.map((y_p) => meanSquare(y_p, y));
  const y_P = reconstructions[ends.length - 1];

  const auxTarget = detached ?? y.map((row, b) => row.map((value, c) => value - y_P[b][c]));
  const auxReconstruction = auxFeatures.map((f) => decode(f, weights.decoder, Array(D).fill(0), f.length));
  const isAuxActive = auxKept.some((row) => row.includes(true));
  const auxLoss = isAuxActive ? recipe.aux_weight * meanSquare(auxReconstruction, auxTarget) : 0;

  let loss = auxLoss;
  for (const [p, weight] of prefixWeights(recipe).entries()) loss += weight * errors[p];
  return { activations, features, reconstructions, errors, auxFeatures, auxReconstruction, auxTarget, auxLoss, loss };

  function meanSquare(actual: Matrix, wanted: Matrix): number {
    let sum = 0;
    for (let b = 0; b < B; b++) for (let c = 0; c < D; c++) sum += (actual[b][c] - wanted[b][c]) ** 2;
    return sum / (B * D);
  }
}

/** bias + sum over i < end of f_i W_dec[i] */
function decode(f: number[], decoder: Matrix, bias: number[], end: number): number[] {
  return bias.map((start, c) => {
    let sum = start;
    for (let i = 0; i < end; i++) sum += f[i] * decoder[i][c];
    return sum;
  });
}

/** The gradient of `forward`'s loss with the selection and the auxiliary target held fixed. */
export function backward(
  recipe: LossSettings,
  weights: Weights,
  x: Matrix,
  y: Matrix,
  kept: Mask,
  auxKept: Mask,
  values: Forward,
): Backward {
  const ends = prefixEnds(recipe.groups), P = ends.length, share = prefixWeights(recipe);
  const B = y.length, D = y[0].length, F = weights.decoder.length, d_in = x[0].length;
  const slope = zeros(B, F), auxSlope = zeros(B, F);
  const gradient: Weights = {
    encoder: zeros(F, d_in),
    encoderBias: Array(F).fill(0),
    decoder: zeros(F, D),
    decoderBias: Array(D).fill(0),
    skip: weights.skip.map((row) => row.map(() => 0)),
  };
  for (let p = 0; p < P; p++) {
    for (let b = 0; b < B; b++) {
      for (let c = 0; c < D; c++) {
        const r = 2 * share[p] * (values.reconstructions[p][b][c] - y[b][c]) / (B * D);
        gradient.decoderBias[c] += r;
        for (let j = 0; j < weights.skip.length; j++) gradient.skip[j][c] += x[b][j] * r;
        for (let i = 0; i < ends[p]; i++) {
          gradient.decoder[i][c] += values.features[b][i] * r;
          slope[b][i] += r * weights.decoder[i][c];
        }
      }
    }
  }
  for (let b = 0; b < B; b++) {
    for (let c = 0; c < D; c++) {
      const r = 2 * recipe.aux_weight * (values.auxReconstruction[b][c] - values.auxTarget[b][c]) / (B * D);
      for (let i = 0; i < F; i++) {
        gradient.decoder[i][c] += values.auxFeatures[b][i] * r;
        auxSlope[b][i] += r * weights.decoder[i][c];
      }
    }
  }
  for (let b = 0; b < B; b++) {
    for (let i = 0; i < F; i++) {
      const total = (kept[b][i] ? slope[b][i] : 0) + (auxKept[b][i] ? auxSlope[b][i] : 0);
      gradient.encoderBias[i] += total;
      for (let c = 0; c < d_in; c++) gradient.encoder[i][c] += total * x[b][c];
    }
  }
  return { slope, auxSlope, gradient };
}

/**
 * The whole step.
 *
 * @param step Counted from 1.
 */
export function transcoderStep(recipe: Recipe, state: OracleState, x: Matrix, y: Matrix, step: number): OracleStep {
  const { weights, inactive } = state, B = y.length, F = inactive.length;
  const activations = encode(weights, x);
  const kept = keepLargest(activations, recipe.k * B, inactive.map(() => true));
  const isDead = inactive.map((tokens) => tokens >= recipe.dead_after_tokens);
  const auxKept = keepLargest(activations, Math.min(recipe.aux_k, F) * B, isDead);

  const values = forward(recipe, weights, x, y, kept, auxKept);
  const slopes = backward(recipe, weights, x, y, kept, auxKept, values);
  const { gradient } = slopes;
  const projected = gradient.decoder.map((g, i) => {
    const along = dot(g, weights.decoder[i]);
    return g.map((value, c) => value - along * weights.decoder[i][c]);
  });

  const next = adam(recipe, state, { ...gradient, decoder: projected }, step);
  next.weights.decoder = next.weights.decoder.map((row) => row.map((value) => value / Math.sqrt(dot(row, row))));
  next.weights.encoderBias = next.weights.encoderBias.map((bias, i) => {
    const isSilent = !kept.some((row) => row[i]) && !auxKept.some((row) => row[i]);
    const rise = recipe.revival_rate * recipe.encoder_bias_rate * learningRate(recipe, step);
    return isDead[i] && isSilent ? bias + rise : bias;
  });
  next.inactive = inactive.map((tokens, i) => kept.some((row) => row[i]) ? 0 : tokens + B);
  const keptValues = values.features.flat().filter((_, n) => kept.flat()[n]);
  if (keptValues.length > 0) {
    const smallest = Math.min(...keptValues), before = state.threshold ?? smallest;
    next.threshold = before + recipe.threshold_rate * (smallest - before);
  }
  const share = prefixWeights(recipe);
  const residualSuffixSums = values.reconstructions.map((_, p) =>
    y.map((row, b) =>
      row.map((value, c) => {
        let sum = 0;
        for (let q = p; q < share.length; q++) {
          sum += share[q] / share.at(-1)! * (values.reconstructions[q][b][c] - value);
        }
        return sum;
      })
    )
  );
  return {
    kept,
    auxKept,
    forward: values,
    residualSuffixSums,
    backward: slopes,
    projected,
    variance: variance(y),
    next,
  };
}

/** Adam as Kingma and Ba wrote it, on every number of every parameter. */
function adam(recipe: Recipe, { weights, mean, square, ...rest }: OracleState, gradient: Weights, step: number) {
  const { beta1, beta2, epsilon } = recipe, rate = learningRate(recipe, step);
  const each = (rule: (w: number, g: number, m: number, v: number, rate: number) => number): Weights => {
    const row = (w: number[], g: number[], m: number[], v: number[], times = 1) =>
      w.map((_, c) => rule(w[c], g[c], m[c], v[c], times * rate));
    const matrix = (key: "encoder" | "decoder" | "skip") =>
      weights[key].map((_, i) => row(weights[key][i], gradient[key][i], mean[key][i], square[key][i]));
    const vector = (key: "encoderBias" | "decoderBias", times?: number) =>
      row(weights[key], gradient[key], mean[key], square[key], times);
    return {
      encoder: matrix("encoder"),
      encoderBias: vector("encoderBias", recipe.encoder_bias_rate),
      decoder: matrix("decoder"),
      decoderBias: vector("decoderBias"),
      skip: matrix("skip"),
    };
  };
  const newMean = (g: number, m: number) => beta1 * m + (1 - beta1) * g;
  const newSquare = (g: number, v: number) => beta2 * v + (1 - beta2) * g * g;
  return {
    ...rest,
    mean: each((_, g, m) => newMean(g, m)),
    square: each((_, g, _m, v) => newSquare(g, v)),
    weights: each((w, g, m, v, rate) => {
      const m_hat = newMean(g, m) / (1 - beta1 ** step), v_hat = newSquare(g, v) / (1 - beta2 ** step);
      return w - rate * m_hat / (Math.sqrt(v_hat) + epsilon);
    }),
  };
}

function dot(a: number[], b: number[]): number {
  let sum = 0;
  for (let c = 0; c < a.length; c++) sum += a[c] * b[c];
  return sum;
}

/** Mean over rows and columns of (y - column mean)^2. */
function variance(y: Matrix): number {
  const B = y.length, D = y[0].length;
  let total = 0;
  for (let c = 0; c < D; c++) {
    let mean = 0;
    for (let b = 0; b < B; b++) mean += y[b][c] / B;
    for (let b = 0; b < B; b++) total += (y[b][c] - mean) ** 2;
  }
  return total / (B * D);
}
