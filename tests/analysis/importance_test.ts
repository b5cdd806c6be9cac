/** Importance: what features do to the reconstruction against float64 loops, which are chosen, and rankings whose agreement is known. */

import assert from "node:assert/strict";
import { FiringTally } from "../../core/analysis/firings.ts";
import {
  type AblatedFeature,
  chooseFeatures,
  type FeatureSet,
  importanceFigures,
  type MeasuredImportance,
} from "../../core/analysis/importance.ts";
import { spearman } from "../../core/analysis/statistics.ts";
import { signSentence } from "../../reports/importance_table.ts";
import { assertClose } from "../compare.ts";
import { gaussians, uniform } from "../random.ts";

const FEATURES = 7, WIDTH = 12, CONTEXT = 5, CONTEXTS = 6;
const decoder = gaussians(FEATURES * WIDTH, 1);

/** Tokens in two pieces, the first of each context left out; feature 6 never fires. */
function planted() {
  const next = uniform(2),
    rows = Array.from({ length: CONTEXTS * CONTEXT }, (_, row) => row).filter((row) => row % CONTEXT);
  const values = rows.map(() =>
    Float64Array.from({ length: FEATURES }, (_, i) => i < 6 && next() < 0.4 ? 3 * next() : 0)
  );
  const target = gaussians(rows.length * WIDTH, 3), residual = gaussians(rows.length * WIDTH, 4);
  const tally = new FiringTally(decoder, WIDTH);
  for (const [first, end] of [[0, 11], [11, rows.length]]) {
    const rowStart = [0], index: number[] = [], value: number[] = [];
    for (const row of values.slice(first, end)) {
      row.forEach((f, i) => f > 0 && void (index.push(i), value.push(f)));
      rowStart.push(index.length);
    }
    tally.add({
      rows: rows.slice(first, end),
      features: {
        rowStart: Uint32Array.from(rowStart),
        index: Uint32Array.from(index),
        // Readers of features leave room behind them.
        value: Float32Array.from([...value, 99]),
      },
      target: target.subarray(first * WIDTH, end * WIDTH),
      residual: residual.subarray(first * WIDTH, end * WIDTH),
    });
  }
  return { rows, values: values.map((row) => row.map(Math.fround)), target, residual, tally };
}

Deno.test("firings, mass, error and variance are those of float64 loops over whole reconstructions, feature by feature", () => {
  const { rows, values, target, residual, tally } = planted(), tokens = rows.length;
  const rises = rows.map((_, t) =>
    Array.from({ length: FEATURES }, (_, i) => {
      let without = 0, within = 0;
      for (let d = 0; d < WIDTH; d++) {
        const r = residual[t * WIDTH + d];
        within += r * r;
        without += (r - values[t][i] * decoder[i * WIDTH + d]) ** 2;
      }
      return without - within;
    })
  );
  const total = (of: (t: number, i: number) => number) =>
    Array.from({ length: FEATURES }, (_, i) => rows.reduce((sum, _, t) => sum + of(t, i), 0));
  assert.deepEqual([...tally.fires], total((t, i) => Number(values[t][i] > 0)));
  const close = { floor: 1e-12, relative: 1e-12 };
  assertClose("mass", tally.mass, total((t, i) => values[t][i]), close);
  assertClose("error", tally.error, total((t, i) => rises[t][i]), close);
  assert.deepEqual([tally.tokens, tally.fires[6], tally.error[6]], [tokens, 0, 0]);
  let variance = 0;
  for (let d = 0; d < WIDTH; d++) {
    const column = rows.map((_, t) => target[t * WIDTH + d]), mean = column.reduce((a, b) => a + b) / tokens;
    for (const y of column) variance += (y - mean) ** 2;
  }
  assertClose("variance", [tally.variance], [variance], close);

  const { firings, mass, error } = tally.of([3], CONTEXTS, CONTEXT).get(3)!;
  const inContext = (of: (t: number) => number) =>
    Array.from(
      { length: CONTEXTS },
      (_, c) => rows.reduce((sum, row, t) => sum + (Math.floor(row / CONTEXT) === c ? of(t) : 0), 0),
    );
  assertClose("mass by context", mass, inContext((t) => values[t][3]), close);
  assertClose("error by context", error, inContext((t) => rises[t][3]), close);
  const expected = rows.flatMap((row, t) => values[t][3] > 0 ? [[row, values[t][3]]] : []);
  assert.deepEqual(
    firings.flatMap(({ context, columns, values }) =>
      columns.map((column, n) => [context * CONTEXT + column, values[n]])
    ),
    expected,
  );
  assert.deepEqual(tally.of([6], CONTEXTS, CONTEXT).get(6)!.firings, []);
});

Deno.test("the top features are those of the largest error, the random ones any that fire, and equal seeds draw alike", () => {
  const fires = [1, 0, 5, 2, 9, 4], error = [0.5, 99, -1, 0.5, 3, 0.1];
  const of = (top: number, random: number, seed: number) => {
    const chosen = chooseFeatures(fires, error, { top, random, seed });
    assert.deepEqual(
      chosen.map(({ feature }) => feature),
      chosen.map(({ feature }) => feature).toSorted((a, b) => a - b),
    );
    return (set: FeatureSet) => chosen.filter(({ sets }) => sets.includes(set)).map(({ feature }) => feature);
  };
  assert.deepEqual(of(2, 0, 0)("top"), [0, 4], "of equal ones the first");
  assert.deepEqual([of(9, 9, 0)("top"), of(9, 9, 0)("random")], [[0, 2, 3, 4, 5], [0, 2, 3, 4, 5]]);
  assert.deepEqual(of(1, 3, 7)("random"), of(1, 3, 7)("random"));
  const drawn = new Map<number, number>();
  for (let seed = 0; seed < 300; seed++) {
    for (const feature of of(2, 1, seed)("random")) drawn.set(feature, (drawn.get(feature) ?? 0) + 1);
  }
  assert.deepEqual([...drawn.keys()].sort(), [0, 2, 3, 4, 5], "those that fire, the top ones too, and no other");
  assert.ok([...drawn.values()].every((count) => count > 30), [...drawn.values()].join());
});

