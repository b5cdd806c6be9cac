/** Weights by group: what was planted in a group is found in it, and nowhere else. */

import assert from "node:assert/strict";
import { analyzeWeights, weightsOfFeatures } from "../../core/analysis/weight_groups.ts";
import { assertClose } from "../compare.ts";
import { gaussians } from "../random.ts";

const WIDTH = 24, GROUPS = [40, 60], FEATURES = 100;

/** The mean of d d^T in float64. */
function secondMoment(rows: Float32Array, width: number): Promise<Float64Array> {
  const count = rows.length / width, moment = new Float64Array(width * width);
  for (let at = 0; at < rows.length; at++) {
    for (let c = 0; c < width; c++) moment[(at % width) * width + c] += rows[at] * rows[at - at % width + c] / count;
  }
  return Promise.resolve(moment);
}

function planted() {
  const encoder = gaussians(FEATURES * WIDTH, 1), decoder = gaussians(FEATURES * WIDTH, 2);
  for (let i = 40; i < FEATURES; i++) {
    for (let c = 0; c < WIDTH; c++) {
      // The second group writes what it reads, twice as long, in three dimensions about a common mean.
      encoder[i * WIDTH + c] = (c < 3 ? encoder[i * WIDTH + c] : 0) + 5;
      decoder[i * WIDTH + c] = 2 * encoder[i * WIDTH + c];
    }
  }
  return { encoder, decoder, encoderBias: gaussians(FEATURES, 3), decoderBias: gaussians(WIDTH, 4) };
}

Deno.test("each group has its own lengths, biases, alignment and dimensions; the whole has all of them", async () => {
  const weights = planted(), { groups, encoder } = await analyzeWeights(weights, GROUPS, secondMoment);
  const [whole, first, second] = groups;
  assert.deepEqual(groups.map(({ group, features }) => [group, features]), [[null, 100], [0, 40], [1, 60]]);
  assert.deepEqual(encoder.shape, [WIDTH, FEATURES]);
  const norm = (i: number, of: Float32Array) => Math.hypot(...of.subarray(i * WIDTH, (i + 1) * WIDTH));
  const mean = (first: number, end: number, of: (i: number) => number) =>
    Array.from({ length: end - first }, (_, n) => of(first + n)).reduce((a, b) => a + b) / (end - first);
  for (const [found, from, to] of [[whole, 0, 100], [first, 0, 40], [second, 40, 100]] as const) {
    assertClose("means", [found.encoder_norm.mean, found.decoder_norm.mean, found.encoder_bias.mean], [
      mean(from, to, (i) => norm(i, weights.encoder)),
      mean(from, to, (i) => norm(i, weights.decoder)),
      mean(from, to, (i) => weights.encoderBias[i]),
    ], { floor: 1e-9, relative: 1e-9 });
    assert.equal(found.alignment!.count, to - from);
  }
  assert.ok(Math.abs(first.alignment!.mean) < 0.1 && Math.abs(first.alignment_by_chance! - WIDTH ** -0.5) < 0.05);
  assert.ok(second.alignment!.min > 1 - 1e-6 && second.alignment_by_chance! < 0.1);
  assert.ok(first.along! + first.against! < 0.2);
  // Three dimensions that vary alike, whatever the mean is.
  assert.ok(Math.abs(second.decoder_rank.participation_ratio - 3) < 0.4, `${second.decoder_rank.participation_ratio}`);
  const { participation_ratio, of_random } = first.encoder_rank;
  assert.ok(Math.abs(participation_ratio / of_random - 1) < 0.1, `${participation_ratio} of ${of_random}`);
  assert.ok(second.encoder_rank.of_random > 15);
});

Deno.test("features that write along what they read, or against it, are told from chance", async () => {
  const encoder = gaussians(FEATURES * WIDTH, 1), decoder = encoder.map((x, at) => at < 30 * WIDTH ? x : -x);
  const weights = { encoder, decoder, encoderBias: new Float32Array(FEATURES), decoderBias: new Float32Array(WIDTH) };
  const [{ along, against }] = (await analyzeWeights(weights, [FEATURES], secondMoment)).groups;
  assert.deepEqual([along, against], [0.3, 0.7]);
});

Deno.test("feature by feature: the same lengths, biases and alignments", async () => {
  const weights = planted(), rows = weightsOfFeatures(weights, GROUPS);
  assert.deepEqual(rows.map(({ feature, group }) => [feature, group]).filter((_, i) => i === 39 || i === 40), [
    ...[[39, 0], [40, 1]],
  ]);
  const [{ encoder_norm, decoder_norm, alignment }] = (await analyzeWeights(weights, GROUPS, secondMoment)).groups;
  const mean = (of: (row: typeof rows[0]) => number) => rows.reduce((sum, row) => sum + of(row), 0) / rows.length;
  assertClose(
    "means",
    [mean((row) => row.encoder_norm), mean((row) => row.decoder_norm), mean((row) => row.alignment)],
    [
      encoder_norm.mean,
      decoder_norm.mean,
      alignment!.mean,
    ],
    { floor: 1e-9, relative: 1e-6 },
  );
  assert.equal(rows[7].encoder_bias, weights.encoderBias[7]);
  const narrow = { ...weights, decoder: gaussians(FEATURES * 6, 5), decoderBias: new Float32Array(6) };
  assert.ok(weightsOfFeatures(narrow, GROUPS).every(({ alignment }) => Number.isNaN(alignment)));
});

Deno.test("other widths have no alignment, equal rows no dimensions", async () => {
  const encoder = new Float32Array(4 * 8).fill(1), decoder = gaussians(4 * 6, 1);
  const weights = { encoder, decoder, encoderBias: new Float32Array(4), decoderBias: new Float32Array(6) };
  const [{ alignment, alignment_by_chance, along, against, encoder_rank, decoder_rank }] =
    (await analyzeWeights(weights, [4], secondMoment)).groups;
  assert.deepEqual([alignment, alignment_by_chance, along, against], [null, null, null, null]);
  assert.ok(Number.isNaN(encoder_rank.participation_ratio) && decoder_rank.participation_ratio > 1);
});
