/** What is particular about a layer: against NumPy, and of worlds whose features were planted. */

import assert from "node:assert/strict";
import { type ComponentKind, type FeatureAttribution } from "../../core/analysis/attribution.ts";
import { explainedBy, PREDICTORS } from "../../core/analysis/explained.ts";
import { analyseLayer, type LayerFeature } from "../../core/analysis/layer.ts";
import { bestMatches, matchFeatures } from "../../core/analysis/matching.ts";
import { otherLayers } from "../../core/runs/other_layers.ts";
import { assertClose } from "../compare.ts";
import { golden, goldenRecord } from "./layer_golden.ts";
import { bursty, chanceOf, CONTEXT, plantedRecord, type Rule } from "./planted_record.ts";

const TOKENS = 3200, perContext = CONTEXT - 1;
const all = (features: number) => Array.from({ length: features }, (_, i) => i);

Deno.test("R2 of token, previous token and place, with their errors, are those of NumPy", () => {
  const found = explainedBy(goldenRecord, all(golden.cosine.length)), close = { floor: 1e-9, relative: 1e-9 };
  for (const predictor of PREDICTORS) {
    assertClose(predictor, found.map((one) => one[predictor].r2), golden.explained[predictor], close);
    assertClose(`${predictor}, errors`, found.map((one) => one[predictor].error), golden.errors[predictor], close);
  }
});

const draws = [1, 2, 3].map((seed) => chanceOf(seed, TOKENS));
/** Fires on a token, behind one, at the beginning of contexts, in whole contexts, at random; on words that occur once or twice. */
const RULES: Rule[] = [
  (t) => t % 50 === 7 ? 2 : 0,
  (t) => t % perContext > 0 && t % 50 === 8 ? 1 + draws[0][t] / 4 : 0,
  (t) => t % perContext < 2 ? 1 : 0,
  (t) => Math.floor(t / perContext) % 3 === 0 ? 1 : 0,
  (t) => draws[1][t] < 0.1 ? 1 + draws[1][t] : 0,
];

Deno.test("a token is told from what it stands behind, a place from both, and random firings from nothing", () => {
  const record = plantedRecord([3, 2], TOKENS, RULES),
    [token, previous, position, context, random] = explainedBy(
      { ...record, id: record.id.map((id, t) => t % 50 === 8 ? 100 + t % 37 : id) },
      all(5),
    );
  assert.ok(token.token.r2 > 0.95 && token.previous.r2 > 0.9, JSON.stringify(token));
  assert.ok(previous.previous.r2 > 0.9 && previous.token.r2 < 0.9, JSON.stringify(previous));
  assert.ok(position.position.r2 > 0.99 && position.token.r2 < 0.1, JSON.stringify(position));
  for (const one of [context, random]) {
    for (const predictor of PREDICTORS) {
      assert.ok(one[predictor].r2 < 0.02 && one[predictor].error >= 0, JSON.stringify(one));
    }
  }
});

Deno.test("tokens that occur once explain nothing, though their own means would fit them wholly", () => {
  const record = plantedRecord([1], TOKENS, [RULES[4]]);
  const [{ token, previous }] = explainedBy({ ...record, id: Uint32Array.from(record.id, (_, t) => t) }, [0]);
  assert.ok(Math.abs(token.r2) < 1e-9 && Math.abs(previous.r2) < 0.01, `${token.r2}, ${previous.r2}`);
});

const shares = (embedding: number): Record<ComponentKind, number> => ({
  ...{ embedding, earlier_attention: 0.6 * (1 - embedding), own_attention: 0.4 * (1 - embedding) },
  ...{ earlier_mlps: 0, own_mlp: 0 },
});

