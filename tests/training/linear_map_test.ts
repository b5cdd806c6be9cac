/** The best linear map against an independent solution in float64, on activations like a residual stream's. */

import assert from "node:assert/strict";
import { openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { oneBlock } from "../../core/gpu/row_blocks.ts";
import { choosePreparation, measureActivations } from "../../core/training/initialise.ts";
import { fitLinearMap, RIDGE, sumProducts } from "../../core/training/linear_map.ts";
import type { LinearMap } from "../../core/transcoder/linear_map.ts";
import { assertClose } from "../compare.ts";
import { gaussians } from "../random.ts";

const gpu = await openGpu();
const CAPACITY = 5200, d_in = 12, d_out = 8;
const order = (rows: number) =>
  tensorFrom(gpu, "order", [rows], Uint32Array.from({ length: rows }, (_, n) => (n * 7 + 3) % CAPACITY));

/** Dimensions that hang together, a mean of ten times the spread, one massive dimension, one that does not vary. */
const parts = gaussians(CAPACITY * 5, 1), own = gaussians(CAPACITY * d_in, 2);
const SIZE = [1, 1, 1, 300, 1, 0.5, 1, 1, 1, 1, 1, 0];
const source = own.map((noise, at) => {
  const row = Math.floor(at / d_in), i = at % d_in;
  return SIZE[i] * (10 + parts[row * 5 + i % 5] + 0.3 * noise);
});
const truth = gaussians(d_in * d_out, 3), noise = gaussians(CAPACITY * d_out, 4);
const target = noise.map((value, at) => {
  const row = Math.floor(at / d_out), c = at % d_out;
  let y = value + 100 * c;
  for (let i = 0; i < d_in - 1; i++) y += source[row * d_in + i] / SIZE[i] * truth[i * d_out + c];
  return y + parts[row * 5] ** 2;
});
const x = oneBlock(tensorFrom(gpu, "source", [CAPACITY, d_in], source));
const y = oneBlock(tensorFrom(gpu, "target", [CAPACITY, d_out], target));

async function fit(rows: number): Promise<LinearMap> {
  const measure = (of: typeof x, width: number) => measureActivations(gpu, of, order(rows), rows, width, 64);
  const preparation = choosePreparation(await measure(x, d_in), [await measure(y, d_out)]);
  const sums = await sumProducts(gpu, { d_in, d_out }, order(rows), rows, x, [y], preparation);
  return fitLinearMap(sums, preparation);
}

/** The same rows, and the map that minimises the squared error with this ridge, by Gauss-Jordan elimination in float64. */
function oracle(rows: number, ridge: number) {
  const picked = Array.from({ length: rows }, (_, n) => (n * 7 + 3) % CAPACITY);
  const column = (of: Float32Array, width: number, c: number) => picked.map((row) => of[row * width + c]);
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const standard = (values: number[]) => {
    const m = mean(values), deviation = Math.sqrt(mean(values.map((value) => (value - m) ** 2)));
    return { m, deviation, values: values.map((value) => deviation === 0 ? 0 : (value - m) / deviation) };
  };
  const xs = Array.from({ length: d_in }, (_, i) => standard(column(source, d_in, i)));
  const ys = Array.from({ length: d_out }, (_, c) => column(target, d_out, c));
  const yMeans = ys.map(mean), centred = ys.map((each, c) => each.map((value) => value - yMeans[c]));
  const dot = (a: number[], b: number[]) => a.reduce((sum, value, n) => sum + value * b[n], 0);
  const trace = xs.reduce((sum, { values }) => sum + dot(values, values), 0);
  const system = xs.map(({ values }, i) => [
    ...xs.map((other, j) => dot(values, other.values) + (i === j ? ridge * trace / d_in : 0)),
    ...centred.map((each) => dot(values, each)),
  ]);
  for (let i = 0; i < d_in; i++) {
    const pivot = system[i][i];
    system[i] = system[i].map((value) => value / pivot);
    for (let j = 0; j < d_in; j++) {
      if (j === i) continue;
      const factor = system[j][i];
      system[j] = system[j].map((value, n) => value - factor * system[i][n]);
    }
  }
  const predict = (row: number, c: number) =>
    xs.reduce(
      (sum, { m, deviation }, i) =>
        deviation === 0 ? sum : sum + (source[row * d_in + i] - m) / deviation * system[i][d_in + c],
      yMeans[c],
    );
  return { predict, targetMean: yMeans };
}

const predictionOf = ({ weight, bias }: LinearMap, row: number, c: number) =>
  Array.from({ length: d_in }, (_, i) => source[row * d_in + i] * weight[i * d_out + c]).reduce(
    (a, b) => a + b,
    bias[c],
  );

/** FVU over all rows. */
function fvuOf(predict: (row: number, c: number) => number): number {
  let error = 0, variance = 0;
  for (let c = 0; c < d_out; c++) {
    const values = Array.from({ length: CAPACITY }, (_, row) => target[row * d_out + c]);
    const mean = values.reduce((a, b) => a + b, 0) / CAPACITY;
    values.forEach((value, row) => {
      error += (predict(row, c) - value) ** 2;
      variance += (value - mean) ** 2;
    });
  }
  return error / variance;
}

for (const rows of [60, 5197]) {
  Deno.test(`fitLinearMap on ${rows} rows is the float64 solution, and keeps the digits of a massive dimension`, async () => {
    const map = await fit(rows), { predict, targetMean } = oracle(rows, RIDGE);
    // The rows are cut into equal parts, of a number that four divides.
    assert.equal(map.tokens, rows === 60 ? 60 : 5192);
    if (rows === 60) assertClose("target mean", map.targetMean, targetMean, { floor: 0, relative: 1e-6 });
    const places = Array.from({ length: 40 }, (_, n) => [n * 131 % CAPACITY, n % d_out]);
    const expected = places.map(([row, c]) => predict(row, c));
    const found = places.map(([row, c]) => predictionOf(map, row, c));
    // Five rows of 5,197 are left out; predictions are up to 700.
    assertClose("predictions", found, expected, { floor: rows === 60 ? 2e-3 : 2e-2, relative: 0 });
    const [of, best] = [fvuOf((row, c) => predictionOf(map, row, c)), fvuOf(predict)];
    assertClose("FVU", [of], [best], { floor: 1e-5, relative: 1e-5 });
    const { predict: unridged } = oracle(rows, 1e-12);
    assert.ok(of < fvuOf(unridged) + 1e-4, "the ridge costs nothing that is seen");
  });
}

Deno.test("a fit depends on its rows alone, and with fewer rows than dimensions there is one too", async () => {
  assert.deepEqual(await fit(500), await fit(500));
  const map = await fit(6);
  assert.ok([...map.weight, ...map.bias].every(Number.isFinite));
});
