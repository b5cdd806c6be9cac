/** All features at a glance: figures of a small world that can be counted by hand. */

import assert from "node:assert/strict";
import { featuresOverview } from "../../core/analysis/feature_overview.ts";
import { assertClose } from "../compare.ts";
import { documentBins, placeProfiles } from "../../core/analysis/places.ts";
import { CONTEXT, plantedRecord, type Rule } from "./planted_record.ts";

/** Feature i fires on every (i + 1)th token, at most with 4 (i + 1); the last never. */
const rules: Rule[] = Array.from(
  { length: 10 },
  (_, i) => i === 9 ? () => 0 : (t: number) => t % (i + 1) === 0 ? 4 * (i + 1) - (t === 0 ? 0 : 1) : 0,
);
const planted = plantedRecord([4, 6], 320, rules);
const errorRemoved = Float32Array.from({ length: 20 }, (_, at) => at);
const overview = featuresOverview({ ...planted, errorRemoved });

Deno.test("each feature's figures, and where it is strongest", () => {
  assert.deepEqual([overview.tokens, overview.silent], [320, 1]);
  const [, second] = overview.features, last = overview.features[9];
  assert.deepEqual(second, {
    ...{ feature: 1, group: 0, fires: 160, density: 0.5, max_activation: 8, strongest: 0 },
    mean_activation: (8 + 159 * 7) / 160,
    fvu_rise: 3 / 320,
    // Even tokens of fifty ids that come in turn: 25 of them, ten of which come once more.
    tokens: [0, 2, 4, 6, 8].map((id) => ({ id, count: 7 })),
    ...{ token_entropy: second.token_entropy, token_entropy_by_chance: second.token_entropy_by_chance },
    // 159 times 7 of 8, once 8; on every second token wherever one looks.
    activations: [0, 0, 0, 0, 0, 0, 0, 0, 159, 1],
    context_profile: new Array(8).fill(1),
    document_profile: new Array(8).fill(1),
  });
  assert.deepEqual(overview.document_offsets, [0, 40, 80, 120, 160, 200, 240, 280]);
  assert.ok(second.token_entropy < Math.log2(25) && second.token_entropy > 4.6);
  assert.deepEqual([last.fires, last.strongest, last.max_activation, last.tokens], [0, -1, NaN, []]);
  // Contexts of 32 tokens begin on even ids: another one beside leaves a feature of even tokens even ids.
  assert.ok(second.token_entropy_by_chance <= Math.log2(25) && second.token_entropy_by_chance > 4.3);
  assert.ok(Math.abs(overview.fvu - 1 / 3) < 1e-6);
  assert.deepEqual(overview.features.map(({ group }) => group), [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
});

Deno.test("a feature of one token has no entropy, and by chance that of whatever stands elsewhere", () => {
  const [{ token_entropy, token_entropy_by_chance, fires }] =
    featuresOverview(plantedRecord([1], 3200, [(t) => t % 50 === 7 ? 1 : 0])).features;
  assert.deepEqual([fires, token_entropy], [64, 0]);
  assert.ok(token_entropy_by_chance > 3, `${token_entropy_by_chance}`);
});

Deno.test("a feature of the beginnings of contexts, and one of the second half of the document, are told as such", () => {
  const tokens = 10 * (CONTEXT - 1);
  const { features: [early, late, never] } = featuresOverview(
    plantedRecord([3], tokens, [(t) => t % (CONTEXT - 1) < 3 ? 1 : 0, (t) => t >= tokens / 2 ? 1 : 0, () => 0]),
  );
  // Columns 1 to 3 of 33: all that counts of the first eighth but one token.
  const [first, ...others] = early.context_profile;
  assert.deepEqual([first, others], [(CONTEXT - 1) / 4, [0, 0, 0, 0, 0, 0, 0]]);
  assert.deepEqual(late.document_profile, [0, 0, 0, 0, 2, 2, 2, 2]);
  assert.deepEqual(never.activations, new Array(10).fill(0));
  assert.ok(never.context_profile.every(Number.isNaN));
});

Deno.test("offsets that many tokens share make empty eighths, whose multiple is no number", () => {
  const { bin, least } = documentBins({ position: Uint32Array.of(0, 0, 0, 0, 0, 1, 2, 3) });
  assert.deepEqual([[...bin], least], [[4, 4, 4, 4, 4, 5, 6, 7], [0, 0, 0, 0, 0, 1, 2, 3]]);
  assert.deepEqual(placeProfiles(bin)(Uint32Array.of(0, 5)), [NaN, NaN, NaN, NaN, 0.8, 4, 0, 0]);
});

Deno.test("bands hold every living feature once, by quantiles and by the original's limits", () => {
  const sizes = overview.bands.map(({ features }) => features);
  assertClose("limits", overview.bands.map(({ least }) => least), [34.4, 28, 20, 12, 4], { floor: 1e-9, relative: 0 });
  assert.deepEqual(sizes, [1, 2, 2, 2, 2]);
  assert.deepEqual(overview.bands.map(({ groups }) => groups), [[0, 1], [0, 2], [0, 2], [2, 0], [2, 0]]);
  // 36 and 32; 28, 24, 20; 16, 12; 8.
  assert.deepEqual(overview.fixed_bands.map(({ least, features }) => [least, features]), [[30, 2], [20, 3], [10, 2], [
    5,
    1,
  ]]);
  const weak = featuresOverview(plantedRecord([2], 320, [() => 12, (t) => t === 3 ? 1 : 0]));
  assert.deepEqual(weak.fixed_bands.map(({ least }) => least), [10, 5]);
});

Deno.test("histograms hold every feature that fires and every activation", () => {
  const all = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0);
  assert.deepEqual([all(overview.log_density.counts), all(overview.log_activation.counts)], [9, planted.index.length]);
});

Deno.test("a dictionary that never fires", () => {
  const { silent, bands, fixed_bands, log_density } = featuresOverview(
    plantedRecord([3], 320, [() => 0, () => 0, () => 0]),
  );
  assert.deepEqual([silent, bands.map(({ features }) => features), fixed_bands], [3, [0, 0, 0, 0, 0], []]);
  assert.ok(log_density.counts.every((count) => count === 0) && log_density.edges.every(Number.isFinite));
});