/** Measured sums of `features` features in `contexts` contexts of documents of two each: what `sums` gives for feature and context. */
function measured(
  features: number,
  contexts: number,
  sums: (feature: number, context: number) => Record<"mass" | "error" | "loss" | "kl", number>,
): MeasuredImportance {
  const ablated = Array.from({ length: features }, (_, feature): AblatedFeature => {
    const found = Array.from({ length: contexts }, (_, context) => sums(feature, context));
    const column = (key: "mass" | "error" | "loss" | "kl") => Float64Array.from(found, (one) => one[key]);
    const sets: FeatureSet[] = feature % 2 ? ["random"] : ["top", "random"];
    return { feature, sets, mass: column("mass"), error: column("error"), loss: column("loss"), kl: column("kl") };
  });
  const total = (key: "mass" | "error") => ablated.map((one) => one[key].reduce((a, b) => a + b));
  return {
    targets: 1,
    documents: Array.from({ length: contexts }, (_, c) => 10 + Math.floor(c / 2)),
    tokens: 10 * contexts,
    predictions: new Array(contexts).fill(9),
    cleanLoss: new Array(contexts).fill(27),
    variance: 50,
    fires: ablated.map(() => 4),
    ...{ mass: total("mass"), error: total("error") },
    ablated,
  };
}

Deno.test("rankings that are one another's, the opposite, and noise: correlations, reliabilities and intervals say so", () => {
  const noise = gaussians(40 * 12, 5), text = gaussians(12, 6).map((x) => 1 + 0.1 * x);
  const importance = importanceFigures(
    measured(40, 12, (i, c) => ({
      mass: (i + 1) * text[c],
      error: (i + 1) ** 2 * text[c],
      loss: -(i + 1) * text[c],
      kl: noise[12 * i + c],
    })),
    (feature) => feature < 10 ? 0 : 1,
  );
  assert.deepEqual([
    importance.predictions,
    importance.contexts,
    importance.documents,
    importance.resampled,
    importance.clean_ce,
  ], [
    108,
    12,
    6,
    "documents",
    3,
  ]);
  for (const { set, features, chance, pairs, reliability } of importance.agreement) {
    assert.equal(features, set === "top" ? 20 : 40);
    assertClose("chance", [chance], [1.96 / Math.sqrt(features - 1)], { floor: 0, relative: 1e-12 });
    const pair = (a: string, b: string) => pairs.find((one) => one.a === a && one.b === b)!;
    assertClose("alike", [pair("mass", "fvu_rise").spearman], [1], { floor: 1e-12, relative: 0 });
    assertClose("opposite", pair("mass", "ce_rise").ci95, [-1, -1], { floor: 1e-12, relative: 0 });
    const { spearman, ci95: [low, high] } = pair("fvu_rise", "kl");
    assert.ok(low < spearman && spearman < high && low < 0 && high > 0, `${low} ${spearman} ${high}`);
    assertClose("reliable", [reliability.mass, reliability.ce_rise], [1, 1], { floor: 1e-12, relative: 0 });
    assert.ok(Math.abs(reliability.kl) < 0.6, String(reliability.kl));
  }
  const { group, mass, fvu_rise, effect } = importance.features[20];
  const close = { floor: 0, relative: 1e-6 }, sum = text.reduce((a, b) => a + b);
  assert.equal(group, 1);
  assertClose("figures", [mass, fvu_rise, effect!.ce_rise, effect!.ce_rise_per_fire], [
    21 * sum / 120,
    441 * sum / 50,
    -21 * sum / 108,
    -21 * sum / 4,
  ], close);
  const [low, high] = effect!.ce_rise_ci95;
  assert.ok(low < effect!.ce_rise && effect!.ce_rise < high && high < 0);
});

Deno.test("few contexts have no intervals, and features of one kind no correlation", () => {
  const few = importanceFigures(measured(4, 3, (i) => ({ mass: i, error: 1, loss: i, kl: i })), () => 0);
  assert.deepEqual([few.resampled, few.features[1].effect!.kl_ci95], ["contexts", [NaN, NaN]]);
  assert.ok(few.agreement.every(({ pairs }) => Number.isNaN(pairs[0].spearman) && Number.isNaN(pairs[0].ci95[0])));
  assert.equal(signSentence(few), "", "nothing lies beyond an interval that is not there");
  // What the first context ranks one way, the second ranks the other.
  const torn = importanceFigures(measured(8, 2, (i, c) => ({ mass: c ? i : -i, error: i, loss: i, kl: i })), () => 0);
  assert.deepEqual(torn.agreement.map(({ reliability: { mass, kl } }) => [mass, kl]), [[0, 1], [0, 1]]);
});

Deno.test("Spearman's correlation goes by ranks, ties share theirs", () => {
  assertClose("monotone", [spearman([1, 2, 3, 4], [1, 8, 27, 1000])], [1], { floor: 1e-12, relative: 0 });
  // scipy.stats.spearmanr([1, 2, 2, 3, 5], [2, 1, 4, 4, 3])
  assertClose("ties", [spearman([1, 2, 2, 3, 5], [2, 1, 4, 4, 3])], [0.39473684210526316], {
    floor: 1e-12,
    relative: 0,
  });
  assert.ok(Number.isNaN(spearman([1, 1, 1], [1, 2, 3])));
});
