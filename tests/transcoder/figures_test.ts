/** The kernels of an evaluation against float64 loops. */

import assert from "node:assert/strict";
import { downloadAll, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { LinearReconstructor } from "../../core/transcoder/linear_map.ts";
import { columnSquares, cosines, errorRemoved, prefixCounts } from "../../wgsl/transcoder/figures.ts";
import { prefixConstants } from "../../wgsl/transcoder/step.ts";
import { assertClose } from "../compare.ts";
import { gaussians } from "../random.ts";

const gpu = await openGpu();
const f32 = (data: Float32Array) => tensorFrom(gpu, "f32", [data.length], data);
const u32 = (data: number[]) => tensorFrom(gpu, "u32", [data.length], Uint32Array.from(data));
/** What is promised to be overwritten must not keep it. */
const rubbish = (size: number) => f32(new Float32Array(size).fill(NaN));
const read = async (...tensors: ReturnType<typeof f32>[]) =>
  (await downloadAll(gpu, tensors)).map((bytes) => new Float32Array(bytes));

/** Residuals of each prefix, and the suffix sums of them that decode leaves. */
function residualsOf(prefixes: number, size: number, seed: number) {
  const each = Array.from({ length: prefixes }, (_, p) => gaussians(size, seed + p));
  const suffix = each.map((_, p) => Float32Array.from({ length: size }, (_, i) => sum(each.slice(p).map((r) => r[i]))));
  return { each, suffix: Float32Array.from(suffix.flatMap((slab) => [...slab])) };
}

const sum = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);

for (const [tokens, width, prefixes] of [[5, 4, 1], [70, 68, 3], [3, 260, 2]]) {
  const sizes = `${tokens} tokens, width ${width}, ${prefixes} prefixes`;
  const { each, suffix } = residualsOf(prefixes, tokens * width, 1);
  const at = (b: number, c: number) => b * width + c;

  Deno.test(`column_squares: ${sizes}`, async () => {
    const squares = rubbish(prefixes * width), pass = new Pass(gpu);
    pass.run(columnSquares, { residual: f32(suffix), squares }, { tokens, width, prefixes });
    pass.submit();
    const expected = each.flatMap((r) =>
      Array.from({ length: width }, (_, c) => sum(Array.from({ length: tokens }, (_, b) => r[at(b, c)] ** 2)))
    );
    // A difference of suffix sums is off by a few units in their last place.
    assertClose("squares", (await read(squares))[0], expected, { floor: 1e-5, relative: 1e-5 });
  });

  for (const LANES of [8, 128]) {
    Deno.test(`cosines: ${sizes}, ${LANES} lanes, and 0 where there is no length`, async () => {
      const target = gaussians(tokens * width, 7), mean = gaussians(width, 8);
      target.set(mean, at(tokens - 1, 0));
      const cosine = rubbish(tokens * prefixes), pass = new Pass(gpu);
      const bindings = { target_y: f32(target), mean: f32(mean), residual: f32(suffix), cosine };
      pass.run(cosines, bindings, { tokens, width, prefixes }, { LANES });
      pass.submit();
      const expected = Array.from({ length: tokens }, (_, b) =>
        each.map((r) => {
          const y = Array.from({ length: width }, (_, c) => target[at(b, c)] - mean[c]);
          const made = y.map((value, c) => value + r[at(b, c)]);
          const lengths = Math.sqrt(sum(y.map((v) => v * v)) * sum(made.map((v) => v * v)));
          return lengths === 0 ? 0 : sum(y.map((value, c) => value * made[c])) / lengths;
        })).flat();
      assert.deepEqual(expected.slice(-prefixes), new Array(prefixes).fill(0), "the last token's target is the mean");
      assertClose("cosine", (await read(cosine))[0], expected, { floor: 1e-5, relative: 0 });
    });
  }
}

for (const [tokens, width, features, prefixes] of [[5, 4, 3, 1], [37, 68, 11, 3], [3, 260, 2, 8]]) {
  for (const LANES of [8, 64]) {
    Deno.test(`error_removed: ${features} features on ${tokens} tokens, ${prefixes} prefixes, ${LANES} lanes`, async () => {
      const { each, suffix } = residualsOf(prefixes, tokens * width, 21), decoder = gaussians(features * width, 5);
      const activations = gaussians(features * tokens, 6).map((a, at) => at < tokens ? 0 : Math.max(0, a));
      const removed = rubbish(features * prefixes), pass = new Pass(gpu);
      const bindings = { activations: f32(activations), residual: f32(suffix), decoder: f32(decoder), removed };
      pass.run(errorRemoved, bindings, { tokens, width, features, prefixes }, { LANES });
      pass.submit();
      const expected = Array.from({ length: features }, (_, i) =>
        each.map((r) =>
          sum(Array.from(r, (error, at) => {
            const a = activations[i * tokens + Math.floor(at / width)];
            return (error - a * decoder[i * width + at % width]) ** 2 - error ** 2;
          }))
        )).flat();
      assert.deepEqual(expected.slice(0, prefixes), new Array(prefixes).fill(0), "the first feature is silent");
      // Sums of terms of either sign, each of a few units.
      assertClose("removed", (await read(removed))[0], expected, { floor: 2e-6 * tokens * width, relative: 1e-5 });
    });
  }
}

Deno.test("prefix_counts: entries below each end, in tokens with none, with all, and between", async () => {
  const rows = [[], [0, 3, 4, 9, 11], [2], [4, 5, 6], [11]], ends = [4, 5, 12];
  const start = [0, ...rows.map((_, b) => sum(rows.slice(0, b + 1).map((row) => row.length)))];
  const counts = u32(new Array(rows.length * ends.length).fill(77)), pass = new Pass(gpu);
  const bindings = { row_start: u32(start), index: u32(rows.flat()), counts };
  pass.run(prefixCounts, bindings, { tokens: rows.length, prefixes: ends.length }, prefixConstants(ends));
  pass.submit();
  const [bytes] = await downloadAll(gpu, [counts]);
  const expected = rows.flatMap((row) => ends.map((end) => row.filter((feature) => feature < end).length));
  assert.deepEqual([...new Uint32Array(bytes)], expected);
});

Deno.test("a linear map's residual is x W + b - y, and its squared length that of each token", async () => {
  const tokens = 13, d_in = 12, d_out = 20;
  const x = gaussians(tokens * d_in, 1), y = gaussians(tokens * d_out, 2);
  const [weight, bias] = [gaussians(d_in * d_out, 3), gaussians(d_out, 4)];
  const map = { weight, bias, targetMean: new Float32Array(d_out), tokens: 1 };
  const reconstructor = new LinearReconstructor(gpu, map, tokens + 4), pass = new Pass(gpu);
  reconstructor.record(pass, f32(x), f32(y), tokens);
  pass.submit();
  const expected = Float64Array.from(y, (value, at) => {
    const row = Math.floor(at / d_out), c = at % d_out;
    return bias[c] - value + sum(Array.from({ length: d_in }, (_, i) => x[row * d_in + i] * weight[i * d_out + c]));
  });
  const [residuals, squares] = await read(reconstructor.residuals, reconstructor.squares);
  assertClose("residual", residuals.subarray(0, tokens * d_out), expected, { floor: 1e-5, relative: 1e-6 });
  const lengths = Array.from(
    { length: tokens },
    (_, b) => sum(Array.from(expected.subarray(b * d_out, (b + 1) * d_out), (r) => r * r)),
  );
  assertClose("squares", squares.subarray(0, tokens), lengths, { floor: 0, relative: 1e-5 });
});
