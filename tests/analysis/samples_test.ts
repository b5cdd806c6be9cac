/** Samples against a plain sort: ranks, ties, duplicates, capacity, windows and quantiles. */

import assert from "node:assert/strict";
import {
  CONTEXT_RADIUS,
  FeatureTally,
  SAMPLE_QUANTILES,
  SampleStore,
  type SparseRows,
} from "../../core/analysis/samples.ts";
import { NO_DOCUMENT, type TokenBatch } from "../../core/text/contexts.ts";
import { uniform } from "../random.ts";

/** Contexts cut from one document of ascending ids from 100 on; BOS is 2. */
function batchOf(contexts: number, context: number, document = 0): TokenBatch {
  const ids = new Uint32Array(contexts * context), position = new Uint32Array(ids.length);
  const origin = new Uint32Array(ids.length).fill(document);
  for (let at = 0, token = 0; at < ids.length; at++) {
    if (at % context === 0) [ids[at], origin[at]] = [2, NO_DOCUMENT];
    else [ids[at], position[at]] = [100 + token, token++];
  }
  return { contexts, context, ids, document: origin, position };
}

/** What the store documents: by rank, equal ranks in the order they came, a place of the text once with its best rank. */
function naive(offers: { rank: number; place: number }[], capacity: number): { rank: number; place: number }[] {
  const best = new Map<number, { rank: number; place: number; turn: number }>();
  offers.forEach((offer, turn) => {
    const before = best.get(offer.place);
    if (!before || offer.rank > before.rank) best.set(offer.place, { ...offer, turn });
  });
  return [...best.values()].sort((a, b) => b.rank - a.rank || a.turn - b.turn).slice(0, capacity)
    .map(({ rank, place }) => ({ rank, place }));
}

for (const capacity of [1, 2, 7, 40]) {
  for (
    const [what, ranks, places] of [["distinct ranks", 1e9, 1e9], ["ties", 4, 1e9], [
      "ties and repeated tokens",
      9,
      11,
    ]] as const
  ) {
    Deno.test(`SampleStore keeps what a plain sort keeps: capacity ${capacity}, ${what}`, () => {
      const next = uniform(capacity), batch = batchOf(3, 15);
      for (let round = 0; round < 20; round++) {
        const store = new SampleStore(3, capacity), offers: { rank: number; place: number }[] = [];
        for (let n = 0; n < 60; n++) {
          const rank = Math.fround(Math.floor(next() * ranks) / 8);
          const at = [...batch.ids.keys()].filter((place) => place % 15 > 0)[Math.floor(next() * Math.min(places, 42))];
          // What `accepts` refuses must make no difference.
          if (store.accepts(1, rank)) store.offer(1, rank, rank * 2, n, batch, at);
          offers.push({ rank, place: batch.position[at] });
        }
        const kept = store.samples(1).map(({ activation, position }) => ({ rank: activation / 2, place: position }));
        assert.deepEqual(kept, naive(offers, capacity));
        assert.deepEqual([store.samples(0), store.samples(2)], [[], []], "other features");
      }
    });
  }
}

Deno.test("a sample has the tokens around it: inside its context, without BOS", () => {
  const context = 30, batch = batchOf(2, context, 4), store = new SampleStore(1, 5);
  const ascending = (from: number, to: number) => Uint32Array.from({ length: to - from }, (_, n) => from + n);
  for (
    const [at, before, token, after] of [
      [1, ascending(100, 100), 100, ascending(101, 111)],
      [5, ascending(100, 104), 104, ascending(105, 115)],
      [15, ascending(104, 114), 114, ascending(115, 125)],
      [29, ascending(118, 128), 128, ascending(129, 129)],
      [31, ascending(129, 129), 129, ascending(130, 140)],
    ] as const
  ) {
    store.offer(0, at, at / 2, 7, batch, at);
    const [sample] = store.samples(0);
    assert.deepEqual(sample, { activation: at / 2, step: 7, document: 4, position: token - 100, token, before, after });
    assert.ok(sample.before.length <= CONTEXT_RADIUS && sample.after.length <= CONTEXT_RADIUS);
  }
  store.offer(0, 99, 1, 0, batch, 30);
  assert.equal(store.samples(0)[0].token, 2, "BOS, where it is counted, is the sample itself");
  assert.deepEqual(store.samples(0)[0].after[0], 129);
});

