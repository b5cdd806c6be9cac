/**
 * What a run starts from: the scales of its activations and the first weights, measured on the first buffer.
 * @module
 */

import { columnMoments, gatherRows } from "../../wgsl/transcoder/step.ts";
import { createTensor, downloadF32, type Gpu } from "../gpu/device.ts";
import { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { randomGenerator } from "../random.ts";
import { featureCount, type TranscoderShape } from "./recipe.ts";
import type { TranscoderWeights } from "./state.ts";

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
 * @param rows How many of them to take, at least one batch.
 * @param width Width of the activations.
 * @param batch Rows per dispatch; what `rows` exceeds a multiple of it is left out.
 * @returns Mean and scale, combined in float64.
 */
export async function measureActivations(
  gpu: Gpu,
  activations: Tensor,
  order: Tensor,
  rows: number,
  width: number,
  batch: number,
): Promise<ActivationStatistics> {
  const slots = Math.floor(rows / batch);
  const gathered = createTensor(gpu, "measured rows", [batch, width]);
  const moments = createTensor(gpu, "measured moments", [slots, 2, width]);
  const pass = new Pass(gpu);
  for (let slot = 0; slot < slots; slot++) {
    pass.run(gatherRows, { x: activations, order, y: gathered }, { rows: batch, width, first: slot * batch, scale: 1 });
    pass.run(columnMoments, { x: gathered, moments }, { rows: batch, width, slot });
  }
  pass.submit();
  const measured = await downloadF32(gpu, moments);
  gathered.buffer.destroy();
  moments.buffer.destroy();
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

/**
 * The first weights in scaled space: random unit decoder rows, the encoder their transpose times `encoderScale` (where the widths
 * differ, rows of its own), no encoder bias, and the target's mean as decoder bias.
 *
 * @param shape The transcoder's sizes.
 * @param seed The run's seed.
 * @param targetMean [d_out] mean of the scaled target.
 * @returns The weights.
 */
export function initialWeights(shape: TranscoderShape, seed: number, targetMean: Float64Array): TranscoderWeights {
  const features = featureCount(shape.groups), { d_in, d_out } = shape;
  const decoder = unitRows(features, d_out, seed, 0);
  const encoder = (d_in === d_out ? decoder : unitRows(features, d_in, seed, 1)).map((weight) =>
    weight * ENCODER_SCALE
  );
  return { encoder, encoderBias: new Float32Array(features), decoder, decoderBias: Float32Array.from(targetMean) };
}

/** Length of the encoder's rows at the start; bench/training.md has what 0.3, 0.5 and 1 gave. */
const ENCODER_SCALE = 0.5;

function unitRows(rows: number, width: number, seed: number, stream: number): Float32Array<ArrayBuffer> {
  const random = randomGenerator(seed, WEIGHT_STREAM, stream);
  const out = Float32Array.from({ length: rows * width }, () => random.gaussian());
  for (let r = 0; r < rows; r++) {
    const row = out.subarray(r * width, (r + 1) * width);
    const norm = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
    row.forEach((value, c) => row[c] = value / norm);
  }
  return out;
}
