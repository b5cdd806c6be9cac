import assert from "node:assert/strict";
import { featureCards } from "../../core/analysis/feature_card.ts";
import { CONTEXT, plantedRecord } from "./planted_record.ts";

/** BOS is not among a context's tokens. */
const PER_CONTEXT = CONTEXT - 1, TOKENS = 4 * PER_CONTEXT;
/** Feature 0 fires on every other token, ever stronger; 1 never; 2 once in every context, alike. */
const record = plantedRecord([1, 2], TOKENS, [
  (t) => t % 2 === 0 ? (t + 1) / TOKENS : 0,
  () => 0,
  (t) => t % PER_CONTEXT === 5 ? 1 : 0,
]);

Deno.test("a card counts firings, and shows the strongest one of each context before bands of a quarter each", () => {
  const [first, never, once] = featureCards(record, 3), fires = Math.ceil(TOKENS / 2);
  assert.deepEqual([first.feature, first.fires, first.density], [0, fires, fires / TOKENS]);
  assert.equal(first.histogram.reduce((sum, count) => sum + count, 0), fires);
  assert.equal(first.percentiles.length, 100);
  assert.ok(first.percentiles.every((value, p) => p === 0 || value >= first.percentiles[p - 1]));
  assert.equal(first.percentiles[99], first.max);
  const [strongest, ...bands] = first.bands,
    contexts = new Set(record.place.map((place) => Math.floor(place / CONTEXT)));
  assert.equal(strongest.examples.length, contexts.size);
  assert.equal(bands.reduce((sum, { share }) => sum + share, 0), 1);
  bands.forEach(({ least, most, examples }, b) => {
    assert.equal(examples.length, 5);
    assert.ok(b === 0 || most <= bands[b - 1].least);
    for (const { at, activations } of examples) assert.ok(activations[at] >= least && activations[at] <= most);
  });
  assert.deepEqual([never.fires, never.max, never.bands, never.histogram, never.percentiles], [0, 0, [], [], []]);
  assert.equal(once.bands[0].examples.length, once.fires);
});

Deno.test("an example stays in its context, with the activations of all of its tokens", () => {
  for (const { bands, feature } of featureCards(record, 3)) {
    for (const { at, tokens, activations } of bands.flatMap(({ examples }) => examples)) {
      const contexts = tokens.map((token) => Math.floor(record.place[token] / CONTEXT));
      assert.deepEqual(new Set(contexts).size, 1);
      assert.deepEqual(tokens, tokens.map((_, i) => tokens[0] + i));
      assert.ok(at < tokens.length && activations[at] > 0);
      tokens.forEach((token, i) => {
        const entries = Array.from(
          { length: record.rowStart[token + 1] - record.rowStart[token] },
          (_, n) => record.rowStart[token] + n,
        );
        const entry = entries.find((e) => record.index[e] === feature);
        assert.equal(activations[i], entry === undefined ? 0 : record.value[entry]);
      });
    }
  }
});

Deno.test("the same text twice is told as repeated", () => {
  const same = { ...record, id: record.id.map((_, token) => record.place[token] % CONTEXT) };
  const [, , once] = featureCards(same, 3);
  assert.deepEqual(once.bands[0].examples.map(({ isRepeated }) => isRepeated), [
    false,
    ...Array(once.fires - 1).fill(true),
  ]);
});
