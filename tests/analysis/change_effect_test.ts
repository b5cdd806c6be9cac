/** Means of changed predictions by hand, what their intervals resample, rivals, movers and choices. */

import assert from "node:assert/strict";
import { drawResamples, interval95 } from "../../core/analysis/bootstrap.ts";
import { EffectMeans, EffectSums } from "../../core/analysis/change_effect.ts";
import { Largest } from "../../core/analysis/largest.ts";
import { greedily, meanMoves, movedTokens, probabilitiesOf, sampled } from "../../core/analysis/next_token.ts";
import { drawRivals } from "../../core/analysis/rivals.ts";
import { assertClose } from "../compare.ts";
import { uniform } from "../random.ts";

type Prediction = [context: number, document: number, before: number, after: number];

/** KL and agreement are made of the losses. */
function sumsOf(predictions: readonly Prediction[]): EffectSums {
  const sums = new EffectSums();
  for (const [context, document, before, after] of predictions) {
    const kl = (after - before) ** 2, same = before === after ? 1 : 0;
    sums.add({ context, document, before, after, kl, same });
  }
  return sums;
}

/** Contexts 0 to 5; the second has three predictions, the fourth is of the third's document. */
const PREDICTIONS: Prediction[] = [
  [0, 4, 2, 3],
  [1, 5, 1, 1],
  [1, 5, 1, 1],
  [1, 5, 1, 2],
  [2, 6, 3, 1],
  [3, 6, 4, 4],
  [4, 7, 2, 2.5],
  [5, 8, 2, 2],
];

Deno.test("a change's figures are means over predictions, its intervals those of whole documents", () => {
  const sums = sumsOf(PREDICTIONS), means = new EffectMeans(sums), found = means.of(sums);
  assert.deepEqual([means.contexts, means.documents, means.resampled], [6, 5, "documents"]);
  assert.deepEqual(means.before(sums).ce, 2);
  const { predictions, ce, ce_change, kl, top1 } = found;
  assert.deepEqual([predictions, ce, top1], [8, 16.5 / 8, 0.5]);
  assertClose("rise and KL", [ce_change, kl], [0.5 / 8, (1 + 1 + 4 + 0.25) / 8], { floor: 1e-12, relative: 0 });
  // What each document's predictions have risen by, and how many it has.
  const rise = [1, 1, -2, 0.5, 0], count = [1, 3, 2, 1, 1];
  const shares = drawResamples(5).map((drawn) => {
    const sum = (values: number[]) => values.reduce((sum, value, d) => sum + drawn[d] * value, 0);
    return sum(rise) / sum(count);
  });
  assertClose("interval", found.ce_change_ci95, interval95(Float64Array.from(shares)), { floor: 1e-12, relative: 0 });
  assert.deepEqual(sums.documents.map(({ document, predictions }) => [document, predictions]), [
    [4, 1],
    [5, 3],
    [6, 2],
    [7, 1],
    [8, 1],
  ]);
  assert.deepEqual(sums.documents[2], { document: 6, predictions: 2, ce_change: -1, kl: 2 });
});

Deno.test("some of the predictions have means of their own on the same resamples; without any in a resample there is no interval", () => {
  const means = new EffectMeans(sumsOf(PREDICTIONS));
  const few = means.of(sumsOf(PREDICTIONS.slice(0, 2)));
  assert.deepEqual([few.predictions, few.ce, few.ce_change], [2, 2, 0.5]);
  assert.deepEqual(few.ce_ci95, [NaN, NaN], "some of 1,000 resamples of five documents have neither");
  const contexts = new EffectMeans(sumsOf(PREDICTIONS.slice(0, 6)));
  assert.deepEqual([contexts.resampled, contexts.contexts, contexts.documents], ["contexts", 4, 3]);
});

Deno.test("a change that moves nothing is exactly 0, with its interval", () => {
  const sums = sumsOf(PREDICTIONS.map(([context, document, before]) => [context, document, before, before]));
  const { ce_change, ce_change_ci95, kl, kl_ci95, top1, top1_ci95 } = new EffectMeans(sums).of(sums);
  assert.deepEqual([ce_change, ce_change_ci95, kl, kl_ci95, top1, top1_ci95], [0, [0, 0], 0, [0, 0], 1, [1, 1]]);
});

Deno.test("the largest few are kept, of equal ones the first", () => {
  const next = uniform(3), values = Array.from({ length: 200 }, () => Math.floor(20 * next()));
  for (const most of [1, 7, 300]) {
    const largest = new Largest<number>(most);
    values.forEach((value, i) => largest.add(i, value));
    const expected = values.map((_, i) => i).sort((a, b) => values[b] - values[a] || a - b).slice(0, most);
    assert.deepEqual(largest.items, expected);
  }
});

