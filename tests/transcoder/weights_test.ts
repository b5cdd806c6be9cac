import assert from "node:assert/strict";
import {
  foldPreparation,
  scaledBy,
  scaleOutputs,
  type TranscoderWeights,
  unfoldPreparation,
} from "../../core/transcoder/weights.ts";
import { assertClose } from "../compare.ts";
import { gaussians } from "../random.ts";
import { randomTranscoder } from "./random_transcoder.ts";

Deno.test("folding one factor for each end multiplies the encoder and divides the decoder and its bias, to the bit", () => {
  const { weights } = randomTranscoder({ d_in: 5, d_out: 3, groups: [4, 2, 1] }, 0.75, 1);
  const folded = foldPreparation(weights, { source: scaledBy(5, 0.137), target: scaledBy(3, 4) });
  assert.deepEqual(folded.encoder, weights.encoder.map((x) => x * 0.137));
  assert.deepEqual(folded.encoderBias, weights.encoderBias);
  assert.deepEqual(folded.decoder, weights.decoder.map((x) => x / 4));
  assert.deepEqual(folded.decoderBias, weights.decoderBias.map((x) => x / 4));
});

Deno.test("folding by column: each column its own factor, means into the biases", () => {
  const { weights } = randomTranscoder({ d_in: 5, d_out: 3, groups: [4, 2, 1] }, 0.75, 1);
  const source = { mean: Float64Array.of(0, 8, -2, 0.5, 64), scale: Float64Array.of(1, 2, 0.5, 4, 0.25) };
  const target = { mean: Float64Array.of(16, -4, 0), scale: Float64Array.of(2, 0.5, 8) };
  const folded = foldPreparation(weights, { source, target });
  assert.deepEqual(folded.encoder, weights.encoder.map((x, at) => x * [1, 2, 0.5, 4, 0.25][at % 5]));
  assert.deepEqual(folded.decoder, weights.decoder.map((x, at) => x / [2, 0.5, 8][at % 3]));
  assert.deepEqual(folded.decoderBias, weights.decoderBias.map((x, c) => x / [2, 0.5, 8][c] + [16, -4, 0][c]));
  weights.encoderBias.forEach((bias, i) => {
    const [, b, c, d, e] = weights.encoder.subarray(5 * i, 5 * i + 5);
    assert.equal(folded.encoderBias[i], Math.fround(bias - (16 * b - c + 2 * d + 16 * e)));
  });
});

Deno.test("folding a skip connection: raw activations give what prepared ones gave, prepared back", () => {
  const { weights } = randomTranscoder({ d_in: 5, d_out: 3, groups: [4], skip: true }, 0.75, 1);
  const source = { mean: Float64Array.of(0, 8, -2, 0.5, 64), scale: Float64Array.of(1, 2, 0.5, 4, 0.25) };
  const target = { mean: Float64Array.of(16, -4, 0), scale: Float64Array.of(2, 0.5, 8) };
  const folded = foldPreparation(weights, { source, target }), x = [3, -1, 4, 1.5, 60];
  const skipped = (of: typeof weights, x: number[]) =>
    [0, 1, 2].map((c) => x.reduce((sum, value, i) => sum + value * of.skip![i * 3 + c], of.decoderBias[c]));
  const prepared = skipped(weights, x.map((value, i) => (value - source.mean[i]) * source.scale[i]));
  const expected = prepared.map((value, c) => value / target.scale[c] + target.mean[c]);
  skipped(folded, x).forEach((value, c) => assert.ok(Math.abs(value - expected[c]) < 1e-5, `${value}, ${expected[c]}`));
});

Deno.test("outputs multiplied: decoder, its bias and the skip connection, column by column", () => {
  const { weights } = randomTranscoder({ d_in: 5, d_out: 3, groups: [4], skip: true }, 0.75, 1);
  const factors = [2, 0.5, 8], scaled = scaleOutputs(weights, Float32Array.from(factors));
  assert.deepEqual(scaled.encoder, weights.encoder);
  for (const key of ["decoder", "decoderBias", "skip"] as const) {
    assert.deepEqual(scaled[key], weights[key]!.map((value, at) => value * factors[at % 3]));
  }
});

Deno.test("unfolded for another preparation, decoder rows have unit norm and the transcoder predicts the same", () => {
  const shape = { d_in: 5, d_out: 3, groups: [4, 2, 1], skip: true }, { weights } = randomTranscoder(shape, 0.75, 1);
  // A feature that writes nothing has no direction to bring to unit norm.
  weights.decoder.fill(0, 3 * 4, 3 * 5);
  const source = { mean: Float64Array.of(0, 8, -2, 0.5, 6), scale: Float64Array.of(1, 2, 0.5, 4, 0.25) };
  const target = { mean: Float64Array.of(16, -4, 0), scale: Float64Array.of(2, 0.5, 8) };
  const unfolded = unfoldPreparation(weights, { source, target });
  const norms = Array.from({ length: 7 }, (_, i) => Math.hypot(...unfolded.decoder.subarray(3 * i, 3 * i + 3)));
  assertClose("norms", norms, [1, 1, 1, 1, 0, 1, 1], { floor: 1e-6, relative: 1e-6 });
  for (const seed of [1, 2, 3]) {
    const x = gaussians(5, seed).map((value) => 3 * value),
      prepared = x.map((v, c) => (v - source.mean[c]) * source.scale[c]);
    const y = predicted(unfolded, prepared).map((value, c) => value / target.scale[c] + target.mean[c]);
    assertClose("prediction", y, predicted(weights, x), { floor: 1e-5, relative: 1e-5 });
  }
});

Deno.test("folding what was unfolded gives the weights back where the rows had the target's factor for norm", () => {
  const { weights } = randomTranscoder({ d_in: 5, d_out: 3, groups: [4, 2, 1] }, 0.75, 1);
  const preparation = {
    source: { mean: Float64Array.of(0, 8, -2, 0.5, 6), scale: Float64Array.of(1, 2, 0.5, 4, 0.25) },
    target: scaledBy(3, 4),
  };
  const trained = unfoldPreparation(weights, preparation), finished = foldPreparation(trained, preparation);
  const again = unfoldPreparation(finished, preparation), near = { floor: 1e-6, relative: 1e-5 };
  for (const name of ["encoder", "encoderBias", "decoder", "decoderBias"] as const) {
    assertClose(name, again[name], trained[name], near);
  }
});

/** W_dec relu(W_enc x + b_enc) + W_skip x + b_dec in float64, without thresholds. */
function predicted(
  { encoder, encoderBias, decoder, decoderBias, skip }: TranscoderWeights,
  x: ArrayLike<number>,
): number[] {
  const d_in = x.length, d_out = decoderBias.length;
  const features = Array.from(
    encoderBias,
    (bias, i) => Math.max(0, Array.from(x).reduce((sum, value, c) => sum + value * encoder[i * d_in + c], bias)),
  );
  return Array.from(decoderBias, (bias, c) => {
    const skipped = Array.from(x).reduce((sum, value, i) => sum + value * (skip?.[i * d_out + c] ?? 0), bias);
    return features.reduce((sum, f, i) => sum + f * decoder[i * d_out + c], skipped);
  });
}