/** Activations of feature 1 on every token, of feature 0 on none. */
function rowsOf(values: ArrayLike<number>): SparseRows {
  return {
    rowStart: Uint32Array.from({ length: values.length + 1 }, (_, b) => b),
    index: new Uint32Array(values.length).fill(1),
    value: Float32Array.from(values),
  };
}

const placesOf = (batch: TokenBatch) => Uint32Array.from(batch.ids.keys()).filter((at) => at % batch.context > 0);

Deno.test("FeatureTally counts every activation and samples those that are strong enough", () => {
  const tally = new FeatureTally(3, 4, 0.5), batch = batchOf(2, 6), places = placesOf(batch);
  const values = [0.1, 0.6, 0.7, 0.2, 0.9, 0.5, 0.4, 0.8, 0.3, 0.65];
  tally.add(rowsOf(values), batch, places);
  assert.deepEqual(Array.from(tally.fires), [0, 10, 0]);
  assert.equal(tally.tokens, 10);
  assert.ok(Math.abs(tally.sums[1] - values.reduce((a, b) => a + b, 0)) < 1e-6);
  assert.equal(tally.maxima[1], Math.fround(0.9));
  assert.deepEqual(tally.top.samples(1).map(({ activation }) => activation), [0.9, 0.8, 0.7, 0.65].map(Math.fround));
  assert.deepEqual(tally.quantiles(1), [], "six samples are fewer than the quantiles");
});

Deno.test("FeatureTally does not depend on how the text is cut into batches, and counts a repeated token's sample once", () => {
  const next = uniform(1), whole = batchOf(8, 20), values = Array.from({ length: 8 * 19 }, () => 0.1 + next());
  const summary = (
    tally: FeatureTally,
  ) => [tally.fires, tally.tokens, tally.maxima, tally.top.samples(1), tally.quantiles(1)];
  const once = new FeatureTally(2, 30, 0);
  once.add(rowsOf(values), whole, placesOf(whole));
  const parts = new FeatureTally(2, 30, 0), places = placesOf(whole);
  parts.add(rowsOf(values.slice(0, 57)), whole, places.subarray(0, 57));
  parts.add(rowsOf(values.slice(57)), whole, places.subarray(57));
  assert.deepEqual(summary(parts), summary(once));
  parts.add(rowsOf(values), whole, places);
  assert.deepEqual([parts.top.samples(1), parts.quantiles(1)], [once.top.samples(1), once.quantiles(1)]);
});

Deno.test("quantile samples stand at their quantiles: exactly for few activations, nearly for many", () => {
  const few = new FeatureTally(2, 1, 0), batch = batchOf(1, 101);
  few.add(rowsOf(Array.from({ length: 100 }, (_, n) => (n * 37 % 100) + 1)), batch, placesOf(batch));
  assert.deepEqual(
    few.quantiles(1).map(({ quantile, activation }) => [quantile, activation]),
    SAMPLE_QUANTILES.map((quantile) => [quantile, Math.floor(quantile * 100) + 1]),
  );
  const many = new FeatureTally(2, 1, 0), long = batchOf(200, 101), next = uniform(3);
  many.add(rowsOf(Array.from({ length: 20_000 }, () => next())), long, placesOf(long));
  // A hundred uniform numbers: the standard error of a quantile is at most 0.05.
  for (const { quantile, activation } of many.quantiles(1)) {
    assert.ok(Math.abs(activation - quantile) < 0.2, `${quantile}: ${activation}`);
  }
});
