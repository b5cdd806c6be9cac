/** The training step's small kernels: gathering, column statistics, the decoder bias, the threshold and the metrics row. */

import assert from "node:assert/strict";
import { downloadAll, downloadF32, downloadU32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { gatherRows, prepareRows, rowNorms } from "../../wgsl/shared/rows.ts";
import { skipRest, skipStep } from "../../wgsl/transcoder/skip.ts";
import {
  columnMoments,
  decoderBiasStep,
  METRICS_EXTRA,
  raiseDead,
  stepMetrics,
  trackInactive,
  trackThreshold,
} from "../../wgsl/transcoder/step.ts";
import { assertWithin, difference, exact, product, sum } from "../oracle/bounded.ts";
import * as oracle from "../oracle/kernels.ts";
import { assertClose } from "../compare.ts";
import { gaussians } from "../random.ts";
import { adamParams, parameter } from "./inputs.ts";

const gpu = await openGpu();
const f32 = (data: Float32Array) => tensorFrom(gpu, "f32", [data.length], data);
const u32 = (data: ArrayLike<number>) => tensorFrom(gpu, "u32", [data.length], Uint32Array.from(data));
const rubbish = (size: number) => f32(new Float32Array(size).fill(NaN));
const bitsOf = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0];

// One workgroup has 64 invocations, one per four elements.
for (const [rows, width] of [[1, 4], [7, 36], [9, 28], [1, 256], [5, 52]]) {
  Deno.test(`gather_rows: ${rows} x ${width}, exactly, and only the rows of the block`, async () => {
    const capacity = 11, first = 3, blockFirst = 2, blockRows = 6;
    const x = gaussians(capacity * width, 1);
    const order = Array.from({ length: first + rows }, (_, n) => (n * 7) % capacity);
    const y = rubbish(rows * width + 4), block = x.slice(blockFirst * width, (blockFirst + blockRows) * width);
    const pass = new Pass(gpu), place = { block_first: blockFirst, block_rows: blockRows };
    pass.run(gatherRows, { x: f32(block), order: u32(order), y }, { rows, width, first, ...place });
    pass.submit();
    const actual = await downloadF32(gpu, y);
    const expected = Array.from({ length: rows * width }, (_, at) => {
      const row = order[first + Math.floor(at / width)];
      const isInside = row >= blockFirst && row < blockFirst + blockRows;
      return isInside ? x[row * width + at % width] : NaN;
    });
    assert.deepEqual(Array.from(actual.subarray(0, rows * width)), expected);
    assert.ok(Number.isNaN(actual[rows * width]), "nothing is written past the last row");
  });
}

for (const [rows, width, LANES] of [[1, 4, 8], [7, 36, 8], [9, 28, 64], [3, 252, 64], [300, 68, 8]]) {
  Deno.test(`row_norms: ${rows} x ${width} in ${LANES} lanes, against float64, and only from the first on`, async () => {
    const x = gaussians(rows * width, 1), first = 3, norms = rubbish(first + rows + 2), pass = new Pass(gpu);
    pass.run(rowNorms, { x: f32(x), norms }, { rows, width, first }, { LANES });
    pass.submit();
    const actual = await downloadF32(gpu, norms);
    const expected = Float64Array.from(
      { length: rows },
      (_, r) => Math.hypot(...x.subarray(r * width, (r + 1) * width)),
    );
    assertClose("norms", actual.subarray(first, first + rows), expected, { floor: 0, relative: 1e-6 });
    const others = [...actual.subarray(0, first), ...actual.subarray(first + rows)];
    assert.ok(others.every(Number.isNaN), "nothing else is written");
  });
}

