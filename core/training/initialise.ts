/**
 * What a run starts from: the scales of its activations and the first weights, measured on the first buffer.
 * @module
 */

import { matmul, paddedColumns } from "../../wgsl/shared/matmul.ts";
import { transpose } from "../../wgsl/shared/transpose.ts";
import { columnMoments } from "../../wgsl/transcoder/step.ts";
import { createTensor, downloadF32, type Gpu, tensorFrom } from "../gpu/device.ts";
import { type ProductSize, tileFor } from "../gpu/products.ts";
import { openScope } from "../gpu/scope.ts";
import { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { randomGenerator } from "../random.ts";
import { featureCount, type TranscoderShape } from "../transcoder/shape.ts";
import { recordGather, type RowBlocks } from "../gpu/row_blocks.ts";
import type { TranscoderWeights } from "../transcoder/weights.ts";

/** The stream of random numbers that the first weights come from. */
const WEIGHT_STREAM = 0x77656967;

/** Statistics of activations, per dimension and overall. */
export interface ActivationStatistics {
  /** [width] mean of each dimension. */
  readonly mean: Float64Array;
  /** The factor that makes the mean squared norm equal the width. */
  readonly scale: number;
}

/**
 * Measures activations over the first rows of a buffer's order.
 *
 * @param gpu The device.
 * @param activations [capacity, width] raw activations.
 * @param order Row numbers.
 * @param rows How many of them to take.
 * @param width Width of the activations.
 * @param atOnce The most rows per dispatch; what `rows` exceeds a multiple of it is left out.
 * @returns Mean and scale, combined in float64.
 */
export async function measureActivations(
  gpu: Gpu,
  activations: RowBlocks,
  order: Tensor,
  rows: number,
  width: number,
  atOnce: number,
): Promise<ActivationStatistics> {
  const batch = Math.min(rows, atOnce), slots = Math.floor(rows / batch);
  using scratch = openScope(gpu);
  const gathered = createTensor(scratch, "measured rows", [batch, width]);
  const moments = createTensor(scratch, "measured moments", [slots, 2, width]);
  const pass = new Pass(gpu);
  for (let slot = 0; slot < slots; slot++) {
    recordGather(pass, activations, order, gathered, { rows: batch, width, first: slot * batch, scale: 1 });
    pass.run(columnMoments, { x: gathered, moments }, { rows: batch, width, slot });
  }
  pass.submit();
  const measured = await downloadF32(gpu, moments);
  const mean = new Float64Array(width);
  let meanSquare = 0;
  for (let slot = 0; slot < slots; slot++) {
    for (let c = 0; c < width; c++) {
      const slotMean = measured[slot * 2 * width + c], squares = measured[(slot * 2 + 1) * width + c];
      mean[c] += slotMean / slots;
      meanSquare += (squares / batch + slotMean ** 2) / slots;
    }
  }
  return { mean, scale: Math.sqrt(width / meanSquare) };
}

/** Length of the encoder's rows at the start; bench/training.md has what other lengths gave. */
const ENCODER_SCALE = 0.3;
/** Rows over which the covariance is taken: enough for a direction to start from. */
const COVARIANCE_ROWS = 8192;

/**
 * How many rows of a buffer {@link secondMoments} looks at.
 *
 * @param order Row numbers of the buffer.
 * @returns All of them, or as many as are enough.
 */
export function covarianceRows(order: Tensor): number {
  return Math.min(order.shape[0], COVARIANCE_ROWS);
}

/** Activations at one end of a transcoder, in a filled buffer. */
export interface MeasuredActivations extends ActivationStatistics {
  /** [capacity, width] raw activations. */
  readonly activations: RowBlocks;
}

/**
 * The first weights in scaled space: encoder rows in random directions w, each decoder row the direction in which the target moves
 * along with them, Cov(target, source) w, of unit norm; no encoder bias, and the target's mean as decoder bias.
 *
 * For a transcoder this is what starting from transposed weights is for an autoencoder: a feature at first writes what goes
 * with what it reads.
 *
 * @param gpu The device.
 * @param shape The transcoder's sizes.
 * @param seed The run's seed.
 * @param order Row numbers of the buffer, shuffled.
 * @param source What the transcoder reads.
 * @param target What it is to predict.
 * @returns The weights.
 */
export async function initialWeights(
  gpu: Gpu,
  shape: TranscoderShape,
  seed: number,
  order: Tensor,
  source: MeasuredActivations,
  target: MeasuredActivations,
): Promise<TranscoderWeights> {
  const features = featureCount(shape.groups), { d_in, d_out } = shape;
  const directions = Float32Array.from({ length: features * d_in }, gaussians(seed));
  normaliseRows(directions, d_in);
  const rows = covarianceRows(order);
  const decoder = await secondMoments(gpu, shape, directions, order, rows, source.activations, target.activations);
  // Cov = E[y x^T] - E[y] E[x]^T, and the product over `rows` rows is rows times the first term applied to each direction.
  for (let i = 0; i < features; i++) {
    let along = 0;
    for (let c = 0; c < d_in; c++) along += directions[i * d_in + c] * source.mean[c];
    for (let c = 0; c < d_out; c++) decoder[i * d_out + c] -= rows * along * target.mean[c];
  }
  normaliseRows(decoder, d_out);
  return {
    encoder: directions.map((weight) => weight * ENCODER_SCALE),
    encoderBias: new Float32Array(features),
    decoder,
    decoderBias: Float32Array.from(target.mean, (mean) => mean * target.scale),
  };
}

/**
 * For each direction w the sum over rows of (w . x) y. Its scratch tensors, several times the size of the transcoder, are gone
 * when it is done.
 *
 * @param gpu The device.
 * @param shape The transcoder's sizes.
 * @param directions [features, d_in].
 * @param order Row numbers of the buffer, shuffled.
 * @param rows How many of them are looked at.
 * @param source Activations x.
 * @param target Activations y.
 * @returns [features, d_out].
 */
export async function secondMoments(
  gpu: Gpu,
  { d_in, d_out, groups }: TranscoderShape,
  directions: Float32Array,
  order: Tensor,
  rows: number,
  source: RowBlocks,
  target: RowBlocks,
): Promise<Float32Array<ArrayBuffer>> {
  const features = featureCount(groups), padded = paddedColumns(d_out);
  using scratch = openScope(gpu);
  const tensor = (label: string, ...shape: number[]) => createTensor(scratch, label, shape);
  const w = tensorFrom(scratch, "directions", [features, d_in], directions);
  const x = tensor("source rows", rows, d_in), xColumns = tensor("source columns", d_in, rows);
  const y = tensor("target rows", rows, d_out), yColumns = tensor("target columns", d_out, rows);
  const yPadded = tensor("target rows, padded", rows, padded), moment = tensor("second moment", d_in, padded);
  const moved = tensor("second moment by direction", features, d_out);
  const pass = new Pass(gpu);
  recordGather(pass, source, order, x, { rows, width: d_in, first: 0, scale: 1 });
  recordGather(pass, target, order, y, { rows, width: d_out, first: 0, scale: 1 });
  pass.run(transpose, { x, y: xColumns }, { rows, columns: d_in, padded_rows: rows });
  pass.run(transpose, { x: y, y: yColumns }, { rows, columns: d_out, padded_rows: rows });
  pass.run(transpose, { x: yColumns, y: yPadded }, { rows: d_out, columns: rows, padded_rows: padded });
  const product = (x: Tensor, weight: Tensor, y: Tensor, size: ProductSize) =>
    pass.run(matmul(tileFor(gpu, size), "f32", "none"), { x, weight, y }, size);
  product(xColumns, yPadded, moment, { rows: d_in, columns: padded, depth: rows });
  product(w, moment, moved, { rows: features, columns: d_out, depth: d_in });
  pass.submit();
  return await downloadF32(gpu, moved);
}

function gaussians(seed: number): () => number {
  const random = randomGenerator(seed, WEIGHT_STREAM);
  return () => random.gaussian();
}

/** Divides each row by its norm; a row of zeros, which has no direction, stays. */
function normaliseRows(matrix: Float32Array, width: number): void {
  for (let first = 0; first < matrix.length; first += width) {
    const row = matrix.subarray(first, first + width);
    const norm = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
    if (norm > 0) row.forEach((value, c) => row[c] = value / norm);
  }
}