Deno.test("kinds, their share of all activation, and the link with what lifts features", () => {
  const attribution = {
    features: [0.9, 0.8, 0.3, 0.2, 0.1].map((share, feature) =>
      ({ feature, shares: shares(share) }) as unknown as FeatureAttribution
    ).filter(({ feature }) => feature !== 2),
  };
  const record = plantedRecord([3, 3], TOKENS, [...RULES, (t) => t < 9 ? 1 : 0]);
  const found = analyseLayer({ record, attribution, others: [] });
  const kindOf = ({ kind }: LayerFeature) => kind;
  assert.deepEqual(found.features.map(kindOf), ["token", "previous", "position", "context", "context"]);
  assert.deepEqual(found.features.map(({ group }) => group), [0, 0, 0, 1, 1]);
  assert.deepEqual([found.rare, found.own, found.others], [1, null, []]);
  assert.deepEqual(found.kinds.map(({ features }) => features), [1, 1, 1, 2]);
  const mass = record.value.reduce((sum, value) => sum + value, 0) - 9;
  assertClose("mass", [found.kinds[0].mass], [found.features[0].mass / mass], { floor: 1e-6, relative: 0 });
  assert.equal(found.features[2].shares, null);
  const { features, embedding, attention, chance } = found.link!;
  assert.deepEqual([features, chance], [4, 1.96 / Math.sqrt(3)]);
  assert.ok(embedding > 0.7 && Math.abs(embedding + attention) < 1e-12);
  assert.equal(analyseLayer({ record, attribution: undefined, others: [] }).link, null);
});

Deno.test("features that other layers lack are the layer's own, as compare finds them, and one that any has is not", () => {
  const alone = (seed: number, count: number): Rule[] =>
    Array.from({ length: count }, (_, i) => bursty(seed + i, TOKENS, 0.05));
  const record = plantedRecord([40], TOKENS, alone(0, 40)), second = plantedRecord([40], TOKENS, alone(20, 40));
  const third = plantedRecord([30], TOKENS, alone(10, 30));
  const [matches, back] = bestMatches(record, second), compared = matchFeatures(record, second);
  assert.deepEqual([matches.limit, back.limit], [compared.a.chance_limit, compared.b.chance_limit]);
  const one = analyseLayer({ record, attribution: undefined, others: [{ name: "layer 4", matches }] });
  assert.deepEqual(one.others, [
    { name: "layer 4", judged: 40, same: compared.a.same, unique: compared.a.unique },
  ]);
  assert.equal(one.own, compared.a.unique);
  assert.deepEqual(one.features.filter(({ best_elsewhere }) => best_elsewhere! > 0.99).map(({ feature }) => feature), [
    ...all(40).slice(20),
  ]);
  const others = [{ name: "layer 4", matches }, { name: "layer 6", matches: bestMatches(record, third)[0] }];
  const two = analyseLayer({ record, attribution: undefined, others });
  assert.ok(two.own! >= 8 && two.own! <= 10, "features 0 to 9 are in neither");
  assert.ok(two.features.every(({ feature, is_own }) => !is_own || feature < 10));
});

Deno.test("a layer is held against one transcoder of each other layer, the one most like it, the nearest first", () => {
  const of = (layer: number, changes = {}) => ({
    config: {
      ...{
        layer,
        source: { layer, site: "resid_mid" },
        targets: [{ layer, site: "mlp_out" }],
        groups: [8],
        k: 4,
        seed: 0,
      },
      ...{ skip: false, learning_rate: 1e-3, context: 64, model: { name: "m" }, data: { name: "d" }, ...changes },
    },
  } as unknown as Parameters<typeof otherLayers>[0]);
  const own = of(6, { k: 8 }), best = of(4, { k: 8 });
  const every = [of(1), own, of(6), of(4), best, of(4, { k: 8, seed: 1 }), of(7), of(12), of(9), of(30)];
  assert.deepEqual(otherLayers(own, every).map((one) => every.indexOf(one)), [6, 4, 8, 0]);
  assert.deepEqual(otherLayers(own, [of(4, { model: { name: "another" } }), of(4, { context: 32 }), own]), []);
});
