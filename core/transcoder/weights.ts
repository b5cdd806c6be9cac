/**
 * A transcoder in host memory:
 *
 *     a = relu(x W_enc + b_enc)     f = a where a > threshold, else 0     y = f W_dec + b_dec
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
}

/**
 * Weights to be overwritten by a checkpoint's.
 *
 * @param shape The transcoder's sizes.
 * @returns Zeros.
 */
export function zeroWeights({ d_in, d_out, groups }: TranscoderShape): TranscoderWeights {
  const features = featureCount(groups);
  return {
    encoder: new Float32Array(features * d_in),
    encoderBias: new Float32Array(features),
    decoder: new Float32Array(features * d_out),
    decoderBias: new Float32Array(d_out),
  };
}

/** A transcoder that takes and gives raw activations. */
export interface Transcoder {
  /** Its sizes. */
  readonly shape: TranscoderShape;
  /** Its weights, training scales folded in. */
  readonly weights: TranscoderWeights;
  /** [features]: an activation counts when it is above its feature's, strictly. Any number but NaN; infinity lets nothing through. */
  readonly thresholds: Float32Array<ArrayBuffer>;
}

/** Factors between raw activations and those trained on: x_scaled = scales.source * x. */
export interface Scales {
  /** Of the source. */
  readonly source: number;
  /** Of the target. */
  readonly target: number;
}

/**
 * Turns weights for scaled activations into weights for raw ones. Encoder bias and thresholds stay: pre-activations are the same.
 *
 * @param weights Weights for source * x and target * y.
 * @param scales The two factors, above 0.
 * @returns New weights for x and y.
 */
export function foldScales(weights: TranscoderWeights, scales: Scales): TranscoderWeights {
  return {
    encoder: weights.encoder.map((weight) => weight * scales.source),
    encoderBias: weights.encoderBias.slice(),
    decoder: weights.decoder.map((weight) => weight / scales.target),
    decoderBias: weights.decoderBias.map((bias) => bias / scales.target),
  };
}