Deno.test("movers are the tokens with the largest difference of probability, none that stays", () => {
  const before = Float32Array.of(0, 1, 2, 3, -50, 1), after = Float32Array.of(0, 2, 2, 1, -50, 1);
  const p = probabilitiesOf(before), q = probabilitiesOf(after);
  assertClose("sum", [p.reduce((sum, share) => sum + share, 0)], [1], { floor: 1e-12, relative: 0 });
  assertClose("ratio", [p[3] / p[2]], [Math.E], { floor: 1e-12, relative: 0 });
  const { movers, most_probable_before, most_probable_after } = movedTokens(before, after, 3);
  assert.deepEqual(movers.map(({ token_id }) => token_id), [3, 1, 2]);
  assert.deepEqual(movers[0], { token_id: 3, before: p[3], after: q[3] });
  assert.deepEqual([most_probable_before.token_id, most_probable_after.token_id], [3, 1], "the lower of equal ones");
  assert.deepEqual(movedTokens(before, before, 3).movers, []);
  assert.equal(movedTokens(before, after, 10).movers.length, 6);
});

Deno.test("over many predictions the tokens that gain and those that lose are told of by their mean probability", () => {
  const before = Float64Array.of(4, 2, 1, 0.5, 0.5), after = Float64Array.of(2, 2, 3, 0.75, 0.25);
  const { moved, gained, lost } = meanMoves(before, after, 8, 5);
  assert.equal(moved, 2.25 / 8);
  assert.deepEqual(gained, [
    { token_id: 2, before: 1 / 8, after: 3 / 8 },
    { token_id: 3, before: 0.5 / 8, after: 0.75 / 8 },
  ]);
  assert.deepEqual(lost.map(({ token_id }) => token_id), [0, 4]);
  assert.deepEqual(meanMoves(before, after, 8, 1).gained, gained.slice(0, 1));
  const [one, other] = [Float64Array.of(1, 1, 2), Float64Array.of(2, 2, 0)];
  assert.deepEqual(
    meanMoves(one, other, 4, 3).gained.map(({ token_id }) => token_id),
    [0, 1],
    "of equal ones the lower id",
  );
  assert.deepEqual(meanMoves(before, before, 8, 5), { moved: 0, gained: [], lost: [] });
});

Deno.test("sampling draws each token as often as it is probable, and the same whatever else has changed", () => {
  const logits = Float32Array.of(0, 1, 2, 3), steps = 20000;
  for (const temperature of [1, 0.5]) {
    const choose = sampled(temperature, 5), counts = new Float64Array(4);
    for (let step = 0; step < steps; step++) counts[choose(logits, step)]++;
    const expected = probabilitiesOf(logits.map((logit) => logit / temperature));
    const error = expected.map((p) => 4.5 * Math.sqrt(p * (1 - p) / steps));
    assertClose(`temperature ${temperature}`, counts.map((count) => count / steps), expected, error);
  }
  assert.equal(greedily(logits), 3);
  // Another model that likes token 0 less: whoever had not chosen it chooses the same.
  const other = Float32Array.of(-3, 1, 2, 3), choose = sampled(1, 9);
  for (let step = 0; step < 500; step++) {
    const chosen = choose(logits, step);
    if (chosen !== 0) assert.equal(choose(other, step), chosen);
  }
});

Deno.test("rivals are as many other features, each among the ten nearest in mass, the same for equal seeds", () => {
  const mass = Float64Array.from({ length: 100 }, (_, feature) => (feature * 37) % 100);
  for (const chosen of [[3], [0, 50, 99, 20], Array.from({ length: 50 }, (_, i) => 2 * i)]) {
    const rivals = drawRivals(mass, chosen, 1, 0)!;
    assert.equal(new Set(rivals).size, chosen.length);
    assert.ok(rivals.every((rival) => !chosen.includes(rival)));
    assert.deepEqual(drawRivals(mass, chosen, 1, 0), rivals);
    assert.notDeepEqual(drawRivals(mass, chosen.slice(0, 4), 1, 1), drawRivals(mass, chosen.slice(0, 4), 1, 0));
  }
  const drawn = Array.from({ length: 300 }, (_, draw) => mass[drawRivals(mass, [3], 0, draw)![0]]);
  const nearest = [6, 7, 8, 9, 10, 12, 13, 14, 15, 16];
  assert.deepEqual(
    [...new Set(drawn)].sort((a, b) => a - b),
    nearest,
    "all of them come, and no others: mass 11 is its own",
  );
  assert.equal(mass[3], 11);
  assert.equal(drawRivals(mass, Array.from({ length: 51 }, (_, i) => i), 0, 0), null);
});
