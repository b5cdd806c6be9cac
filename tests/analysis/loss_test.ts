/** Means and shares recovered by hand, and what their intervals resample. */

import assert from "node:assert/strict";
import { LossFigures, PredictionSums } from "../../core/analysis/loss.ts";
import { assertClose } from "../compare.ts";

/** Sums of predictions, given as [context, document, loss] with KL and agreement made of the loss. */
function sumsOf(predictions: readonly [context: number, document: number, loss: number][]): PredictionSums {
  const sums = new PredictionSums();
  // In two batches, the second of which goes on with a context of the first.
  for (const part of [predictions.slice(0, 3), predictions.slice(3)]) {
    sums.add({
      context: part.map(([context]) => context),
      document: part.map(([, document]) => document),
      loss: part.map(([, , loss]) => loss),
      kl: part.map(([, , loss]) => loss / 8),
      same: part.map(([, , loss]) => loss > 3 ? 0 : 1),
    });
  }
  return sums;
}

/** Contexts 0, 1, 3 .. have a prediction each but the second, which has three; context 2 has none. */
const PLACES = [0, 1, 1, 1, 3, 4, 5];
const shifted = (documents: readonly number[], by: readonly number[]) =>
  sumsOf(PLACES.map((context, i) => [context, documents[i], 2 + by[i]]));

for (
  const [resampled, documents] of [
    ["contexts", [7, 7, 7, 7, 8, 9, 9]],
    ["documents", [7, 8, 8, 8, 9, 10, 11]],
  ] as const
) {
  Deno.test(`shares recovered are those of mean losses; intervals over ${resampled}`, () => {
    const clean = shifted(documents, [0, 0, 0, 0, 0, 0, 0]), zero = shifted(documents, [4, 4, 4, 4, 4, 4, 4]);
    const mean = shifted(documents, [2, 2, 2, 2, 2, 2, 2]), spliced = shifted(documents, [1, 0, 0, 0, 0, 2, 0.5]);
    const figures = new LossFigures(clean), { tokens, contexts, ...common } = figures.common();
    assert.deepEqual([tokens, contexts, common.resampled, common.documents], [
      7,
      5,
      resampled,
      new Set(documents).size,
    ]);
    assert.deepEqual(common.clean, { ce: 2, ce_ci95: [2, 2] });
    const { zero: ablated, per_prefix: [found] } = figures.replacement({ zero, mean, prefixes: [spliced] }, [{
      prefix: 5,
    }]);
    assert.deepEqual(ablated, { ce: 6, ce_ci95: [6, 6], kl: 0.75, kl_ci95: [0.75, 0.75], top1: 0, top1_ci95: [0, 0] });
    const rise = 3.5 / 7;
    const actual = [found.prefix, found.ce, found.kl, found.top1, found.recovered_zero, found.recovered_mean];
    const expected = [5, 2 + rise, (2 + rise) / 8, 6 / 7, 1 - rise / 4, 1 - rise / 2];
    assertClose("figures", actual, expected, { floor: 1e-12, relative: 0 });
    // What zeros lose is the same in every resample, so the share moves as the loss does.
    const [low, high] = found.recovered_zero_ci95, [least, most] = found.ce_ci95;
    assertClose("ends", [low, high], [1 - (most - 2) / 4, 1 - (least - 2) / 4], { floor: 1e-12, relative: 0 });
    assert.ok(low < found.recovered_zero && found.recovered_zero < high);
  });
}

Deno.test("contexts of one document are drawn together where there are five: what differs between them does not widen the interval", () => {
  const alike = (document: (i: number) => number) => {
    const sums = (by: (i: number) => number) =>
      sumsOf(Array.from({ length: 20 }, (_, i) => [i, document(i), 2 + by(i)]));
    const figures = new LossFigures(sums(() => 0)), zero = sums(() => 4);
    // Each document has a context that loses much and three that lose nothing.
    const spliced = sums((i) => i % 4 === 0 ? 2 : 0);
    return figures.replacement({ zero, mean: zero, prefixes: [spliced] }, [{}]).per_prefix[0];
  };
  const together = alike((i) => Math.floor(i / 4)), apart = alike((i) => i);
  assertClose("interval", together.ce_ci95, [2.5, 2.5], { floor: 1e-12, relative: 0 });
  assert.ok(apart.ce_ci95[0] < 2.4 && apart.ce_ci95[1] > 2.6, String(apart.ce_ci95));
});
