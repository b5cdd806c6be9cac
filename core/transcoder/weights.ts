/**
 * A transcoder in host memory:
 *
 *     a = relu(x W_enc + b_enc)     f = a where a > threshold, else 0     y = f W_dec + b_dec
 *
 * or, with a skip connection, y = f W_dec + x W_skip + b_dec, which every prefix of the dictionary has. Some that were trained elsewhere keep no
 * more than the k largest of each token's f.
 *
 * Files of it are read and written in formats/.
 * @module
 */

import { featureCount, type TranscoderShape } from "./shape.ts";

/** A transcoder in host memory, feature-major: a feature is one row of the encoder and one of the decoder. */
export interface TranscoderWeights {
  /** W_enc, [features, d_in]. */
  readonly encoder: Float32Array<ArrayBuffer>;
  /** b_enc, [features]. */
  readonly encoderBias: Float32Array<ArrayBuffer>;
  /** W_dec, [features, d_out]. */
  readonly decoder: Float32Array<ArrayBuffer>;
  /** b_dec, [d_out]. */
  readonly decoderBias: Float32Array<ArrayBuffer>;
  /** W_skip, [d_in, d_out]; only there with a skip connection. */
  readonly skip?: Float32Array<ArrayBuffer>;
}

/**
 * Weights to be overwritten by a checkpoint's.
 *
 * @param shape The transcoder's sizes.
 * @returns Zeros.
 */
export function zeroWeights({ d_in, d_out, groups, skip }: TranscoderShape): TranscoderWeights {
  const features = featureCount(groups);
  return {
    encoder: new Float32Array(features * d_in),
    encoderBias: new Float32Array(features),
    decoder: new Float32Array(features * d_out),
    decoderBias: new Float32Array(d_out),
    ...skip && { skip: new Float32Array(d_in * d_out) },
  };
}

/** The two matrices of a transcoder, by far the most of it. */
export type Matrix = "encoder" | "decoder";

/** A transcoder without its matrices. */
export interface TranscoderVectors {
  /** Its sizes. */
  readonly shape: TranscoderShape;
  /** Its weights, what prepared the activations folded in. */
  readonly weights: Omit<TranscoderWeights, Matrix>;
  /** [features]: an activation counts when it is above its feature's, strictly. Any number but NaN; infinity lets nothing through. */
  readonly thresholds: Float32Array<ArrayBuffer>;
  /** Of each token only so many of the largest activations count; left out where thresholds alone decide. */
  readonly topK?: number;
}

/** A transcoder that takes and gives raw activations. */
export interface Transcoder extends TranscoderVectors {
  /** Its weights, what prepared the activations folded in. */
  readonly weights: TranscoderWeights;
}

/** A transcoder whose matrices stay in its file until one is asked for: of a large one, not both are to be held at once. */
export interface StoredTranscoder extends TranscoderVectors {
  /**
   * Reads one.
   *
   * @param matrix Which.
   * @returns [features, width] a copy of the caller's own.
   * @throws {UserError} When the file is damaged, or no longer the one that was opened.
   */
  readonly read: (matrix: Matrix) => Promise<Float32Array<ArrayBuffer>>;
}

/**
 * Takes a matrix for as long as something is made of it.
 *
 * @param stored The transcoder.
 * @param matrix Which.
 * @param use Makes something of [features, width], which may be overwritten; nothing of it is held afterwards.
 * @returns What `use` makes.
 * @throws {UserError} As {@link StoredTranscoder.read} does.
 */
export async function onMatrix<T>(
  { read }: StoredTranscoder,
  matrix: Matrix,
  use: (rows: Float32Array<ArrayBuffer>) => T | Promise<T>,
): Promise<T> {
  const rows = await read(matrix);
  try {
    return await use(rows);
  } finally {
    // What collects garbage takes its time, and the next matrix is read at once.
    if (!rows.buffer.detached) rows.buffer.transfer(0);
  }
}

/**
 * Reads all of a transcoder.
 *
 * @param stored Where it is.
 * @returns The transcoder, in memory.
 * @throws {UserError} As {@link StoredTranscoder.read} does.
 */
export async function wholeTranscoder({ read, ...vectors }: StoredTranscoder): Promise<Transcoder> {
  const encoder = await read("encoder"), decoder = await read("decoder");
  return { ...vectors, weights: { ...vectors.weights, encoder, decoder } };
}

/** What becomes of the columns of activations before training sees them: prepared = (raw - mean) * scale, column by column. */
export interface Columns {
  /** [width] */
  readonly mean: Float64Array;
  /** [width], above 0. */
  readonly scale: Float64Array;
}

/** How the activations at both ends of a transcoder are prepared for training. */
export interface Preparation {
  /** Of the source. */
  readonly source: Columns;
  /** Of the target. */
  readonly target: Columns;
}

/**
 * Columns that are all multiplied by one factor, their means left in.
 *
 * @param width How many.
 * @param scale The factor, above 0.
 * @returns The columns.
 */
export function scaledBy(width: number, scale: number): Columns {
  return { mean: new Float64Array(width), scale: new Float64Array(width).fill(scale) };
}

/**
 * Multiplies what a transcoder gives.
 *
 * @param weights Its weights.
 * @param factors [d_out] the factor of each output.
 * @returns New weights, the encoder shared.
 */
