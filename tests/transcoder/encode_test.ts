import assert from "node:assert/strict";
import { downloadAll, downloadF32, downloadU32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { Encoder, type HostFeatures } from "../../core/transcoder/encode.ts";
import { Reconstructor } from "../../core/transcoder/reconstruct.ts";
import { featureCount, prefixEnds } from "../../core/transcoder/shape.ts";
import { foldPreparation, type Transcoder } from "../../core/transcoder/weights.ts";
import { assertClose, gamma } from "../compare.ts";
import { columnsOf, entriesOf, keepAbove, keepLargest, rowsOf } from "../oracle/top_k.ts";
import { gaussians, uniform } from "../random.ts";
import { activationsOf, randomTranscoder, reconstructionOf } from "./random_transcoder.ts";

const gpu = await openGpu();

/** Checks kept sets and values against float64, allowing either answer where |a - threshold| is within a's rounding error. Thresholds from 0. */
function assertEncodes(transcoder: Transcoder, x: Float32Array, tokens: number, actual: HostFeatures): number {
  const { shape: { d_in, groups }, weights, thresholds } = transcoder;
  const features = featureCount(groups);
  assert.equal(actual.rowStart.length, tokens + 1);
  assert.equal(actual.index.length, actual.rowStart[tokens]);
  assert.equal(actual.value.length, actual.rowStart[tokens]);
  let kept = 0;
  for (let b = 0; b < tokens; b++) {
    const row = x.subarray(b * d_in, (b + 1) * d_in);
    const expected = activationsOf(transcoder, row);
    let e = actual.rowStart[b];
    for (let i = 0; i < features; i++) {
      let magnitude = Math.abs(weights.encoderBias[i]);
      for (let d = 0; d < d_in; d++) magnitude += Math.abs(weights.encoder[i * d_in + d] * row[d]);
      const bound = gamma(d_in + 1) * magnitude;
      const isKept = e < actual.rowStart[b + 1] && actual.index[e] === i;
      if (Math.abs(expected[i] - thresholds[i]) > bound) {
        assert.equal(isKept, expected[i] > thresholds[i], `token ${b} feature ${i}`);
      }
      if (!isKept) continue;
      assert.ok(actual.value[e] > thresholds[i]);
      assert.ok(Math.abs(actual.value[e] - expected[i]) <= bound, `token ${b} feature ${i}`);
      e++;
      kept++;
    }
    assert.equal(e, actual.rowStart[b + 1], `token ${b}: indices ascend and none is left over`);
  }
  return kept;
}

for (
  const [tokens, d_in, groups] of [[1, 1, [1]], [37, 24, [20, 11, 6]], [65, 7, [129]]] as [number, number, number[]][]
) {
  Deno.test(`encoding ${tokens} tokens of width ${d_in} with ${groups.join(" + ")} features is the float64 definition`, async () => {
    const transcoder = randomTranscoder({ d_in, d_out: 3, groups }, 0.5, tokens);
    const x = gaussians(tokens * d_in, tokens + 1);
    const encoder = new Encoder(gpu, transcoder, tokens);
    const actual = await encoder.encode(tensorFrom(gpu, "x", [tokens, d_in], x), tokens);
    assertEncodes(transcoder, x, tokens, actual);
  });
}

Deno.test("an activation equal to the threshold is not kept, the next float above it is", async () => {
  const above = 0.5 + 2 ** -24, below = 0.5 - 2 ** -25;
  const transcoder: Transcoder = {
    shape: { d_in: 1, d_out: 1, groups: [4] },
    weights: {
      encoder: Float32Array.of(1, 1, 1, 1),
      encoderBias: Float32Array.of(0, above - 0.5, below - 0.5, -2),
      decoder: new Float32Array(4),
      decoderBias: new Float32Array(1),
    },
    thresholds: new Float32Array(4).fill(0.5),
  };
  const x = tensorFrom(gpu, "x", [2, 1], Float32Array.of(0.5, -1));
  const { rowStart, index, value } = await new Encoder(gpu, transcoder, 2).encode(x, 2);
  assert.deepEqual([...rowStart], [0, 1, 1]);
  assert.deepEqual([...index], [1]);
  assert.deepEqual([...value], [Math.fround(above)]);
});

/** Whole numbers, small enough that sums of their products are exact in f32: what is kept can be compared without a tolerance. */
function wholeNumbers(count: number, seed: number): Float32Array<ArrayBuffer> {
  const next = uniform(seed);
  return Float32Array.from({ length: count }, () => Math.floor(next() * 7) - 3);
}

/** From features to thresholds: below 0, -0 and 0, infinities, and whole numbers that activations often equal. */
const THRESHOLDS = [2, -1, 0, Infinity, 5, -0, 1, -Infinity, 2 ** -30, 3];

for (const [tokens, d_in, features] of [[1, 1, 1], [7, 12, 10], [31, 5, 33], [64, 8, 31], [65, 16, 127], [33, 4, 97]]) {
  Deno.test(`a threshold for each feature, ${tokens} tokens, width ${d_in}, ${features} features: all that is above its own, strictly`, async () => {
    const transcoder: Transcoder = {
      shape: { d_in, d_out: 1, groups: [features] },
      weights: {
        encoder: wholeNumbers(features * d_in, 1),
        encoderBias: wholeNumbers(features, 2),
        decoder: new Float32Array(features),
        decoderBias: new Float32Array(1),
      },
      thresholds: Float32Array.from({ length: features }, (_, i) => THRESHOLDS[i % THRESHOLDS.length]),
    };
    const x = wholeNumbers(tokens * d_in, 3), source = tensorFrom(gpu, "x", [tokens, d_in], x);
    const activations = Array.from(
      { length: tokens },
      (_, b) => [...activationsOf(transcoder, x.subarray(b * d_in, (b + 1) * d_in))],
    );
    const entries = entriesOf(activations, keepAbove(activations, transcoder.thresholds));
    const { start, index, value } = rowsOf(entries, tokens);
    const encoder = new Encoder(gpu, transcoder, tokens);
    assert.deepEqual(await encoder.encode(source, tokens), { rowStart: start, index, value });
    const pass = new Pass(gpu);
    encoder.recordFires(pass, tokens);
    pass.submit();
    const byFeature = columnsOf(entries, features).start;
    assert.deepEqual(await downloadU32(gpu, encoder.fires), byFeature.slice(1).map((end, i) => end - byFeature[i]));
    if (features < THRESHOLDS.length) return;
    const equal = activations.flat().filter((a, n) => a > 0 && a === transcoder.thresholds[n % features]);
    assert.ok(entries.length > 0 && equal.length > 0, "some are kept, and some would be if equal were above");
  });
}

for (const [tokens, features, topK] of [[1, 1, 1], [9, 40, 1], [33, 97, 5], [64, 31, 30], [7, 12, 11], [5, 8, 20]]) {
  Deno.test(`the ${topK} largest of each of ${tokens} tokens' ${features} activations, ties to the lowest features`, async () => {
    const d_in = 4;
    const transcoder: Transcoder = {
      shape: { d_in, d_out: 1, groups: [features] },
      weights: {
        encoder: wholeNumbers(features * d_in, 5),
        encoderBias: wholeNumbers(features, 6),
        decoder: new Float32Array(features),
        decoderBias: new Float32Array(1),
      },
      thresholds: Float32Array.from({ length: features }, (_, i) => i % 7 === 3 ? 2 : 0),
      topK,
    };
    const x = wholeNumbers(tokens * d_in, 7);
    const activations = Array.from(
      { length: tokens },
      (_, b) =>
        [...activationsOf(transcoder, x.subarray(b * d_in, (b + 1) * d_in))].map((a, i) =>
          a > transcoder.thresholds[i] ? a : 0
        ),
    );
    const everyone = new Array<boolean>(features).fill(true);
    const kept = activations.map((row) => keepLargest([row], topK, everyone)[0]);
    const { start, index, value } = rowsOf(entriesOf(activations, kept), tokens);
    const encoder = new Encoder(gpu, transcoder, tokens), source = tensorFrom(gpu, "x", [tokens, d_in], x);
    assert.deepEqual(await encoder.encode(source, tokens), { rowStart: start, index, value });
    const ties = activations.filter((row, b) =>
      row.some((a, i) => a > 0 && !kept[b][i] && row.some((other, j) => other === a && kept[b][j]))
    );
    assert.ok(topK === 1 || topK >= 11 || ties.length > 0, "some are left out though they equal one that is kept");
  });
}

Deno.test("thresholds that are the same number keep what the selection keeps for that number", async () => {
  const tokens = 40, features = 50, threshold = 0.3, shape = { d_in: 8, d_out: 1, groups: [features] };
  const transcoder = randomTranscoder(shape, threshold, 12), x = gaussians(tokens * 8, 13);
  const source = tensorFrom(gpu, "x", [tokens, 8], x);
  const { rowStart, index, value } = await new Encoder(gpu, transcoder, tokens).encode(source, tokens);
  const all = await new Encoder(gpu, randomTranscoder(shape, 0, 12), tokens).encode(source, tokens);
  const kept = [...all.value.keys()].filter((e) => all.value[e] > Math.fround(threshold));
  assert.deepEqual([...index], kept.map((e) => all.index[e]));
  assert.deepEqual([...value], kept.map((e) => all.value[e]));
  assert.ok(rowStart[tokens] > 0 && kept.length < all.index.length);
});

Deno.test("with threshold 0 every positive activation is kept and no zero", async () => {
  const transcoder = { ...randomTranscoder({ d_in: 6, d_out: 2, groups: [30] }, 0, 3) };
  const x = gaussians(20 * 6, 4);
  const actual = await new Encoder(gpu, transcoder, 20).encode(tensorFrom(gpu, "x", [20, 6], x), 20);
  const kept = assertEncodes(transcoder, x, 20, actual);
  assert.ok(kept > 200 && kept < 400);
});

Deno.test("more tokens than a dispatch holds, and more features than expected, give the same rows", async () => {
  const transcoder = randomTranscoder({ d_in: 8, d_out: 2, groups: [400] }, 0, 5);
  const x = tensorFrom(gpu, "x", [23, 8], gaussians(23 * 8, 6));
  const whole = await new Encoder(gpu, transcoder, 23).encode(x, 23);
  assert.ok(whole.index.length > 128 * 23, "the first expectation is exceeded");
  const narrow = new Encoder(gpu, transcoder, 5);
  assert.equal(narrow.batchTokens, 5);
  assert.deepEqual(await narrow.encode(x, 23), whole);
  assert.deepEqual(await narrow.encode(x, 23), whole);
});

Deno.test("folded weights on raw activations are unfolded weights on prepared ones", async () => {
  const tokens = 50,
    columns = (width: number, seed: number) => ({
      mean: Float64Array.from(gaussians(width, seed)),
      scale: Float64Array.from(gaussians(width, seed + 1), (value) => 2 ** Math.round(value)),
    });
  const source = columns(24, 20), target = columns(20, 30);
  const unfolded = randomTranscoder({ d_in: 24, d_out: 20, groups: [16, 16] }, 0.4, 7);
  const folded = { ...unfolded, weights: foldPreparation(unfolded.weights, { source, target }) };
  const prepared = gaussians(tokens * 24, 8);
  const raw = prepared.map((value, at) => value / source.scale[at % 24] + source.mean[at % 24]);
  const encode = (transcoder: Transcoder, x: Float32Array) =>
    new Encoder(gpu, transcoder, tokens).encode(tensorFrom(gpu, "x", [tokens, 24], x), tokens);
  const expected = await encode(unfolded, prepared), actual = await encode(folded, raw);
  assert.deepEqual(actual.index, expected.index);
  assertClose("activations", actual.value, expected.value, { floor: 1e-6, relative: 1e-6 });
  const reconstruct = (transcoder: Transcoder, { rowStart, index, value }: HostFeatures) =>
    Array.from({ length: tokens }, (_, b) => {
      const kept = [...index.subarray(rowStart[b], rowStart[b + 1])].map((i, n) =>
        [i, value[rowStart[b] + n]] as const
      );
      return [...reconstructionOf(transcoder, kept, Infinity)];
    }).flat();
  const wanted = reconstruct(unfolded, expected).map((y, at) => y / target.scale[at % 20] + target.mean[at % 20]);
  assertClose("reconstruction", reconstruct(folded, actual), wanted, { floor: 1e-6, relative: 1e-6 });
});

for (const skip of [false, true]) {
  Deno.test(`reconstruction${skip ? " with a skip connection" : ""}: each prefix, squared residuals and the last residual, and how often features fire`, async () => {
    const tokens = 19, shape = { d_in: 12, d_out: 12, groups: [8, 5, 3], ...skip && { skip } };
    const transcoder = randomTranscoder(shape, 0.3, 9);
    const x = gaussians(tokens * 12, 12), y = gaussians(tokens * 12, 11);
    const encoder = new Encoder(gpu, transcoder, tokens), reconstructor = new Reconstructor(gpu, transcoder, tokens);
    const pass = new Pass(gpu);
    encoder.recordEncode(pass, tensorFrom(gpu, "x", [tokens, 12], x), tokens);
    encoder.recordFires(pass, tokens);
    const source = tensorFrom(gpu, "x", [tokens, 12], x);
    reconstructor.record(pass, encoder.kept, source, tensorFrom(gpu, "y", [tokens, 12], y), tokens);
    pass.submit();
    const [residual, squares, fires] = await downloadAll(gpu, [
      reconstructor.residual,
      reconstructor.squares,
      encoder.fires,
    ]);
    const { rowStart, index, value } = await encoder.encode(tensorFrom(gpu, "x", [tokens, 12], x), tokens);
    const expectedSquares: number[] = [],
      expectedResidual: number[] = [],
      expectedFires = new Array<number>(16).fill(0);
    for (let b = 0; b < tokens; b++) {
      const kept: [number, number][] = [];
      for (let e = rowStart[b]; e < rowStart[b + 1]; e++) {
        kept.push([index[e], value[e]]);
        expectedFires[index[e]]++;
      }
      for (const end of prefixEnds(shape.groups)) {
        const rest = reconstructionOf(transcoder, kept, end, x.subarray(b * 12, (b + 1) * 12)).map((sum, d) =>
          sum - y[b * 12 + d]
        );
        expectedSquares.push(rest.reduce((sum, r) => sum + r * r, 0));
        if (end === 16) expectedResidual.push(...rest);
      }
    }
    assertClose("squares", new Float32Array(squares), expectedSquares, { floor: 1e-6, relative: 1e-5 });
    assertClose("residual", new Float32Array(residual), expectedResidual, { floor: 1e-5, relative: 1e-5 });
    assert.deepEqual([...new Uint32Array(fires)], expectedFires);

    // A prefix itself.
    const made = tensorFrom(gpu, "made", [tokens, 12], new Float32Array(tokens * 12));
    for (const [p, end] of prefixEnds(shape.groups).entries()) {
      const pass = new Pass(gpu);
      encoder.recordEncode(pass, source, tokens);
      reconstructor.recordPrefix(pass, encoder.kept, p, source, made, tokens);
      pass.submit();
      const expected = Array.from({ length: tokens }, (_, b) => {
        const entries = Array.from({ length: rowStart[b + 1] - rowStart[b] }, (_, n) => rowStart[b] + n);
        const kept = entries.map((e) => [index[e], value[e]] as const);
        return [...reconstructionOf(transcoder, kept, end, x.subarray(b * 12, (b + 1) * 12))];
      }).flat();
      const found = await downloadF32(gpu, made);
      assertClose(`prefix ${p}`, found, expected, { floor: 1e-5, relative: 1e-5 });
    }
  });
}
