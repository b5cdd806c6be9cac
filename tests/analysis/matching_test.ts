/** Matching: planted pairs are found again, strangers are told, and the assignment is the best there is. */

import assert from "node:assert/strict";
import { assign, type Candidate } from "../../core/analysis/assignment.ts";
import { matchFeatures, sameTokens } from "../../core/analysis/matching.ts";
import { assertClose } from "../compare.ts";
import { uniform } from "../random.ts";
import { bursty, chanceOf, plantedRecord, type Rule } from "./planted_record.ts";

const TOKENS = 4096;
const alone = (seed: number, count: number): Rule[] =>
  Array.from({ length: count }, (_, i) => bursty(seed + i, TOKENS, 0.04));

Deno.test("planted pairs are each other's best in any order, and what one has alone is its own", () => {
  const ofA = alone(0, 50), ofB = alone(500, 60);
  // Features 0 .. 39 of the first are features 59 .. 20 of the second, with some noise and of another size.
  for (let n = 0; n < 40; n++) {
    const noise = chanceOf(3000 + n, TOKENS);
    ofB[59 - n] = (t) => noise[t] < 0.05 ? 0 : 3 * ofA[n](t);
  }
  const [a, b] = [plantedRecord([20, 30], TOKENS, ofA), plantedRecord([60], TOKENS, ofB)];
  const found = matchFeatures(a, b);
  const pairs = found.mutual.filter(({ correlation }) => correlation > 0.7);
  assert.deepEqual(
    pairs.map(({ a, b }) => [a, b]).sort(([a], [b]) => a - b),
    Array.from({ length: 40 }, (_, n) => [n, 59 - n]),
  );
  assert.deepEqual([found.a.judged, found.b.judged, found.tokens], [50, 60, TOKENS]);
  assert.deepEqual([found.a.same, found.b.same], [40, 40]);
  assert.deepEqual(found.a.groups.map(({ judged, same }) => [judged, same]), [[20, 20], [30, 20]]);
  // One in a hundred may seem to have a match.
  assert.ok(found.a.unique >= 9 && found.b.unique >= 18, `${found.a.unique} and ${found.b.unique} of 10 and 20`);
  assert.ok(
    found.a.unique_features.every(({ feature, correlation }) => feature >= 40 && correlation <= found.a.chance_limit),
  );
  assert.ok(found.assigned.pairs >= 40 && found.assigned.pairs <= 43 && found.assigned.mean_correlation > 0.85);
  assert.equal(found.a.histogram.counts.reduce((x, y) => x + y), 50);
  assert.ok(found.a.best.median > 0.9 && found.a.by_chance.median < 0.2);
  assert.deepEqual(found.b.groups.map(({ unique }) => unique), [found.b.unique]);
  found.a.groups.forEach(({ unique, unique_features }, group) => {
    assert.equal(unique_features.length, Math.min(unique, 20));
    assert.ok(unique_features.every(({ feature }) => feature < 20 === (group === 0)));
  });
});

Deno.test("the other way round the sides change places, and a transcoder is found whole in itself", () => {
  const a = plantedRecord([30], TOKENS, alone(0, 30)), b = plantedRecord([30], TOKENS, alone(20, 30));
  const there = matchFeatures(a, b), back = matchFeatures(b, a);
  assert.deepEqual(back.mutual.map(({ a, b }) => [b, a]), there.mutual.map(({ a, b }) => [a, b]));
  assertClose("best", Object.values(back.a.best), Object.values(there.b.best), { floor: 1e-12, relative: 0 });
  // Ten of them are the same, in other places.
  assert.equal(there.a.same, 10);
  const self = matchFeatures(a, a);
  assert.deepEqual(self.mutual.map(({ a, b }) => a - b), new Array(30).fill(0));
  assert.deepEqual([self.a.unique, self.assigned.pairs], [0, 30]);
  assert.ok(Math.abs(self.assigned.mean_correlation - 1) < 1e-9);
});

Deno.test("strangers match no better than by chance", () => {
  const found = matchFeatures(plantedRecord([80], TOKENS, alone(0, 80)), plantedRecord([80], TOKENS, alone(900, 80)));
  assert.equal(found.a.same, 0);
  assert.ok(found.a.unique >= 76 && found.b.unique >= 76, `${found.a.unique} and ${found.b.unique} of 80`);
  assert.ok(Math.abs(found.a.best.median - found.a.by_chance.median) < 0.02);
});

Deno.test("tokens that one record lacks are left out of both; other tokens or contexts are no same text", () => {
  const a = plantedRecord([30], TOKENS, alone(0, 30)), whole = plantedRecord([30], TOKENS, alone(0, 30));
  const lacking = sameTokens(a, {
    ...whole,
    place: whole.place.map((place, t) => t === TOKENS - 1 ? place + 7 : place),
  })!;
  for (const record of lacking) {
    assert.equal(record.place.length, TOKENS - 1);
    assert.equal(record.rowStart.at(-1), record.index.length);
    assert.deepEqual(record.index, a.index.subarray(0, a.rowStart[TOKENS - 1]));
  }
  assert.equal(matchFeatures(...lacking).a.same, 30);
  assert.deepEqual(sameTokens(a, whole), [a, whole]);
  assert.equal(sameTokens(a, { ...whole, context: 9 }), null);
  assert.equal(sameTokens(a, { ...whole, id: whole.id.map((id, t) => t === 5 ? id + 1 : id) }), null);
});

/** The largest sum by going through all assignments. */
function best(values: readonly (readonly number[])[]): number {
  const [first, ...rest] = values;
  if (first === undefined) return 0;
  let most = best(rest);
  first.forEach((value, b) => {
    if (value > 0) most = Math.max(most, value + best(rest.map((row) => row.map((v, j) => j === b ? 0 : v))));
  });
  return most;
}

Deno.test("assignment: the sum is the best of all, each side once, and who is worth nothing stays alone", () => {
  const next = uniform(11);
  for (let trial = 0; trial < 60; trial++) {
    const countA = 1 + Math.floor(6 * next()), countB = 1 + Math.floor(6 * next());
    const values = Array.from(
      { length: countA },
      () => Array.from({ length: countB }, () => next() < 0.4 ? 0 : next()),
    );
    const candidates = values.flatMap((row, a) => row.map((value, b): Candidate => ({ a, b, value }))).filter((
      { value },
    ) => value > 0);
    const partner = assign(candidates, countA, countB), taken = [...partner].filter((b) => b >= 0);
    assert.equal(new Set(taken).size, taken.length);
    const sum = partner.reduce((all, b, a) => b < 0 ? all : all + values[a][b], 0);
    assert.ok(Math.abs(sum - best(values)) <= 1e-4 * taken.length + 1e-12, `${sum} of ${best(values)}`);
    partner.forEach((b, a) => assert.ok(b < 0 || values[a][b] > 0));
  }
  assert.deepEqual([...assign([], 2, 3)], [-1, -1]);
});
