import assert from "node:assert/strict";
import { featureStatistics } from "../../core/analysis/feature_statistics.ts";
import type { FeatureRow } from "../../core/analysis/feature_rows.ts";
import { countTokens, type FeatureSamples, sampleStatistics } from "../../core/analysis/sample_statistics.ts";
import { comparePair } from "../../core/runs/analysed.ts";
import { syntheticAnalysis } from "../reports/synthetic_run.ts";

function samples(feature: number, ids: number[]): FeatureSamples {
  const top = ids.map((token_id) => ({
    activation: 1,
    token_id,
    token: `t${token_id}`,
    before: "",
    after: "",
    document: "d",
    position: 0,
  }));
  return { feature, group: 0, fires: ids.length, top, quantiles: [] };
}

async function* stream(...all: FeatureSamples[]): AsyncGenerator<FeatureSamples> {
  yield* all;
}

Deno.test("tokens are counted most frequent first, ties by id", () => {
  assert.deepEqual(
    countTokens(samples(0, [5, 3, 5, 4, 3, 9])).map(({ id, count }) => [id, count]),
    [[3, 2], [5, 2], [4, 1], [9, 1]],
  );
});

Deno.test("one pass keeps the wanted features and counts every feature's top token", async () => {
  const { examples, topTokens, featuresWithSamples } = await sampleStatistics(
    stream(samples(0, [7, 7, 1]), samples(1, []), samples(2, [7]), samples(3, [2])),
    new Set([1, 2]),
  );
  assert.deepEqual([...examples.keys()], [1, 2]);
  assert.deepEqual(topTokens.map(({ id, count }) => [id, count]), [[7, 2], [2, 1]]);
  assert.equal(featuresWithSamples, 3);
});

function row(feature: number, changes: Partial<FeatureRow>): FeatureRow {
  return {
    feature,
    group: feature < 2 ? 0 : 1,
    fires: 10,
    density: 0.01,
    mean_activation: 1,
    max_activation: 2,
    sample_count: 10,
    encoder_norm: 1,
    decoder_norm: 1,
    encoder_bias: 0,
    encoder_decoder_cosine: NaN,
    top_token_id: 1,
    top_token: "a",
    top_token_share: 0.5,
    token_entropy_bits: 1,
    dead: false,
    main_token_id: 1,
    main_token: "a",
    main_token_share: 0.4,
    main_token_share_most: 0.4,
    main_token_occurrences: 20,
    ...changes,
  };
}

Deno.test("feature statistics: ranking, groups, the bar of those at the cap", () => {
  const dead = { dead: true, fires: 0, density: 0, max_activation: 0, sample_count: 0, token_entropy_bits: NaN };
  const features = [
    row(0, { max_activation: 5, fires: 100, sample_count: 20 }),
    row(1, dead),
    row(2, { max_activation: 9, fires: 1000, sample_count: 20 }),
    row(3, { max_activation: 5 }),
  ];
  const statistics = featureStatistics(features, { groups: [2, 2], samples_per_feature: 20 });
  assert.deepEqual(statistics.strongest.map(({ feature }) => feature), [2, 0, 3]);
  assert.equal(statistics.alive, 3);
  assert.equal(statistics.samples, 50);
  assert.equal(statistics.atSampleCap, 2);
  const { edges, counts } = statistics.sampleHistogram;
  assert.deepEqual([counts.length, edges[0], edges[21]], [21, 0, 21]);
  assert.deepEqual([counts[0], counts[10], counts[20]], [1, 1, 2]);
  assert.deepEqual(statistics.groups.map(({ start, end, dead }) => [start, end, dead]), [[0, 2, 1], [2, 4, 0]]);
  assert.ok(Math.abs(statistics.groups[1].shareOfActivations - 1010 / 1110) < 1e-12);
  assert.equal(statistics.encoderDecoderCosine.count, 0);
  assert.equal(statistics.tokenEntropy.count, 3);
});

Deno.test("two layers share bins, and tokens in the order in which most features share them", async () => {
  const changes = { groups: [16, 16], dIn: 4, dOut: 4, steps: 100 };
  const a = await syntheticAnalysis(changes);
  const b = await syntheticAnalysis({ ...changes, layer: 4 });
  const comparison = comparePair(a, b);
  assert.deepEqual(comparison.logDensity.a.edges, comparison.logDensity.b.edges);
  assert.equal(comparison.maxActivation.b.counts.reduce((sum, count) => sum + count), 32);
  assert.ok(comparison.sameModel);
  for (const { id, a: inA, b: inB } of comparison.sharedTokens) {
    assert.equal(inA, a.samples.topTokens.find((token) => token.id === id)!.count);
    assert.equal(inB, b.samples.topTokens.find((token) => token.id === id)!.count);
  }
  assert.ok(comparison.tokenOverlap > 0 && comparison.tokenOverlap <= 1);
  assert.ok(comparison.diversity.a.effective <= comparison.diversity.a.distinct);
  assert.ok(!comparePair(a, { ...b, config: { ...b.config, model: { ...b.config.model, name: "other" } } }).sameModel);
});
