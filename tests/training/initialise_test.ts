/** What a run starts from, against float64 loops over the same rows. */

import assert from "node:assert/strict";
import { openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { choosePreparation, initialWeights, meanVariance, measureActivations } from "../../core/training/initialise.ts";
import { oneBlock } from "../../core/gpu/row_blocks.ts";
import { scaledBy } from "../../core/transcoder/weights.ts";
import { assertClose } from "../compare.ts";
import { gaussians } from "../random.ts";

const gpu = await openGpu();
const CAPACITY = 60, ROWS = 48, shape = { d_in: 8, d_out: 4, groups: [4, 9] }, features = 13;
/** 48 of the 60 rows, out of order. */
const picked = Uint32Array.from({ length: ROWS }, (_, n) => (n * 7 + 3) % CAPACITY);
const order = tensorFrom(gpu, "order", [ROWS], picked);

/** Activations with means that are not 0 and dimensions of different size, as a residual stream has them. */
const source = gaussians(CAPACITY * shape.d_in, 1).map((value, at) =>
  (1 + at % shape.d_in % 3) * value + at % shape.d_in - 2
);
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
const varianceOf = (values: number[]) => mean(values.map((value) => (value - mean(values)) ** 2));
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
    const variance = expected[0].map((_, c) => varianceOf(expected.map((row) => row[c])));
    assertClose("variance", measured.variance, variance, { floor: 1e-6, relative: 1e-5 });
    assertClose("mean variance", [meanVariance(measured)], [mean(variance)], { floor: 1e-6, relative: 1e-5 });
  });
}

Deno.test("means far from 0 leave the variances their digits", async () => {
  const far = oneBlock(tensorFrom(gpu, "far", [CAPACITY, shape.d_in], source.map((value) => value + 1000)));
  const measured = await measureActivations(gpu, far, order, ROWS, shape.d_in, 16);
  const variance = (await measureActivations(gpu, x, order, ROWS, shape.d_in, 16)).variance;
  // A float32 near 1000 has its last digit at 6e-5.
  assertClose("variance", measured.variance, variance, { floor: 0, relative: 2e-4 });
});

const ENCODER_NORM = 0.7;

async function measureBoth() {
  const measure = (rows: typeof x, width: number) => measureActivations(gpu, rows, order, ROWS, width, 16);
  return {
    from: { activations: x, ...await measure(x, shape.d_in) },
    to: { activations: y, ...await measure(y, shape.d_out) },
  };
}

Deno.test("choosePreparation: source dimensions of variance 1, a target of mean variance 1, both about 0", async () => {
  const { from, to } = await measureBoth(), preparation = choosePreparation(from, [to]);
  const prepared = (rows: number[][], { mean, scale }: typeof preparation.source) =>
    rows[0].map((_, c) => rows.map((row) => (row[c] - mean[c]) * scale[c]));
  const xs = prepared(rowsOf(source, shape.d_in), preparation.source);
  const ys = prepared(rowsOf(target, shape.d_out), preparation.target);
  const near = { floor: 1e-5, relative: 1e-5 };
  assertClose("means", [...xs, ...ys].map(mean), [...xs, ...ys].map(() => 0), near);
  assertClose("source", xs.map(varianceOf), xs.map(() => 1), near);
  assertClose("target", [mean(ys.map(varianceOf))], [1], near);
  assert.equal(new Set(preparation.target.scale).size, 1, "an error counts the same in each dimension of the target");
  const numbers = Object.values(preparation).flatMap(({ mean, scale }) => [...mean, ...scale]);
  assert.deepEqual(numbers, numbers.map(Math.fround), "a file of float32 keeps them");
});

Deno.test("choosePreparation: a dimension that does not vary is not blown up without end", () => {
  const variance = Float64Array.of(4, 0, 1e-20, 4), mean = Float64Array.of(0, 5, 5, 0);
  const { source } = choosePreparation({ mean, variance }, [{ mean, variance }]);
  assertClose("scales", source.scale, [0.5, 1000 / Math.SQRT2, 1000 / Math.SQRT2, 0.5], { floor: 0, relative: 1e-6 });
});

async function weightsOf(seed: number) {
  const { from, to } = await measureBoth(), preparation = choosePreparation(from, [to]);
  const start = { seed, encoder_norm: ENCODER_NORM };
  return await initialWeights(gpu, shape, start, order, from, [to], preparation);
}

Deno.test("initialWeights: each decoder row is the unit direction in which the target moves along the encoder row", async () => {
  const { encoder, decoder } = await weightsOf(0);
  const raw = rowsOf(source, shape.d_in),
    deviation = raw[0].map((_, c) => Math.sqrt(varianceOf(raw.map((row) => row[c]))));
  const xs = raw.map((row) => row.map((value, c) => value / deviation[c])), ys = rowsOf(target, shape.d_out);
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

Deno.test("initialWeights: encoder rows of one length in all directions, no encoder bias, none for a centred target", async () => {
  const weights = await weightsOf(0);
  const row = (i: number) => weights.encoder.subarray(i * shape.d_in, (i + 1) * shape.d_in);
  const norms = Array.from({ length: features }, (_, i) => Math.sqrt(dot(row(i), row(i))));
  assertClose("norms", norms, norms.map(() => ENCODER_NORM), { floor: 0, relative: 1e-6 });
  for (let i = 1; i < features; i++) {
    assert.ok(Math.abs(dot(row(0), row(i))) < 0.99 * norms[0] ** 2, `row ${i} is another`);
  }
  assert.deepEqual(weights.encoderBias, new Float32Array(features));
  assertClose("b_dec", weights.decoderBias, [0, 0, 0, 0], { floor: 1e-6, relative: 0 });
});

Deno.test("initialWeights of a run of an older format: the means stay in, so that the decoder bias has the target's", async () => {
  const { from, to } = await measureBoth(), ys = rowsOf(target, shape.d_out);
  const preparation = { source: scaledBy(shape.d_in, 0.25), target: scaledBy(shape.d_out, 2) };
  const weights = await initialWeights(gpu, shape, { seed: 0, encoder_norm: 0.3 }, order, from, [to], preparation);
  assertClose("b_dec", weights.decoderBias, ys[0].map((_, c) => 2 * mean(ys.map((row) => row[c]))), {
    floor: 1e-5,
    relative: 1e-6,
  });
  // A covariance is about the means, whatever is left of them: one factor for all dimensions changes no direction.
  const centred = {
    source: { mean: from.mean, scale: preparation.source.scale },
    target: { mean: to.mean, scale: preparation.target.scale },
  };
  const others = await initialWeights(gpu, shape, { seed: 0, encoder_norm: 0.3 }, order, from, [to], centred);
  assert.deepEqual(weights.decoder, others.decoder);
});

Deno.test("initialWeights depend on the seed alone, given the same rows", async () => {
  const [a, again, b] = [await weightsOf(3), await weightsOf(3), await weightsOf(4)];
  assert.deepEqual(a, again);
  assert.notDeepEqual(a.encoder, b.encoder);
  assert.notDeepEqual(a.decoder, b.decoder);
});