// Alone in y, and between other columns.
const PREPARED = [[1, 4], [7, 36], [9, 28], [1, 256], [1, 252], [1, 260], [5, 52]].flatMap(([rows, width]) => [
  { rows, width, before: 0, behind: 0 },
  { rows, width, before: 8, behind: 4 },
]);
for (const { rows, width, before, behind } of PREPARED) {
  Deno.test(`prepare_rows: ${rows} x ${width} behind ${before}, against float64, and only the rows of the block`, async () => {
    const capacity = 11, first = 3, blockFirst = 2, blockRows = 6, yWidth = before + width + behind;
    // Means a hundred times the spread, as the massive dimensions of a residual stream have them, and scales of any size.
    const mean = gaussians(width, 3).map((value, c) => c % 3 === 0 ? 100 * value : value);
    const scale = gaussians(width, 4).map((value) => Math.exp(3 * value));
    const x = gaussians(capacity * width, 1).map((value, at) => value + mean[at % width]);
    const order = Array.from({ length: first + rows }, (_, n) => (n * 7) % capacity);
    const y = rubbish(rows * yWidth + 4), block = x.slice(blockFirst * width, (blockFirst + blockRows) * width);
    const place = { block_first: blockFirst, block_rows: blockRows, y_width: yWidth, y_column: before };
    const pass = new Pass(gpu), others = (count: number) => new Float32Array(count).fill(NaN);
    const row = (values: Float32Array) => [...others(before), ...values, ...others(behind)];
    const columns = f32(Float32Array.of(...row(mean), ...row(scale)));
    pass.run(prepareRows, { x: f32(block), order: u32(order), columns, y }, { rows, width, first, ...place });
    pass.submit();
    const written = await downloadF32(gpu, y);
    const isBeside = (_: number, at: number) => at % yWidth < before || at % yWidth >= before + width;
    assert.ok(
      written.filter(isBeside).every(Number.isNaN),
      "other columns are left alone, and what is past the last row",
    );
    const actual = written.filter((_, at) => at < rows * yWidth && !isBeside(_, at));
    const isInside = (r: number) => order[first + r] >= blockFirst && order[first + r] < blockFirst + blockRows;
    const places = Array.from({ length: rows * width }, (_, at) => at);
    const inside = places.filter((at) => isInside(Math.floor(at / width)));
    const expected = inside.map((at) => {
      const row = order[first + Math.floor(at / width)], c = at % width;
      return product(difference(exact(x[row * width + c]), exact(mean[c])), exact(scale[c]));
    });
    assertWithin("prepared", Float32Array.from(inside, (at) => actual[at]), expected);
    for (const at of places) assert.equal(Number.isNaN(actual[at]), !isInside(Math.floor(at / width)), `${at}`);
    assert.ok(written.subarray(rows * yWidth).every(Number.isNaN), "nothing is written past the last row");
  });
}

Deno.test("prepare_rows with one factor and no means is a product rounded once: older runs go on with their bits", async () => {
  const rows = 5, width = 28, x = gaussians(rows * width, 1), scale = Math.fround(0.37), y = rubbish(rows * width);
  const columns = f32(Float32Array.from({ length: 2 * width }, (_, c) => c < width ? 0 : scale)),
    order = u32([0, 1, 2, 3, 4]);
  const pass = new Pass(gpu), params = { rows, width, first: 0, block_first: 0, block_rows: rows };
  pass.run(prepareRows, { x: f32(x), order, columns, y }, { ...params, y_width: width, y_column: 0 });
  pass.submit();
  // A product of two float32 numbers fits in a float64.
  assert.deepEqual(await downloadF32(gpu, y), x.map((value) => scale * value));
});

Deno.test("a width that is no multiple of 4 is refused: rows would be mixed up", () => {
  const params = { rows: 2, width: 6, first: 0, block_first: 0, block_rows: 2, y_width: 8, y_column: 0 };
  for (const { workgroups } of [gatherRows, prepareRows]) {
    assert.throws(() => workgroups(params, {}), /the width must be a multiple of 4, it is 6/);
  }
});

for (const [rows, width] of [[1, 1], [2, 63], [13, 64], [31, 65], [1000, 3]]) {
  Deno.test(`column_moments: ${rows} x ${width}`, async () => {
    // Means far from 0: one pass over the squares would lose every digit of the deviations.
    const x = gaussians(rows * width, 2).map((value, at) => value + 100 * (at % width));
    const before = gaussians(3 * 2 * width, 3), moments = f32(before);
    const pass = new Pass(gpu);
    pass.run(columnMoments, { x: f32(x), moments }, { rows, width, slot: 1 });
    pass.submit();
    const actual = await downloadF32(gpu, moments);
    assertWithin("moments", actual.subarray(2 * width, 4 * width), oracle.columnMoments(x, rows, width));
    assert.deepEqual(actual.subarray(0, 2 * width), before.subarray(0, 2 * width), "the slot before");
    assert.deepEqual(actual.subarray(4 * width), before.subarray(4 * width), "the slot after");
  });
}

