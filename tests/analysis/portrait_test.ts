/** Dictionaries as a whole: planted shares of activation, tokens and documents. */

import assert from "node:assert/strict";
import { evolvedSide } from "../../core/analysis/evolution.ts";
import { compareHierarchies, comparePortraits } from "../../core/analysis/portrait.ts";
import { bursty, chanceOf, CONTEXT, plantedRecord, type Rule } from "./planted_record.ts";

const TOKENS = 4800, DOCUMENTS = 15;
/** Contexts of 32 tokens that repeat 50 ids; ten contexts to a document. */
function sideOf(rules: readonly Rule[]) {
  const record = plantedRecord([rules.length], TOKENS, rules);
  const documents = Array.from({ length: DOCUMENTS }, (_, d) => ({ name: `${d}`, split: "train" }));
  const document = record.place.map((place) => Math.floor(place / CONTEXT / 10));
  return evolvedSide({ ...record, documents, document });
}
const anywhere = (seed: number, density: number, value: number): Rule => {
  const chance = chanceOf(seed, TOKENS);
  return (t) => chance[t] < density ? value : 0;
};
const count = (found: number, wanted: number, within: number) =>
  assert.ok(Math.abs(found - wanted) < within, `${found}, not ${wanted}`);

Deno.test("diversity: as many features as share the activation, and an interval that holds the difference", () => {
  // Twenty features alike, against twenty of which one is as active as all others.
  const even = sideOf(Array.from({ length: 20 }, (_, i) => anywhere(i, 0.1, 1)));
  const uneven = sideOf(Array.from({ length: 20 }, (_, i) => anywhere(i, 0.1, i === 0 ? 19 : 1)));
  const { effective_features: found } = comparePortraits(even, uneven);
  count(found.a, 20, 0.2);
  count(found.b, Math.exp(0.5 * Math.log(2) + 0.5 * Math.log(2 * 19)), 0.5);
  assert.ok(found.ci95[0] < found.difference && found.difference < found.ci95[1] && found.ci95[1] < -10);
  const [low, high] = comparePortraits(even, even).effective_features.ci95;
  assert.deepEqual([low, high], [0, 0], "the same text is drawn for both");
});

Deno.test("what keeps to a token, or to a document, is told from what fires anywhere", () => {
  const free = sideOf(Array.from({ length: 24 }, (_, i) => anywhere(100 + i, 0.02, 1)));
  // Each fires on one token id alone; each in one document alone.
  const onToken = sideOf(Array.from({ length: 24 }, (_, i) => (t) => t % 50 === i ? 1 : 0));
  const inDocument = sideOf(Array.from({ length: 24 }, (_, i) => {
    const anyhow = anywhere(200 + i, 0.3, 1);
    return (t) => Math.floor(t / 320) === i % DOCUMENTS ? anyhow(t) : 0;
  }));
  const tokens = comparePortraits(free, onToken), documents = comparePortraits(free, inDocument);
  assert.deepEqual([tokens.token_entropy.b, tokens.main_token_share.b, tokens.distinct_tokens[1]], [0, 1, 24]);
  assert.ok(tokens.token_bits.b > 4 && tokens.token_bits.ci95[0] > 4);
  count(tokens.token_bits.a, 0, 0.1);
  count(tokens.token_entropy.a, tokens.token_entropy.a_by_chance!, 0.1);
  assert.ok(tokens.main_token_share.b_by_chance! < 0.15);
  // Ten shuffled contexts lie in about eight documents.
  assert.ok(documents.document_bits.b > 2.4 && documents.document_bits.ci95[0] > 2.2);
  count(documents.document_bits.a, 0, 0.1);
  count(documents.token_bits.b, 0, 0.2);
  const [low, high] = comparePortraits(free, sideOf(Array.from({ length: 24 }, (_, i) => anywhere(300 + i, 0.02, 1))))
    .token_bits.ci95;
  assert.ok(low < 0 && high > 0, `${low} to ${high}: alike`);
});

Deno.test("bursts within a context are no bond to tokens", () => {
  const found = comparePortraits(
    sideOf(Array.from({ length: 24 }, (_, i) => bursty(i, TOKENS, 0.04))),
    sideOf(Array.from({ length: 24 }, (_, i) => anywhere(i, 0.04, 1))),
  );
  count(found.token_bits.a, 0, 0.15);
});

Deno.test("hierarchies: share with a parent and mean depth over groups, with the interval of two shares", () => {
  const of = (share: number, judged: number, depths: [number, number]) =>
    ({
      nested: { share, judged },
      groups: [{ judged: 0, mean_depth: NaN }, { judged: 30, mean_depth: depths[0] }, {
        judged: 10,
        mean_depth: depths[1],
      }],
    }) as unknown as Parameters<typeof compareHierarchies>[0];
  const { with_parent, mean_depth } = compareHierarchies(of(0.5, 100, [0.5, 1.5]), of(0.8, 400, [1, 1]));
  assert.deepEqual(mean_depth, [0.75, 1]);
  const error = 1.96 * Math.sqrt(0.25 / 100 + 0.16 / 400);
  count(with_parent.ci95[0], 0.3 - error, 1e-12);
  count(with_parent.ci95[1], 0.3 + error, 1e-12);
});
