/**
 * What a run starts from: how its activations are prepared and the first weights, both measured on the first buffer.
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
import type { RunSettings } from "../runs/settings.ts";
import { featureCount, type TranscoderShape } from "../transcoder/shape.ts";
import { uploadPreparation } from "./prepared.ts";
import { recordGather, recordPrepared, recordPreparedBeside, type RowBlocks } from "../gpu/row_blocks.ts";
import type { Columns, Preparation, TranscoderWeights } from "../transcoder/weights.ts";

/** The stream of random numbers that the first weights come from. */
const WEIGHT_STREAM = 0x77656967;

/** Statistics of activations, dimension by dimension. */
export interface ActivationStatistics {
  /** [width] mean of each. */
  readonly mean: Float64Array;
  /** [width] mean squared deviation from it. */
  readonly variance: Float64Array;
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
 * @returns Means and variances, combined in float64.
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
    recordGather(pass, activations, order, gathered, { rows: batch, width, first: slot * batch });
    pass.run(columnMoments, { x: gathered, moments }, { rows: batch, width, slot });
  }
  pass.submit();
  const measured = await downloadF32(gpu, moments);
  const mean = new Float64Array(width), variance = new Float64Array(width);
  for (let slot = 0; slot < slots; slot++) {
    for (let c = 0; c < width; c++) mean[c] += measured[slot * 2 * width + c] / slots;
  }
  for (let slot = 0; slot < slots; slot++) {
    for (let c = 0; c < width; c++) {
      const apart = measured[slot * 2 * width + c] - mean[c], squares = measured[(slot * 2 + 1) * width + c];
      variance[c] += (squares / batch + apart ** 2) / slots;
    }
  }
  return { mean, variance };
}

/**
 * The mean variance of the dimensions.
 *
 * @param statistics Of some activations.
 * @returns Their squared distance from their mean per dimension; 0 when they are all the same.
 */
export function meanVariance({ variance }: ActivationStatistics): number {
  return variance.reduce((sum, value) => sum + value, 0) / variance.length;
}

/** The least variance of a dimension, as a share of the mean one, that is still brought up to 1: what varies less stays smaller. */
const LEAST_VARIANCE = 1e-6;

/**
 * Chooses how activations are prepared. Both ends are centred, as most of a residual stream is one constant vector. Each dimension of
 * the source gets variance 1, as a few dimensions are a hundred times as large as others and all may matter. Each target gets one factor,
 * {@link targetScales}: what error counts is that of raw activations.
 *
 * @param source Measured at the source; its mean variance is above 0.
 * @param targets Measured at each target; likewise.
 * @returns The preparation, all of whose numbers are float32.
 */
export function choosePreparation(
  source: ActivationStatistics,
  targets: readonly ActivationStatistics[],
): Preparation {
  const least = LEAST_VARIANCE * meanVariance(source), scales = targetScales(targets);
  return {
    source: rounded(source.mean, source.variance.map((variance) => Math.max(variance, least) ** -0.5)),
    target: rounded(
      joined(targets.map(({ mean }) => mean)),
      joined(targets.map(({ mean }, t) => mean.map(() => scales[t]))),
    ),
  };
}

/**
 * What targets are multiplied by so that the dimensions of all have mean variance 1 and no target, loud or wide, has more of it than
 * another.
 *
 * @param targets Measured at each target; its mean variance is above 0.
 * @returns A factor for each, a float32.
 */
export function targetScales(targets: readonly ActivationStatistics[]): number[] {
  const width = targets.reduce((sum, { mean }) => sum + mean.length, 0);
  return targets.map((target) => {
    const share = targets.length * target.mean.length / width;
    return Math.fround((meanVariance(target) * share) ** -0.5);
  });
}

function joined(parts: readonly Float64Array[]): Float64Array {
  return Float64Array.from(parts.flatMap((part) => [...part]));
}

