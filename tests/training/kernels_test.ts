/** The training step's large kernels one by one: sparse decoding and the two sparse optimiser steps, within derived bounds. */

import assert from "node:assert/strict";
import { createTensor, downloadAll, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import type { Tensor } from "../../core/gpu/tensor.ts";
import { decode, decoderStep, encoderStep, prefixConstants } from "../../wgsl/transcoder/step.ts";
import { assertWithin } from "../oracle/bounded.ts";
import * as oracle from "../oracle/kernels.ts";
import { columnsOf, type Entry, rowsOf, type Sparse } from "../oracle/top_k.ts";
import { gaussians } from "../random.ts";
import { adamParams, entriesPerFeature, normalised, parameter, randomEntries, sliceRow } from "./inputs.ts";

const gpu = await openGpu();
const f32 = (data: Float32Array) => tensorFrom(gpu, "f32", [data.length], data);
const u32 = (data: ArrayLike<number>) => tensorFrom(gpu, "u32", [data.length], Uint32Array.from(data));
/** An output that holds rubbish before: what is promised to be overwritten must not keep it. */
const rubbish = (size: number) => f32(new Float32Array(size).fill(NaN));
/** Two selections in shared columns, as the optimiser steps read them. */
const joined = (main: Sparse, aux: Sparse) => ({
  start: u32([...main.start, ...aux.start.map((at) => main.index.length + at)]),
  token: u32([...main.index, ...aux.index]),
});
/** A tensor must hold something even where a batch keeps nothing. */
const sparseTensors = (index: ArrayLike<number>, value: Float32Array) =>
  index.length > 0 ? [u32(index), f32(value)] : [createTensor(gpu, "none", [1], "u32"), createTensor(gpu, "none", [1])];
const read = async (tensors: Tensor[]) => (await downloadAll(gpu, tensors)).map((bytes) => new Float32Array(bytes));

/** The lane counts in use, each with widths around it and around the two quads of columns that a lane takes at a time. */
const WIDTHS = [
  ...[4, 28, 32, 36, 60, 64, 68, 132].map((width) => [8, width]),
  ...[252, 256, 260, 516].map((width) => [64, width]),
  ...[52, 508, 512, 516, 1028].map((width) => [128, width]),
];

for (const [lanes, width] of WIDTHS) {
  for (const groups of [[6], [1, 1], [1, 4, 2], [1, 1, 3, 1]]) {
    Deno.test(`decode: ${lanes} lanes, width ${width}, groups ${groups}`, async () => {
      const tokens = 5, features = groups.reduce((a, b) => a + b), prefixes = groups.length;
      const prefixEnds = groups.map((_, p) => groups.slice(0, p + 1).reduce((a, b) => a + b));
      for (const kept of [0, 2 * tokens]) {
        // The second form is the auxiliary one: no bias, and a residual that lies behind others in its buffer.
        for (const [targetWeight, biasWeight, innerWeight, skipped] of [[-1, 1, 0.75, 0], [1, 0, 1, 3 * width]]) {
          const entries = randomEntries(tokens, features, kept, 1);
          const decoder = gaussians(features * width, 2), bias = gaussians(width, 3);
          const target = gaussians(tokens * width, 4);
          const rows = rowsOf(entries, tokens), [index, value] = sparseTensors(rows.index, rows.value);
          const residual = rubbish(skipped + prefixes * tokens * width), squares = rubbish(tokens * prefixes);
          const pass = new Pass(gpu);
          pass.run(
            decode,
            {
              row_start: u32(rows.start),
              index,
              value,
              decoder: f32(decoder),
              bias: f32(bias),
              target_y: f32(target),
              residual,
              squares,
            },
            {
              tokens,
              width,
              features,
              prefixes,
              residual_first: skipped,
              target_weight: targetWeight,
              bias_weight: biasWeight,
              inner_weight: innerWeight,
            },
            { LANES: lanes, ...prefixConstants(prefixEnds) },
          );
          pass.submit();
          const given = {
            entries,
            tokens,
            width,
            prefixEnds,
            decoder,
            bias,
            target,
            targetWeight,
            biasWeight,
            innerWeight,
          };
          const expected = oracle.decode(given), actual = await read([residual, squares]);
          assertWithin("residual", actual[0].subarray(skipped), expected.residual);
          assert.ok(actual[0].subarray(0, skipped).every(Number.isNaN), "what stands before is left alone");
          assertWithin("squares", actual[1], expected.squares);
        }
      }
    });
  }

  // Whole, and in parts of as many quads as there are lanes. Software drivers take seconds to compile each.
  for (const part of [68, 260].includes(width) ? [width / 4, lanes] : [width / 4]) {
    Deno.test(`decoder_step: ${lanes} lanes, width ${width} in parts of ${4 * part}`, async () => {
      const tokens = 9, first_feature = 2, features = 5, all = first_feature + features, group = 1;
      // None, and one, four, five, eight and nine, for the entries are taken four at a time.
      const entries = entriesPerFeature([1, 2, 9, 0, 4, 5, 8], tokens, 1);
      const auxEntries = entriesPerFeature([0, 3, 1, 4, 5, 0, 9], tokens, 2);
      const residual = gaussians((group + 1) * tokens * width, 3), auxResidual = gaussians(tokens * width, 4);
      const scale = Math.fround(1e-3), aux_scale = Math.fround(2e-4), params = adamParams(7);
      const old = parameter(all * width, 5);
      normalised(old.weight, width);
      const columns = columnsOf(entries, all), aux = columnsOf(auxEntries, all);
      const [decoder, mean, square] = [f32(old.weight), f32(old.mean), f32(old.square)];
      const slope = rubbish(entries.length + auxEntries.length), both = joined(columns, aux);
      const pass = new Pass(gpu);
      pass.run(
        decoderStep,
        {
          ...both,
          value: f32(Float32Array.of(...columns.value, ...aux.value)),
          residual: f32(Float32Array.of(...residual, ...auxResidual)),
          decoder,
          mean,
          square,
          slope,
        },
        {
          tokens,
          first_feature,
          features,
          all_features: all,
          group,
          prefixes: group + 1,
          scale,
          aux_scale,
          ...params,
        },
        { LANES: lanes, QUADS: width / 4, PART: part },
      );
      pass.submit();
      const [newWeight, newMean, newSquare, allSlopes] = await read([decoder, mean, square, slope]);
      const slopes = allSlopes.subarray(0, entries.length), auxSlopes = allSlopes.subarray(entries.length);
      const main = { entries, residual: residual.subarray(group * tokens * width), scale };
      const other = { entries: auxEntries, residual: auxResidual, scale: aux_scale };
      for (let i = 0; i < all; i++) {
        const actual = sliceRow({ weight: newWeight, mean: newMean, square: newSquare }, i, width);
        if (i < first_feature) {
          assert.deepEqual(actual, sliceRow(old, i, width), "features before the group are left alone");
          continue;
        }
        const expected = oracle.decoderStep(i, sliceRow(old, i, width), main, other, params);
        assertWithin(`slope of feature ${i}`, slopes.subarray(columns.start[i], columns.start[i + 1]), expected.slope);
        assertWithin(
          `aux slope of feature ${i}`,
          auxSlopes.subarray(aux.start[i], aux.start[i + 1]),
          expected.auxSlope,
        );
        for (const key of ["weight", "mean", "square"] as const) {
          assertWithin(`${key} of feature ${i}`, actual[key], expected.row[key]);
        }
        const norm = Math.hypot(...actual.weight);
        // Each of the norm's roundings moves it by less than width + 20 units.
        assert.ok(Math.abs(norm - 1) <= (width + 20) * 2 ** -24, `feature ${i} has norm ${norm}`);
      }
    });
  }

  Deno.test(`encoder_step: ${lanes} lanes, width ${width}`, async () => {
    const tokens = 9, features = 7, params = adamParams(3);
    const slopes = (entries: Entry[], seed: number) => {
      const values = gaussians(entries.length, seed);
      return entries.map((entry, n) => ({ ...entry, value: Math.fround(values[n] * 1e-3) }));
    };
    const entries = slopes(entriesPerFeature([1, 0, 9, 4, 5, 0, 8], tokens, 1), 11);
    const auxEntries = slopes(entriesPerFeature([0, 3, 1, 4, 5, 2, 9], tokens, 2), 12);
    const columns = columnsOf(entries, features), aux = columnsOf(auxEntries, features);
    const x = gaussians(tokens * width, 3), old = parameter(features * width, 4), oldBias = parameter(features, 8);
    const [encoder, mean, square] = [f32(old.weight), f32(old.mean), f32(old.square)];
    const bias = f32(Float32Array.of(...oldBias.weight, ...oldBias.mean, ...oldBias.square));
    const biasStep = Math.fround(7 * params.step_size);
    const pass = new Pass(gpu);
    pass.run(
      encoderStep,
      {
        ...joined(columns, aux),
        slope: f32(Float32Array.of(...columns.value, ...aux.value)),
        x: f32(x),
        encoder,
        mean,
        square,
        bias,
      },
      { tokens, features, width, ...params, bias_step_size: biasStep },
      { LANES: lanes },
    );
    pass.submit();
    const [weights, means, squares, biases] = await read([encoder, mean, square, bias]);
    for (let i = 0; i < features; i++) {
      const b = { weight: oldBias.weight[i], mean: oldBias.mean[i], square: oldBias.square[i] };
      const expected = oracle.encoderStep(
        i,
        sliceRow(old, i, width),
        b,
        [...entries, ...auxEntries],
        x,
        params,
        biasStep,
      );
      const actual = sliceRow({ weight: weights, mean: means, square: squares }, i, width);
      for (const key of ["weight", "mean", "square"] as const) {
        assertWithin(`${key} of feature ${i}`, actual[key], expected.row.map((element) => element[key]));
      }
      const { weight, mean: m, square: v } = expected.bias;
      assertWithin(`bias of feature ${i}`, [0, 1, 2].map((n) => biases[n * features + i]), [weight, m, v]);
    }
  });
}
