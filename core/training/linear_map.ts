/**
 * The best linear map from source to targets, by least squares on the first buffer of a run: training text alone.
 * @module
 */

import { matmul } from "../../wgsl/shared/matmul.ts";
import { transpose } from "../../wgsl/shared/transpose.ts";
import { columnMoments } from "../../wgsl/transcoder/step.ts";
import { solvePositiveDefinite } from "../analysis/least_squares.ts";
import { createTensor, downloadAll, type Gpu } from "../gpu/device.ts";
import { tileFor } from "../gpu/products.ts";
import { recordPrepared, recordPreparedBeside, type RowBlocks } from "../gpu/row_blocks.ts";
import { Pass } from "../gpu/run.ts";
import { openScope } from "../gpu/scope.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { LinearMap } from "../transcoder/linear_map.ts";
import type { TranscoderShape } from "../transcoder/shape.ts";
import type { Preparation } from "../transcoder/weights.ts";
import { uploadPreparation } from "./prepared.ts";

/** What the fit needs of some tokens: sums over them, of prepared activations x and y. */
export interface ProductSums {
  /** How many they are. */
  readonly tokens: number;
  /** [d_in] sum x. */
  readonly source: Float64Array;
  /** [d_out] sum y. */
  readonly target: Float64Array;
  /** [d_in, d_in] sum x^T x. */
  readonly sources: Float64Array;
  /** [d_out, d_in] sum y^T x. */
  readonly both: Float64Array;
}

/** Rows that are summed in float32 on the GPU before float64 takes over. */
export const ROWS_AT_ONCE = 4096;

/**
 * Sums products of prepared activations, in float32 over a few thousand rows on the GPU, in float64 over those. Its scratch tensors are
 * gone when it is done.
 *
 * @param gpu The device.
 * @param shape The transcoder's sizes.
 * @param order Row numbers of the buffer, shuffled.
 * @param rows How many of them are wanted; a few less are taken where they cannot be cut into equal parts.
 * @param source Raw activations, which prepared are x.
 * @param targets Raw activations, which prepared are y, side by side.
 * @param preparation How.
 * @returns The sums.
 */
export async function sumProducts(
  gpu: Gpu,
  { d_in, d_out }: Pick<TranscoderShape, "d_in" | "d_out">,
  order: Tensor,
  rows: number,
  source: RowBlocks,
  targets: readonly RowBlocks[],
  preparation: Preparation,
): Promise<ProductSums> {
  const slots = Math.ceil(rows / ROWS_AT_ONCE), equal = Math.floor(rows / slots);
  // The fast tiles take depths that are multiples of 4.
  const batch = equal < 4 ? equal : equal - equal % 4;
  using scratch = openScope(gpu);
  const tensor = (label: string, ...shape: number[]) => createTensor(scratch, label, shape);
  const x = tensor("fitted source", batch, d_in), xColumns = tensor("fitted source columns", d_in, batch);
  const y = tensor("fitted target", batch, d_out), columns = uploadPreparation(scratch, preparation);
  const sources = tensor("source products", d_in, d_in), both = tensor("source and target products", d_in, d_out);
  const xMoments = tensor("fitted source moments", 2, d_in), yMoments = tensor("fitted target moments", 2, d_out);
  const sums: ProductSums = {
    tokens: slots * batch,
    source: new Float64Array(d_in),
    target: new Float64Array(d_out),
    sources: new Float64Array(d_in * d_in),
    both: new Float64Array(d_out * d_in),
  };
  for (let slot = 0; slot < slots; slot++) {
    const pass = new Pass(gpu), first = slot * batch;
    recordPrepared(pass, source, order, columns.source, x, { rows: batch, width: d_in, first });
    recordPreparedBeside(pass, targets, order, columns.target, y, { rows: batch, first });
    pass.run(columnMoments, { x, moments: xMoments }, { rows: batch, width: d_in, slot: 0 });
    pass.run(columnMoments, { x: y, moments: yMoments }, { rows: batch, width: d_out, slot: 0 });
    pass.run(transpose, { x, y: xColumns }, { rows: batch, columns: d_in, padded_rows: batch });
    for (const [weight, product, width] of [[x, sources, d_in], [y, both, d_out]] as const) {
      const size = { rows: d_in, columns: width, depth: batch };
      pass.run(matmul(tileFor(gpu, size), "f32", "none"), { x: xColumns, weight, y: product }, size);
    }
    pass.submit();
    const read = (await downloadAll(gpu, [xMoments, yMoments, sources, both])).map((part) => new Float32Array(part));
    for (let c = 0; c < d_in; c++) sums.source[c] += batch * read[0][c];
    for (let c = 0; c < d_out; c++) sums.target[c] += batch * read[1][c];
    for (let at = 0; at < d_in * d_in; at++) sums.sources[at] += read[2][at];
    for (let i = 0, at = 0; i < d_in; i++) {
      for (let c = 0; c < d_out; c++, at++) sums.both[c * d_in + i] += read[3][at];
    }
  }
  return sums;
}

/**
 * The ridge, as a share of the mean variance of the prepared source's dimensions. It keeps the equations solvable where dimensions hang
 * together or are more than the tokens; it is above what float32 sums may be off by, and changes no FVU that was looked at by 1e-4.
 */
export const RIDGE = 1e-4;

/**
 * Fits y = x A + b to prepared activations, in float64, and turns it into a map of raw ones.
 *
 * Minimises sum |x A + b - y|^2 + ridge |A|^2 (ridge regression; Hastie, Tibshirani, Friedman, The Elements of Statistical Learning,
 * 3.4.1): A = (X^T X + ridge)^-1 X^T Y with X and Y about their means.
 *
 * @param sums Over the tokens that it is fitted on; overwritten.
 * @param preparation How activations were prepared for them.
 * @returns The map.
 */
export function fitLinearMap(sums: ProductSums, { source, target }: Preparation): LinearMap {
  const { tokens, sources, both } = sums, d_in = sums.source.length, d_out = sums.target.length;
  const xMean = sums.source.map((sum) => sum / tokens), yMean = sums.target.map((sum) => sum / tokens);
  let trace = 0;
  for (let i = 0; i < d_in; i++) {
    // The lower triangle alone is read, so that what float32 made of the upper one does not matter.
    for (let j = 0; j <= i; j++) sources[i * d_in + j] -= tokens * xMean[i] * xMean[j];
    for (let c = 0; c < d_out; c++) both[c * d_in + i] -= tokens * xMean[i] * yMean[c];
    trace += sources[i * d_in + i];
  }
  for (let i = 0; i < d_in; i++) sources[i * d_in + i] += RIDGE * trace / d_in;
  solvePositiveDefinite(sources, both, d_in);
  const weight = new Float32Array(d_in * d_out), bias = new Float32Array(d_out), targetMean = new Float32Array(d_out);
  for (let c = 0; c < d_out; c++) {
    let atZero = yMean[c];
    for (let i = 0; i < d_in; i++) {
      const prepared = both[c * d_in + i];
      weight[i * d_out + c] = prepared * source.scale[i] / target.scale[c];
      atZero -= prepared * (xMean[i] + source.mean[i] * source.scale[i]);
    }
    bias[c] = atZero / target.scale[c] + target.mean[c];
    targetMean[c] = yMean[c] / target.scale[c] + target.mean[c];
  }
  return { weight, bias, targetMean, tokens };
}