export function scaleOutputs(weights: TranscoderWeights, factors: Float32Array): TranscoderWeights {
  const scaled = (columns: Float32Array<ArrayBuffer>) =>
    columns.map((value, at) => value * factors[at % factors.length]);
  const { skip } = weights, own = skip && { skip: scaled(skip) };
  return { ...weights, decoder: scaled(weights.decoder), decoderBias: scaled(weights.decoderBias), ...own };
}

/**
 * Turns weights for activations into weights for what these are a multiple of, as a norm's gain multiplies.
 *
 * @param weights Weights for x.
 * @param factors [d_in] what makes x of the activations that are to be taken in its place: x = factors * taken.
 * @returns New weights for those, the decoder shared.
 */
export function scaleInputs(weights: TranscoderWeights, factors: Float32Array): TranscoderWeights {
  const d_in = factors.length, d_out = weights.decoderBias.length;
  const skip = weights.skip?.map((weight, at) => weight * factors[Math.floor(at / d_out)]);
  return { ...weights, encoder: weights.encoder.map((weight, at) => weight * factors[at % d_in]), ...skip && { skip } };
}

/**
 * The first features of a dictionary as a transcoder of its own, with their thresholds, as evaluations measure a prefix.
 *
 * @param transcoder The whole.
 * @param groups How many of its groups, from 1.
 * @returns The prefix; its arrays are views of the whole's.
 */
export function prefixOf({ shape, weights, thresholds, ...rest }: Transcoder, groups: number): Transcoder {
  const kept = shape.groups.slice(0, groups), end = featureCount(kept);
  return {
    ...rest,
    shape: { ...shape, groups: kept },
    weights: {
      ...weights,
      encoder: weights.encoder.subarray(0, end * shape.d_in),
      encoderBias: weights.encoderBias.subarray(0, end),
      decoder: weights.decoder.subarray(0, end * shape.d_out),
    },
    thresholds: thresholds.subarray(0, end),
  };
}

/**
 * Turns weights for prepared activations into weights for raw ones. Thresholds stay: pre-activations are the same.
 *
 * @param weights Weights for prepared activations.
 * @param preparation How they were prepared.
 * @returns New weights for raw activations.
 */
export function foldPreparation(weights: TranscoderWeights, { source, target }: Preparation): TranscoderWeights {
  const d_in = source.scale.length, d_out = target.scale.length;
  const skip = weights.skip?.map((weight, at) =>
    weight * source.scale[Math.floor(at / d_out)] / target.scale[at % d_out]
  );
  return {
    encoder: weights.encoder.map((weight, at) => weight * source.scale[at % d_in]),
    encoderBias: weights.encoderBias.map((bias, i) => {
      let atZero = 0;
      for (let c = 0; c < d_in; c++) atZero += weights.encoder[i * d_in + c] * source.scale[c] * source.mean[c];
      return bias - atZero;
    }),
    decoder: weights.decoder.map((weight, at) => weight / target.scale[at % d_out]),
    decoderBias: weights.decoderBias.map((bias, c) => {
      let atZero = 0;
      if (weights.skip) {
        for (let i = 0; i < d_in; i++) atZero += weights.skip[i * d_out + c] * source.scale[i] * source.mean[i];
      }
      return (bias - atZero) / target.scale[c] + target.mean[c];
    }),
    ...skip && { skip },
  };
}

/**
 * Turns weights for raw activations into weights for prepared ones, as training wants them: decoder rows of unit norm. What a row was
 * longer goes to the feature's encoder and bias, so that the transcoder predicts the same; its activations are as many times larger, and
 * so would its threshold have to be.
 *
 * @param weights Weights for raw activations.
 * @param preparation How they are to be prepared; not necessarily what {@link foldPreparation} folded in.
 * @returns New weights for prepared activations; a decoder row of zeros, which has no direction, stays.
 */
export function unfoldPreparation(weights: TranscoderWeights, { source, target }: Preparation): TranscoderWeights {
  const d_in = source.scale.length, d_out = target.scale.length;
  const norms = Float64Array.from(weights.encoderBias, (_, i) => {
    let squares = 0;
    for (let c = 0; c < d_out; c++) squares += (weights.decoder[i * d_out + c] * target.scale[c]) ** 2;
    return Math.sqrt(squares) || 1;
  });
  const skip = weights.skip?.map((weight, at) =>
    weight / source.scale[Math.floor(at / d_out)] * target.scale[at % d_out]
  );
  return {
    encoder: weights.encoder.map((weight, at) => weight / source.scale[at % d_in] * norms[Math.floor(at / d_in)]),
    encoderBias: weights.encoderBias.map((bias, i) => {
      let atMean = 0;
      for (let c = 0; c < d_in; c++) atMean += weights.encoder[i * d_in + c] * source.mean[c];
      return (bias + atMean) * norms[i];
    }),
    decoder: weights.decoder.map((weight, at) => weight * target.scale[at % d_out] / norms[Math.floor(at / d_out)]),
    decoderBias: weights.decoderBias.map((bias, c) => {
      let atMean = 0;
      if (weights.skip) { for (let i = 0; i < d_in; i++) atMean += weights.skip[i * d_out + c] * source.mean[i]; }
      return (bias + atMean - target.mean[c]) * target.scale[c];
    }),
    ...skip && { skip },
  };
}
