/** A transcoder with random weights, and what encoding and decoding mean in plain float64 loops. */

import type { TranscoderShape } from "../../core/transcoder/shape.ts";
import type { Transcoder } from "../../core/transcoder/weights.ts";
import { gaussians } from "../random.ts";

export function randomTranscoder(
  shape: TranscoderShape,
  thresholds: number | Float32Array<ArrayBuffer>,
  seed: number,
): Transcoder {
  const features = shape.groups.reduce((sum, size) => sum + size, 0);
  const scaled = (count: number, scale: number, stream: number) =>
    gaussians(count, 16 * seed + stream).map((x) => x * scale);
  return {
    shape,
    weights: {
      encoder: scaled(features * shape.d_in, shape.d_in ** -0.5, 0),
      encoderBias: scaled(features, 0.1, 1),
      decoder: scaled(features * shape.d_out, shape.d_out ** -0.5, 2),
      decoderBias: scaled(shape.d_out, 0.5, 3),
      ...shape.skip && { skip: scaled(shape.d_in * shape.d_out, shape.d_in ** -0.5, 4) },
    },
    thresholds: typeof thresholds === "number" ? new Float32Array(features).fill(thresholds) : thresholds,
  };
}

/** relu(W_enc x + b_enc) of one token, in float64: an activation is kept where it is above its feature's threshold. */
export function activationsOf({ shape, weights }: Transcoder, x: ArrayLike<number>): Float64Array {
  return Float64Array.from(weights.encoderBias, (bias, i) => {
    let sum = bias;
    for (let d = 0; d < shape.d_in; d++) sum += weights.encoder[i * shape.d_in + d] * x[d];
    return Math.max(sum, 0);
  });
}

/** b_dec + f W_dec of one token over the features below `end`, with a skip connection + x W_skip, in float64. */
export function reconstructionOf(
  { shape, weights }: Transcoder,
  features: Iterable<readonly [index: number, value: number]>,
  end: number,
  x: ArrayLike<number> = [],
): Float64Array {
  const { d_in, d_out } = shape, y = Float64Array.from(weights.decoderBias);
  for (let i = 0; weights.skip && i < d_in; i++) {
    for (let d = 0; d < d_out; d++) y[d] += x[i] * weights.skip[i * d_out + d];
  }
  for (const [i, value] of features) {
    if (i < end) { for (let d = 0; d < shape.d_out; d++) y[d] += value * weights.decoder[i * shape.d_out + d]; }
  }
  return y;
}
