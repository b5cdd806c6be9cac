import assert from "node:assert/strict";
import { compareTranscoders } from "../../core/analysis/comparison.ts";
import { featureStatistics } from "../../core/analysis/feature_statistics.ts";
import type { FeatureRow } from "../../core/analysis/feature_rows.ts";
import { leastSquares } from "../../core/analysis/statistics.ts";
import { tokenBinding } from "../../core/analysis/token_binding.ts";
import { countTokens, type FeatureSamples, sampleStatistics } from "../../core/analysis/sample_statistics.ts";
import { comparePair } from "../../core/runs/analysed.ts";
import { uniform } from "../random.ts";
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

Deno.test("one pass keeps the wanted features with their tokens", async () => {
  const { examples } = await sampleStatistics(
    stream(samples(0, [7, 7, 1]), samples(1, []), samples(2, [7]), samples(3, [2])),
    new Set([1, 2]),
  );
  assert.deepEqual([...examples].map(([feature, { tokens }]) => [feature, tokens.map(({ id }) => id)]), [[1, []], [2, [
    7,
  ]]]);
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
  assert.equal(statistics.tokenEntropy.count, 2, "ten samples cannot be as mixed as twenty");
});

Deno.test("strength and frequency: no relation in a common pool, whose maxima have one; groups do not mix", () => {
  const next = uniform(5), related = { groups: [300, 300], samples_per_feature: 20 };
  /** Features that draw all activations from one pool. */
  const pooled = (scale: (feature: number, fires: number) => number) =>
    Array.from({ length: 600 }, (_, feature) => {
      const fires = Math.round(10 ** (1 + 3 * next() - (feature < 300 ? 0 : 0.5)));
      const drawn = Array.from({ length: fires }, () => -Math.log(1 - next()) * scale(feature, fires));
      const mean_activation = drawn.reduce((sum, value) => sum + value, 0) / fires;
      const max_activation = drawn.reduce((most, value) => Math.max(most, value), 0);
      return row(feature, { group: feature < 300 ? 0 : 1, fires, mean_activation, max_activation });
    });
  const rowsOfPool = pooled(() => 1), { strengthAndFrequency: none } = featureStatistics(rowsOfPool, related);
  assert.ok(Math.abs(none.correlation) < 0.08 && Math.abs(none.chance - 0.08) < 0.001, JSON.stringify(none));
  const maxima = rowsOfPool.map(({ max_activation }) => Math.log(max_activation));
  assert.ok(leastSquares(rowsOfPool.map(({ fires }) => Math.log(fires)), maxima).correlation > 0.7, "the trap");
  const shifted = featureStatistics(pooled((feature) => feature < 300 ? 5 : 1), related).strengthAndFrequency;
  assert.ok(
    Math.abs(shifted.correlation) < 0.1,
    `a stronger and more frequent group is no relation: ${shifted.correlation}`,
  );
  const weaker = featureStatistics(pooled((_, fires) => 1 / fires), related).strengthAndFrequency;
  assert.ok(weaker.correlation < -0.9, `${weaker.correlation}`);
});

Deno.test("two layers share bins and token detectors", async () => {
  const changes = { groups: [16, 16], dIn: 4, dOut: 4, steps: 100 };
  const a = await syntheticAnalysis(changes);
  const b = await syntheticAnalysis({ ...changes, layer: 4 });
  const comparison = comparePair(a, b);
  assert.deepEqual(comparison.logDensity.a.edges, comparison.logDensity.b.edges);
  assert.equal(comparison.logMaxActivation.b.counts.reduce((sum, count) => sum + count), 32);
  assert.ok(comparison.sameModel);
  const detectors = ({ features }: typeof a) =>
    features.filter(({ fires, main_token_share }) => fires >= 50 && main_token_share >= 0.5);
  for (const [side, layer] of [["a", a], ["b", b]] as const) {
    const found = detectors(layer), { features, tokens, judged } = comparison.detectors[side];
    assert.deepEqual([features, tokens], [found.length, new Set(found.map((row) => row.main_token_id)).size]);
    assert.ok(features > 0 && features < judged && judged < layer.features.length);
    for (const shared of comparison.sharedTokens) {
      assert.equal(shared[side], found.filter((row) => row.main_token_id === shared.id).length);
    }
  }
  assert.ok(!comparePair(a, { ...b, config: { ...b.config, model: { ...b.config.model, name: "other" } } }).sameModel);
});

Deno.test("a feature belongs to a token by the bounds of its share, and is not judged by few firings", () => {
  const binding = (fires: number, main_token_share: number, main_token_share_most = main_token_share) =>
    tokenBinding(row(0, { fires, main_token_share, main_token_share_most }));
  assert.deepEqual([binding(50, 0.5), binding(49, 1), binding(49, 0)], ["detector", "undecided", "undecided"]);
  assert.deepEqual([binding(900, 0.49, 0.5), binding(900, 0.48, 0.49)], ["undecided", "mixed"]);
  assert.equal(binding(900, NaN), "undecided", "a file that is too old to say");
});

Deno.test("medians are apart where the features are, and not where they are drawn from the same", () => {
  const transcoder = (seed: number, shift: number, n: number) => {
    const next = uniform(seed),
      features = Array.from(
        { length: n },
        (_, i) =>
          row(i, { group: 0, density: 10 ** (-3 + next() + shift), max_activation: 1 + next(), sample_count: 10 }),
      );
    return {
      features,
      statistics: featureStatistics(features, { groups: [n], samples_per_feature: 10 }),
      config: { samples_per_feature: 10 },
    };
  };
  const { logDensity: apart } = compareTranscoders(transcoder(1, 0, 200), transcoder(2, 0.2, 300));
  assert.ok(apart.ci95[0] > 0 && apart.ci95[0] < apart.difference && apart.difference < apart.ci95[1]);
  // A 95 % interval leaves 0 out in one of twenty pairs that are alike.
  const wrong =
    Array.from({ length: 60 }, (_, i) => compareTranscoders(transcoder(10 + i, 0, 100), transcoder(90 + i, 0, 100)))
      .filter(({ logDensity: { ci95: [low, high] } }) => low > 0 || high < 0).length;
  assert.ok(wrong <= 8, `${wrong} of 60`);
});