for (const [tokens, width] of [[1, 1], [5, 7], [31, 8], [6, 9], [64, 17]]) {
  Deno.test(`decoder_bias_step: ${tokens} tokens, width ${width}`, async () => {
    const residual = gaussians(tokens * width, 1), old = parameter(width, 2), scale = Math.fround(1e-3);
    const params = adamParams(4), bias = f32(Float32Array.of(...old.weight, ...old.mean, ...old.square));
    // The kernel sees the slabs of all prefixes and reads the first.
    const slabs = Float32Array.of(...residual, ...gaussians(tokens * width, 9));
    const pass = new Pass(gpu);
    pass.run(decoderBiasStep, { residual: f32(slabs), bias }, { tokens, width, scale, ...params });
    pass.submit();
    const actual = await downloadF32(gpu, bias);
    const expected = oracle.decoderBiasStep(old, residual, scale, params);
    (["weight", "mean", "square"] as const).forEach((key, n) =>
      assertWithin(key, actual.subarray(n * width, (n + 1) * width), expected.map((column) => column[key]))
    );
  });
}

Deno.test("track_threshold starts at the first smallest value, then follows it, and skips steps that kept nothing", async () => {
  const state = f32(new Float32Array(2)), rate = Math.fround(0.01);
  const observe = async (smallest: number, kept: number) => {
    const pass = new Pass(gpu);
    pass.run(trackThreshold, { selection: u32([bitsOf(smallest), 1, kept, 0]), state }, { rate });
    pass.submit();
    return await downloadF32(gpu, state);
  };
  assert.deepEqual(Array.from(await observe(0, 0)), [0, 0], "nothing kept before the start");
  assert.deepEqual(Array.from(await observe(0.75, 3)), [0.75, 1]);
  assert.deepEqual(Array.from(await observe(0, 0)), [0.75, 1], "nothing kept later");
  let before = 0.75;
  for (const value of [0.1, 5, 0.75]) {
    const smallest = exact(Math.fround(value));
    const expected = sum([exact(before), product(exact(rate), difference(smallest, exact(before)))]);
    const [threshold, hasStarted] = await observe(value, 1);
    assertWithin("threshold", [threshold], [expected]);
    assert.equal(hasStarted, 1);
    before = threshold;
  }
});

Deno.test("track_threshold takes a first value of any size, and does not stall far from its goal", async () => {
  const state = f32(new Float32Array(2)), rate = Math.fround(0.01);
  const pass = new Pass(gpu);
  pass.run(trackThreshold, { selection: u32([bitsOf(2 ** -100), 1, 1, 0]), state }, { rate });
  for (let n = 0; n < 600; n++) pass.run(trackThreshold, { selection: u32([bitsOf(1), 1, 1, 0]), state }, { rate });
  pass.submit();
  const [threshold] = await downloadF32(gpu, state);
  // Each step keeps 1 - rate of the distance and adds at most 4 roundings; the sum of what is left of them is below 4 u / rate.
  const u = 2 ** -24;
  assertWithin("threshold", [threshold], [{ value: 1 - (1 - rate) ** 600, error: 4 * u / rate }]);
});

for (const lanes of [8, 64, 128]) {
  for (const [tokens, width, features, prefixes] of [[1, 1, 1, 1], [7, 9, 65, 3], [129, 5, 130, 2], [64, 128, 8, 4]]) {
    Deno.test(`step_metrics: ${lanes} lanes, ${tokens} tokens, width ${width}, ${features} features, ${prefixes} prefixes`, async () => {
      const squares = gaussians(tokens * prefixes, 1).map(Math.abs), auxSquares = gaussians(tokens, 2).map(Math.abs);
      const moments = gaussians(2 * width, 3).map(Math.abs), auxWeight = Math.fround(1 / 32), deadAfter = 10;
      const wholeWeight = Math.fround(1.3);
      const inactive = Array.from({ length: features }, (_, i) => (i * 5) % 12 + (i === 0 ? deadAfter : 0));
      const row = prefixes + METRICS_EXTRA, kept = 1234567, threshold = Math.fround(0.3);
      for (const auxKept of [0, 5]) {
        const ring = rubbish(3 * row);
        const pass = new Pass(gpu);
        pass.run(
          stepMetrics,
          {
            squares: f32(squares),
            aux_squares: f32(auxSquares),
            moments: f32(moments),
            selection: u32([0, 0, kept, 0]),
            aux_selection: u32([0, 0, auxKept, 0]),
            inactive: u32(inactive),
            state: f32(Float32Array.of(threshold, 1)),
            ring,
          },
          {
            tokens,
            width,
            features,
            prefixes,
            slot: 1,
            dead_after: deadAfter,
            aux_weight: auxWeight,
            whole_weight: wholeWeight,
          },
          { LANES: lanes },
        );
        pass.submit();
        const [bytes] = await downloadAll(gpu, [ring]);
        const actual = new Float32Array(bytes);
        const deviations = moments.subarray(width);
        const expected = oracle.stepMetrics(
          squares,
          auxSquares,
          deviations,
          prefixes,
          auxWeight,
          wholeWeight,
          auxKept > 0,
        );
        const dead = inactive.filter((n) => n >= deadAfter).length;
        assertWithin("metrics row", actual.subarray(row, 2 * row), [
          expected.loss,
          expected.auxLoss,
          ...expected.errors,
          expected.variance,
          exact(kept),
          exact(dead),
          exact(threshold),
        ]);
        assert.ok([...actual.subarray(0, row), ...actual.subarray(2 * row)].every(Number.isNaN), "other rows");
      }
    });
  }
}

