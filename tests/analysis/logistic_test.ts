/** Logistic regression against scikit-learn, and the optimum's own conditions. */

import assert from "node:assert/strict";
import { f1Of } from "../../core/analysis/letter_probes.ts";
import { denseRows, type Design, fitLogistic, scoresOf, sparseRows } from "../../core/analysis/logistic.ts";
import { assertClose } from "../compare.ts";
import { gaussians } from "../random.ts";

interface Fit {
  weights: number[];
  bias: number;
}

interface Golden {
  x: number[][];
  y: boolean[];
  balanced: Fit;
  sparse: Fit & { c: number };
  f1: number;
}

const golden: Golden = JSON.parse(await Deno.readTextFile(new URL("../golden/logistic.json", import.meta.url)));
const COLUMNS = golden.x[0].length, ROWS = golden.x.length;
const x = denseRows(Float32Array.from(golden.x.flat()), COLUMNS), isPositive = (row: number) => golden.y[row];
const positives = golden.y.filter((one) => one).length;
const balanced = (c = 1) => ({
  positive: c * ROWS / 2 / positives,
  negative: c * ROWS / 2 / (ROWS - positives),
});

/** The same rows, without their zeros. */
function sparse(scale: number): Design {
  const kept = golden.x.map((row) => row.flatMap((value, column) => value === 0 ? [] : [{ value, column }]));
  const rowStart = new Uint32Array(ROWS + 1);
  kept.forEach((row, i) => rowStart[i + 1] = rowStart[i] + row.length);
  const matrix = {
    rowStart,
    index: Uint32Array.from(kept.flat(), ({ column }) => column),
    value: Float32Array.from(kept.flat(), ({ value }) => value),
  };
  return sparseRows(matrix, ROWS, COLUMNS, scale);
}

Deno.test("fitLogistic: scikit-learn's weights with balanced classes, from full and from sparse rows", () => {
  const { weights, bias } = golden.balanced;
  for (const design of [x, sparse(1)]) {
    const fit = fitLogistic(design, isPositive, { ...balanced(), l2: 1 });
    assertClose("weights", [...fit.weights, fit.bias], [...weights, bias], { floor: 1e-5, relative: 0 });
    assert.equal(f1Of(Array.from(scoresOf(design, fit), (score) => score > 0), isPositive), golden.f1);
  }
  // A column in another unit has a weight in another unit, and its penalty with it.
  const halved = fitLogistic(sparse(0.5), isPositive, { ...balanced(), l2: 0.25 });
  assertClose("halved", halved.weights, weights.map((one) => 2 * one), { floor: 2e-5, relative: 0 });
});

Deno.test("fitLogistic: scikit-learn's weights with an l1 penalty, the same of them exactly 0", () => {
  const { c, weights, bias } = golden.sparse;
  const fit = fitLogistic(x, isPositive, { ...balanced(c), l1: 1 });
  assertClose("weights", [...fit.weights, fit.bias], [...weights, bias], { floor: 1e-5, relative: 0 });
  assert.deepEqual(Array.from(fit.weights, (one) => one === 0), weights.map((one) => one === 0));
});

Deno.test("fitLogistic: where many more columns than rows are, the l1 penalty's conditions hold", () => {
  const rows = 40, columns = 300, l1 = 0.02;
  const matrix = gaussians(rows * columns, 3), design = denseRows(matrix, columns);
  const positive = (row: number) => matrix[row * columns + 7] > 0;
  const fit = fitLogistic(design, positive, { positive: 1 / rows, negative: 1 / rows, l1 });
  const scores = scoresOf(design, fit),
    residual = scores.map((score, i) => {
      const sign = positive(i) ? 1 : -1;
      return -sign / rows / (1 + Math.exp(sign * score));
    });
  const slope = new Float64Array(columns);
  design.transposedTimes(residual, slope);
  fit.weights.forEach((weight, c) => {
    if (weight === 0) assert.ok(Math.abs(slope[c]) <= l1 + 1e-6, `column ${c} rests at 0 with slope ${slope[c]}`);
    else assert.ok(Math.abs(slope[c] + l1 * Math.sign(weight)) < 1e-6, `column ${c} has slope ${slope[c]}`);
  });
  assert.ok(Math.abs(residual.reduce((a, b) => a + b)) < 1e-6, "the bias is not penalised");
  assert.equal(fit.weights.indexOf(Math.max(...fit.weights)), 7);
  assert.ok(fit.weights.filter((one) => one !== 0).length < rows);
});

Deno.test("fitLogistic: examples that a line divides, without a penalty", () => {
  const divided = denseRows(Float32Array.of(-2, -1, 1, 3), 1);
  const fit = fitLogistic(divided, (row) => row > 1, { positive: 1, negative: 1 });
  const said = Array.from(scoresOf(divided, fit), (score) => score > 0);
  assert.deepEqual(said, [false, false, true, true]);
  assert.ok(Number.isFinite(fit.weights[0]) && fit.weights[0] > 5, "it ends where nothing is gained any more");
});