function rounded(mean: Float64Array, scale: Float64Array): Columns {
  return { mean: mean.map(Math.fround), scale: scale.map(Math.fround) };
}

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
export interface MeasuredActivations extends Pick<ActivationStatistics, "mean"> {
  /** [capacity, width] raw activations. */
  readonly activations: RowBlocks;
}

/**
 * The first weights, for prepared activations: encoder rows in random directions w, each decoder row the direction in which the targets
 * move along with them, Cov(targets, source) w, of unit norm; no encoder bias, and what the preparation leaves of the targets' means as
 * decoder bias.
 *
 * For a transcoder this is what starting from transposed weights is for an autoencoder: a feature at first writes what goes
 * with what it reads.
 *
 * @param gpu The device.
 * @param shape The transcoder's sizes.
 * @param settings The transcoder's seed, and the length of the encoder's rows.
 * @param order Row numbers of the buffer, shuffled.
 * @param source What the transcoder reads.
 * @param targets What it is to predict.
 * @param preparation How both are prepared.
 * @returns The weights.
 */
export async function initialWeights(
  gpu: Gpu,
  shape: TranscoderShape,
  { seed, encoder_norm }: Pick<RunSettings, "seed" | "encoder_norm">,
  order: Tensor,
  source: MeasuredActivations,
  targets: readonly MeasuredActivations[],
  preparation: Preparation,
): Promise<TranscoderWeights> {
  const features = featureCount(shape.groups), { d_in, d_out } = shape;
  const directions = Float32Array.from({ length: features * d_in }, gaussians(seed));
  normaliseRows(directions, d_in);
  // Whatever the preparation leaves of the means, a covariance is about them.
  const centred = {
    source: { mean: source.mean, scale: preparation.source.scale },
    target: { mean: joined(targets.map(({ mean }) => mean)), scale: preparation.target.scale },
  };
  const rows = covarianceRows(order), { activations: x } = source, y = targets.map(({ activations }) => activations);
  const decoder = await secondMoments(gpu, shape, directions, order, rows, x, y, centred);
  normaliseRows(decoder, d_out);
  const { mean, scale } = preparation.target;
  return {
    encoder: directions.map((weight) => weight * encoder_norm),
    encoderBias: new Float32Array(features),
    decoder,
    decoderBias: Float32Array.from(centred.target.mean, (value, c) => (value - mean[c]) * scale[c]),
    ...shape.skip && { skip: new Float32Array(d_in * d_out) },
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
 * @param source Raw activations, which prepared are x.
 * @param targets Raw activations, which prepared are y, side by side.
 * @param preparation How.
 * @returns [features, d_out].
 */
export async function secondMoments(
  gpu: Gpu,
  { d_in, d_out, groups }: TranscoderShape,
  directions: Float32Array,
  order: Tensor,
  rows: number,
  source: RowBlocks,
  targets: readonly RowBlocks[],
  preparation: Preparation,
): Promise<Float32Array<ArrayBuffer>> {
  const features = featureCount(groups), padded = paddedColumns(d_out);
  using scratch = openScope(gpu);
  const tensor = (label: string, ...shape: number[]) => createTensor(scratch, label, shape);
  const w = tensorFrom(scratch, "directions", [features, d_in], directions);
  const x = tensor("source rows", rows, d_in), xColumns = tensor("source columns", d_in, rows);
  const y = tensor("target rows", rows, d_out), yColumns = tensor("target columns", d_out, rows);
  const yPadded = tensor("target rows, padded", rows, padded), moment = tensor("second moment", d_in, padded);
  const moved = tensor("second moment by direction", features, d_out);
  const columns = uploadPreparation(scratch, preparation);
  const pass = new Pass(gpu);
  recordPrepared(pass, source, order, columns.source, x, { rows, width: d_in, first: 0 });
  recordPreparedBeside(pass, targets, order, columns.target, y, { rows, first: 0 });
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
