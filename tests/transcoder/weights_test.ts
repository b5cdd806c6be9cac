import assert from "node:assert/strict";
import { foldScales } from "../../core/transcoder/weights.ts";
import { randomTranscoder } from "./random_transcoder.ts";

Deno.test("folding multiplies the encoder and divides the decoder and its bias", () => {
  const { weights } = randomTranscoder({ d_in: 5, d_out: 3, groups: [4, 2, 1] }, 0.75, 1);
  const folded = foldScales(weights, { source: 0.5, target: 4 });
  assert.deepEqual(folded.encoder, weights.encoder.map((x) => x / 2));
  assert.deepEqual(folded.encoderBias, weights.encoderBias);
  assert.deepEqual(folded.decoder, weights.decoder.map((x) => x / 4));
  assert.deepEqual(folded.decoderBias, weights.decoderBias.map((x) => x / 4));
});