for (const [d_in, d_out] of [[1, 4], [7, 12], [17, 60], [33, 64]]) {
  Deno.test(`skip_rest and skip_step: ${d_in} -> ${d_out}, against float64`, async () => {
    const count = d_in * d_out, target = gaussians(count, 1), given = gaussians(count, 2), rest = f32(given);
    const old = parameter(count, 3), product_ = gaussians(count, 6), params = adamParams(7), scale = Math.fround(1e-3);
    const [weight, mean, square] = [f32(old.weight), f32(old.mean), f32(old.square)], pass = new Pass(gpu);
    pass.run(skipRest, { target_y: f32(target), rest }, { count });
    pass.run(skipStep, { product: f32(product_), weight, mean, square }, { count, scale, ...params });
    pass.submit();
    const [left, ...updated] = (await downloadAll(gpu, [rest, weight, mean, square])).map((b) => new Float32Array(b));
    assert.deepEqual(left, target.map((value, at) => value - given[at]));
    const expected = Array.from(product_, (value, at) => {
      const before = { weight: old.weight[at], mean: old.mean[at], square: old.square[at] };
      return oracle.adam(before, product(exact(scale), exact(value)), params);
    });
    for (const [n, key] of (["weight", "mean", "square"] as const).entries()) {
      assertWithin(key, updated[n], expected.map((each) => each[key]));
    }
  });
}

Deno.test("raise_dead: the bias of a dead feature that neither selection keeps rises, no other", async () => {
  for (const features of [1, 64, 130]) {
    const inactive = Array.from({ length: features }, (_, i) => i % 3 === 0 ? 10 : i % 3 === 1 ? 9 : 2 ** 32 - 1);
    const kept = inactive.map((_, i) => Number(i % 5 === 1)), auxKept = inactive.map((_, i) => Number(i % 7 === 2));
    const starts = [kept, auxKept].flatMap((counts) =>
      Array.from({ length: features + 1 }, (_, i) => counts.slice(0, i).reduce((a, b) => a + b, 0))
    );
    const before = gaussians(3 * features, 1), bias = f32(before), rise = Math.fround(0.125);
    const pass = new Pass(gpu);
    pass.run(raiseDead, { start: u32(starts), inactive: u32(inactive), bias }, { features, dead_after: 10, rise });
    pass.submit();
    const after = await downloadF32(gpu, bias);
    const expected = before.map((value, i) =>
      i < features && inactive[i] >= 10 && kept[i] === 0 && auxKept[i] === 0 ? value + rise : value
    );
    assert.deepEqual(Array.from(after), Array.from(expected), `${features} features`);
  }
});

Deno.test("track_inactive: back to 0 when kept, else the batch's tokens more, without wrapping around", async () => {
  const most = 2 ** 32 - 1, tokens = 9;
  for (const features of [1, 7, 63, 64, 65]) {
    const before = Array.from({ length: features }, (_, i) => [0, most, most - tokens, most - tokens + 1, 100][i % 5]);
    const kept = before.map((_, i) => [0, 0, 0, 3, 0, 1, 2][i % 7]);
    const start = kept.reduce((starts, n) => [...starts, starts.at(-1)! + n], [5]);
    const inactive = u32(before);
    const pass = new Pass(gpu);
    pass.run(trackInactive, { start: u32(start), inactive }, { tokens, features });
    pass.submit();
    const expected = before.map((n, i) => kept[i] > 0 ? 0 : n + tokens > most ? n : n + tokens);
    assert.deepEqual(Array.from(await downloadU32(gpu, inactive)), expected, `${features} features`);
  }
});
