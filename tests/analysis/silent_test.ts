/** Dead and ultra-rare features: planted ones of each kind are told apart, and every figure is that of a float64 loop. */

import assert from "node:assert/strict";
import type { FeatureRow } from "../../core/analysis/feature_rows.ts";
import { explainSilent, PreActivationTally, watchedOf } from "../../core/analysis/silent.ts";
import { assertClose } from "../compare.ts";
import { gaussians } from "../random.ts";

const FEATURES = 120, WIDTH = 16, TOKENS = 300;

/** Random features, of which five are silent for reasons of their own. */
function planted() {
  const encoder = gaussians(FEATURES * WIDTH, 1), decoder = gaussians(FEATURES * WIDTH, 2);
  const encoderBias = gaussians(FEATURES, 3).map((x) => 0.1 * x - 1), fires = new Array(FEATURES).fill(100);
  const row = (matrix: Float32Array, feature: number) => matrix.subarray(feature * WIDTH, (feature + 1) * WIDTH);
  fires.splice(0, 5, 0, 0, 0, 1, 0);
  row(encoder, 0).forEach((value, d) => encoder[d] = 0.01 * value); // short
  decoder.set(row(decoder, 77).map((value) => 3 * value), WIDTH); // covered by 77
  decoder.set(row(decoder, 4).map((value) => 2 * value), 2 * WIDTH); // like 4, which is dead itself
  encoderBias[2] = -100; // out of reach
  const rows = fires.map((count, feature): FeatureRow => ({
    ...{ feature, group: feature < 50 ? 0 : 1, fires: count, density: count / 20_000, dead: count === 0 },
    ...{ encoder_norm: Math.hypot(...row(encoder, feature)), encoder_bias: encoderBias[feature] },
    ...{ mean_activation: 1, max_activation: 1, sample_count: 1, decoder_norm: 1, encoder_decoder_cosine: 0 },
    ...{ top_token_id: 1, top_token: "", top_token_share: 1, token_entropy_bits: 0, main_token_id: 1, main_token: "" },
    ...{ main_token_share: 1, main_token_share_most: 1, main_token_occurrences: 1 },
  }));
  return { rows, weights: { encoder, decoder, encoderBias }, row };
}

Deno.test("a short encoder, a living twin, a bias that keeps it down and a rare input are told apart", () => {
  const { rows, weights, row } = planted(), watched = watchedOf(rows), source = gaussians(TOKENS * WIDTH, 9);
  assert.deepEqual(watched.silent.map(({ feature }) => feature), [0, 1, 2, 4, 3], "those that fire least first");
  assert.equal(new Set(watched.living.map(({ feature }) => feature)).size, 50);
  assert.ok(watched.living.every(({ fires }) => fires === 100));
  const tally = new PreActivationTally(weights, [...watched.silent, ...watched.living].map(({ feature }) => feature));
  tally.add(source.subarray(0, 100 * WIDTH));
  tally.add(source.subarray(100 * WIDTH));
  const thresholds = new Float32Array(FEATURES).fill(0.5);
  const { dead, ultra_rare, features, living } = explainSilent(rows, watched, weights, thresholds, tally);
  assert.deepEqual([dead, ultra_rare, living.features], [4, 1, 50]);
  assert.deepEqual(features.map(({ feature, why }) => [feature, why]), [
    ...[[0, "short_encoder"], [1, "covered"], [2, "out_of_reach"]],
    ...[[4, "rare_input"], [3, "rare_input"]],
  ]);
  for (const { feature, mean, std, largest, gap, neighbour, cosine, threshold } of features) {
    const values = Array.from({ length: TOKENS }, (_, token) => {
      const x = source.subarray(token * WIDTH, (token + 1) * WIDTH);
      return x.reduce((sum, value, d) => sum + value * row(weights.encoder, feature)[d], weights.encoderBias[feature]);
    });
    const expected = values.reduce((sum, value) => sum + value / TOKENS, 0);
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - expected) ** 2 / TOKENS, 0));
    assertClose("pre-activation", [mean, std, largest, gap], [
      ...[expected, deviation, Math.max(...values)],
      (threshold - expected) / deviation,
    ], { floor: 1e-6, relative: 1e-6 });
    const own = row(weights.decoder, feature);
    const cosines = rows.map((other) => {
      const there = row(weights.decoder, other.feature);
      return other.fires < 100
        ? -2
        : own.reduce((sum, value, d) => sum + value * there[d], 0) / (Math.hypot(...own) * Math.hypot(...there));
    });
    assertClose("cosine", [cosine], [Math.max(...cosines)], { floor: 1e-6, relative: 1e-6 });
    assert.equal(neighbour, cosines.indexOf(Math.max(...cosines)));
  }
});

Deno.test("where every feature fires nobody is watched; where none does there is no neighbour", () => {
  const { rows, weights } = planted();
  const loud = rows.map((row) => ({ ...row, fires: 100, density: 0.005 }));
  assert.deepEqual(watchedOf(loud), { silent: [], living: [] });
  const mute = rows.map((row) => ({ ...row, fires: 0, density: 0 })), watched = watchedOf(mute);
  const tally = new PreActivationTally(weights, watched.silent.map(({ feature }) => feature));
  tally.add(gaussians(TOKENS * WIDTH, 9));
  const found = explainSilent(mute, watched, weights, new Float32Array(FEATURES), tally);
  assert.deepEqual([found.dead, found.ultra_rare, found.features.length], [FEATURES, 0, 50]);
  const [{ neighbour, cosine, why }] = found.features;
  assert.deepEqual([neighbour, cosine, why, found.living.gap], [-1, NaN, "rare_input", NaN]);
});
