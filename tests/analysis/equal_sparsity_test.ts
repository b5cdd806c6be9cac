/** Equal sparsity: the largest activations are kept, and reconstructions are held against each other on the same resamples. */

import assert from "node:assert/strict";
import { drawResamples } from "../../core/analysis/bootstrap.ts";
import {
  compareReconstructions,
  compareSparsity,
  raised,
  raisedThreshold,
} from "../../core/analysis/equal_sparsity.ts";
import { quantile } from "../../core/analysis/statistics.ts";
import { assertClose } from "../compare.ts";
import { gaussians, uniform } from "../random.ts";
import { bursty, CONTEXT, plantedRecord } from "./planted_record.ts";

Deno.test("the threshold keeps as many activations as asked for, the largest; equal ones go together", () => {
  const value = gaussians(1000, 3).map(Math.abs);
  for (const activations of [0, 1, 17, 500, 999]) {
    const threshold = raisedThreshold({ value }, activations), kept = value.filter((one) => one > threshold);
    assert.deepEqual([...kept.toSorted()], [...value.toSorted().slice(1000 - activations)]);
  }
  const tied = Float32Array.of(1, 2, 2, 2, 3);
  assert.deepEqual([1, 2, 3, 4].map((n) => tied.filter((one) => one > raisedThreshold({ value: tied }, n)).length), [
    ...[1, 1, 1, 4],
  ]);
  assert.deepEqual([...raised(Float32Array.of(0.5, -1, Infinity), 1)], [1, 1, Infinity]);
});

Deno.test("counts within a hundredth are equal; the larger is the denser", () => {
  const with_ = (entries: number) => ({ index: new Uint32Array(entries), place: new Uint32Array(1000) });
  const compared = (a: number, b: number) => compareSparsity(with_(a), with_(b)).denser;
  assert.deepEqual([compared(1000, 1009), compared(1000, 1011), compared(1011, 1000)], [null, "b", "a"]);
  assert.deepEqual([compared(0, 0), compared(0, 1)], [null, "b"]);
  assert.deepEqual(compareSparsity(with_(500), with_(2000)), { a: 0.5, b: 2, denser: "b" });
});

/** A record on eight documents, whose texts differ in how hard they are. */
function record(seed: number, tokens = 1600) {
  const next = uniform(seed), whole = plantedRecord([3, 2], tokens, [0, 1, 2, 3, 4].map((i) => bursty(i, tokens, 0.1)));
  const documents = Array.from({ length: 8 }, (_, d) => ({ name: `${d}`, split: "train" }));
  const document = whole.place.map((place) => Math.floor(place / CONTEXT) % 8);
  const hard = (t: number) => 1 + document[t] / 4;
  return {
    ...{ ...whole, documents, document },
    targetSquares: Float32Array.from({ length: tokens }, () => 1 + next()),
    residualSquares: Float32Array.from({ length: 2 * tokens }, (_, at) => {
      return (0.4 + next() / 5 - 0.1 * (at % 2)) * hard(at >> 1);
    }),
    targetVariation: 2000,
  };
}

Deno.test("intervals of each and of the difference are those of resampled documents, the same for both", () => {
  const a = record(1), b = record(2), found = compareReconstructions(a, b);
  const perDocument = (of: (t: number) => number) => {
    const sums = new Float64Array(8);
    a.document.forEach((document, t) => sums[document] += of(t));
    return sums;
  };
  const resamples = drawResamples(8);
  const fvus = [a, b].map(({ residualSquares, targetSquares, targetVariation }) => {
    const left = perDocument((t) => residualSquares[2 * t + 1]), target = perDocument((t) => targetSquares[t]);
    const all = target.reduce((x, y) => x + y);
    return resamples.map((counts) => {
      const drawn = (sums: Float64Array) => sums.reduce((sum, one, d) => sum + counts[d] * one, 0);
      return drawn(left) / (drawn(target) / all * targetVariation);
    });
  });
  const interval = (values: number[]) => {
    const sorted = values.toSorted((x, y) => x - y);
    return [quantile(sorted, 0.025), quantile(sorted, 0.975)];
  };
  const close = { floor: 1e-9, relative: 0 };
  assert.equal(found.resampled, "documents");
  assertClose("a", found.a.ci95, interval(fvus[0]), close);
  assertClose("b", found.b.ci95, interval(fvus[1]), close);
  assertClose("difference", found.difference_ci95, interval(fvus[1].map((fvu, r) => fvu - fvus[0][r])), close);
  const last = (values: readonly number[]) => values[values.length - 1];
  assertClose("of all", [found.difference], [last(found.b.fvus) - last(found.a.fvus)], close);
  // Of the same text: the difference is known far better than either.
  const width = ([low, high]: readonly [number, number]) => high - low;
  assert.ok(width(found.difference_ci95) < width(found.a.ci95));
});
