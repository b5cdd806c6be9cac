/** What a run starts from, against float64 loops over the same rows. */

import assert from "node:assert/strict";
import { openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { initialWeights, measureActivations } from "../../core/training/initialise.ts";
import { oneBlock } from "../../core/gpu/row_blocks.ts";
import { assertClose } from "../compare.ts";
import { gaussians } from "../random.ts";

const gpu = await openGpu();
const CAPACITY = 60, ROWS = 48, shape = { d_in: 8, d_out: 4, groups: [4, 9] }, features = 13;
/** 48 of the 60 rows, out of order. */
const picked = Uint32Array.from({ length: ROWS }, (_, n) => (n * 7 + 3) % CAPACITY);
const order = tensorFrom(gpu, "order", [ROWS], picked);

/** Activations with means that are not 0, as a residual stream has them. */
const source = gaussians(CAPACITY * shape.d_in, 1).map((value, at) => value + at % shape.d_in - 2);
/** The target moves along with the source, and by itself. */
const target = Float32Array.from(
  gaussians(CAPACITY * shape.d_out, 2),
  (noise, at) => 0.3 * noise + source[Math.floor(at / shape.d_out) * shape.d_in + at % shape.d_out] ** 2 / 4,
);
const x = oneBlock(tensorFrom(gpu, "source", [CAPACITY, shape.d_in], source));
const y = oneBlock(tensorFrom(gpu, "target", [CAPACITY, shape.d_out], target));

const rowsOf = (data: Float32Array, width: number, rows = ROWS) =>
  Array.from(picked.subarray(0, rows), (row) => Array.from(data.subarray(row * width, (row + 1) * width)));
const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, value, i) => sum + value * b[i], 0);

for (const [rows, atOnce, used] of [[48, 16, 48], [48, 48, 48], [48, 10, 40], [30, 100, 30], [1, 7, 1]]) {
  Deno.test(`measureActivations: ${rows} rows, ${atOnce} at once`, async () => {
    const measured = await measureActivations(gpu, x, order, rows, shape.d_in, atOnce);
    const expected = rowsOf(source, shape.d_in, used);
    assertClose("mean", measured.mean, expected[0].map((_, c) => mean(expected.map((row) => row[c]))), {
      floor: 1e-5,
      relative: 1e-6,
    });
    // The scale makes the mean squared norm the width.
    const meanSquare = mean(expected.map((row) => dot(row, row)));
    assertClose("squared norm", [measured.scale ** 2 * meanSquare], [shape.d_in], { floor: 0, relative: 1e-5 });
  });
}

async function weightsOf(seed: number) {
  const measure = (rows: typeof x, width: number) => measureActivations(gpu, rows, order, ROWS, width, 16);
  const from = { activations: x, ...await measure(x, shape.d_in) },
    to = { activations: y, ...await measure(y, shape.d_out) };
  return { weights: await initialWeights(gpu, shape, seed, order, from, to), scale: to.scale };
}

Deno.test("initialWeights: each decoder row is the unit direction in which the target moves along the encoder row", async () => {
  const { weights: { encoder, decoder } } = await weightsOf(0);
  const xs = rowsOf(source, shape.d_in), ys = rowsOf(target, shape.d_out);
  const yMean = ys[0].map((_, c) => mean(ys.map((row) => row[c])));
  for (let i = 0; i < features; i++) {
    const direction = encoder.subarray(i * shape.d_in, (i + 1) * shape.d_in);
    const along = xs.map((row) => dot(row, direction)), alongMean = mean(along);
    const covariance = yMean.map((m, c) => mean(ys.map((row, b) => (along[b] - alongMean) * (row[c] - m))));
    const norm = Math.sqrt(dot(covariance, covariance));
    assertClose(`row ${i}`, decoder.subarray(i * shape.d_out, (i + 1) * shape.d_out), covariance.map((v) => v / norm), {
      floor: 2e-5,
      relative: 0,
    });
  }
});

Deno.test("initialWeights: encoder rows of one length in all directions, no encoder bias, the scaled mean as decoder bias", async () => {
  const { weights, scale } = await weightsOf(0), ys = rowsOf(target, shape.d_out);
  const row = (i: number) => weights.encoder.subarray(i * shape.d_in, (i + 1) * shape.d_in);
  const norms = Array.from({ length: features }, (_, i) => Math.sqrt(dot(row(i), row(i))));
  assertClose("norms", norms, norms.map(() => norms[0]), { floor: 0, relative: 1e-6 });
  for (let i = 1; i < features; i++) {
    assert.ok(Math.abs(dot(row(0), row(i))) < 0.99 * norms[0] ** 2, `row ${i} is another`);
  }
  assert.deepEqual(weights.encoderBias, new Float32Array(features));
  assertClose("b_dec", weights.decoderBias, ys[0].map((_, c) => scale * mean(ys.map((row) => row[c]))), {
    floor: 1e-5,
    relative: 1e-6,
  });
});

Deno.test("initialWeights depend on the seed alone, given the same rows", async () => {
  const [a, again, b] = [await weightsOf(3), await weightsOf(3), await weightsOf(4)];
  assert.deepEqual(a, again);
  assert.notDeepEqual(a.weights.encoder, b.weights.encoder);
  assert.notDeepEqual(a.weights.decoder, b.weights.decoder);
});
