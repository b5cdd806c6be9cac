import assert from "node:assert/strict";
import { createTensor, downloadF32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { candidateTiles } from "../../core/gpu/products.ts";
import { Pass } from "../../core/gpu/run.ts";
import type { Tensor } from "../../core/gpu/tensor.ts";
import {
  matmul,
  matmulBiasJumpRelu,
  matmulBiasRelu,
  paddedColumns,
  type TileName,
  TILES,
  type WeightFormat,
} from "../../wgsl/shared/matmul.ts";
import { assertClose, gamma } from "../compare.ts";
import * as oracle from "../oracle/gemma2.ts";
import { gaussians } from "../random.ts";

/** x [rows, depth] times W [depth, columns] in float64; with a bias per row and ReLU, or JumpReLU, if they are given. */
function product(
  x: Float32Array,
  weight: Float32Array,
  bias: Float32Array | null,
  depth: number,
  threshold = new Float32Array(x.length / depth),
) {
  const rows = x.length / depth, columns = weight.length / depth;
  const y = new Float64Array(rows * columns), magnitude = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      let sum = bias?.[r] ?? 0, size = Math.abs(sum);
      for (let k = 0; k < depth; k++) {
        sum += x[r * depth + k] * weight[k * columns + c];
        size += Math.abs(x[r * depth + k] * weight[k * columns + c]);
      }
      y[r * columns + c] = bias === null || sum > threshold[r] ? sum : 0;
      magnitude[r * columns + c] = size;
    }
  }
  return { y, magnitude };
}

const gpu = await openGpu();

/** W as the kernels want it: rows padded with numbers that must not be seen, bf16 in pairs. */
function weightTensor(weight: Float32Array, depth: number, columns: number, format: WeightFormat, on = gpu): Tensor {
  const padded = paddedColumns(columns), rows = new Float32Array(depth * padded).fill(1e6);
  for (let k = 0; k < depth; k++) rows.set(weight.subarray(k * columns, (k + 1) * columns), k * padded);
  if (format === "f32") return tensorFrom(on, "W", [depth, padded], rows);
  const bits = new Uint32Array(rows.buffer);
  const pairs = Uint32Array.from(
    { length: bits.length / 2 },
    (_, i) => bits[2 * i] >>> 16 | bits[2 * i + 1] & 0xffff0000,
  );
  return tensorFrom(on, "W", [depth, padded / 2], pairs);
}

/** The same numbers with only the bits that bfloat16 has. */
function truncated(values: Float32Array): Float32Array {
  return new Float32Array(new Uint32Array(values.buffer).map((bits) => bits & 0xffff0000).buffer);
}

const TESTED = new Set<TileName>([...candidateTiles(gpu), "lanes", "shared64", "shared128"]);
const DEPTHS = { lanes: [1, 17, 67], other: [4, 12, 16, 20, 68] };

/** Extents around a tile's own: one, a prime, one less, the same, one more. */
function sizesOf(tile: TileName): [rows: number, depth: number, columns: number][] {
  const { rows, columns } = TILES[tile];
  const depths = tile === "lanes" ? DEPTHS.lanes : DEPTHS.other;
  const extents = [[1, 1], [13, 67], [rows - 1, columns + 1], [rows, columns], [rows + 1, columns - 1], [
    2 * rows + 1,
    3,
  ]];
  return extents.map(([r, c], i) => [r, depths[i % depths.length], c]);
}

async function run(tile: TileName, epilogue: "none" | "bias_relu", format: WeightFormat, size: number[]) {
  const [rows, depth, columns] = size;
  const x = gaussians(rows * depth, 1), bias = gaussians(rows, 3), drawn = gaussians(columns * depth, 2);
  const weight = format === "bf16" ? truncated(drawn) : drawn;
  const y = createTensor(gpu, "y", [rows, columns]), pass = new Pass(gpu), params = { rows, columns, depth };
  const tensors = {
    x: tensorFrom(gpu, "x", [rows, depth], x),
    weight: weightTensor(weight, depth, columns, format),
    y,
  };
  if (epilogue === "none") pass.run(matmul(tile, format, "none"), tensors, params);
  else pass.run(matmulBiasRelu(tile), { ...tensors, bias: tensorFrom(gpu, "bias", [rows], bias) }, params);
  pass.submit();
  return { got: await downloadF32(gpu, y), expected: product(x, weight, epilogue === "none" ? null : bias, depth) };
}

for (const tile of TESTED) {
  for (const [epilogue, format] of [["none", "f32"], ["none", "bf16"], ["bias_relu", "f32"]] as const) {
    Deno.test(`product ${tile}, ${epilogue}, ${format}: sizes around the tile's`, async () => {
      for (const size of sizesOf(tile)) {
        const { got, expected } = await run(tile, epilogue, format, size);
        const bound = gamma(size[1] + 1);
        assertClose(`${size.join(" x ")}`, got, expected.y, expected.magnitude.map((magnitude) => bound * magnitude));
      }
    });
  }

  Deno.test(`product ${tile}, bias_jump_relu: sizes around the tile's, thresholds of 0, below and above all sums, and equal to some`, async () => {
    // Whole numbers: f32 sums are exact, and what is equal is equal.
    const whole = (count: number, seed: number) => gaussians(count, seed).map(Math.round);
    for (const [rows, depth, columns] of sizesOf(tile)) {
      const x = whole(rows * depth, 1), weight = whole(depth * columns, 2), bias = whole(rows, 3);
      const threshold = Float32Array.from({ length: rows }, (_, r) => [0, 1, Infinity, 2, 2 ** -40, 3][r % 6]);
      const y = createTensor(gpu, "y", [rows, columns]), pass = new Pass(gpu);
      const tensors = {
        x: tensorFrom(gpu, "x", [rows, depth], x),
        weight: weightTensor(weight, depth, columns, "f32"),
        bias: tensorFrom(gpu, "bias", [rows], bias),
        threshold: tensorFrom(gpu, "threshold", [rows], threshold),
        y,
      };
      pass.run(matmulBiasJumpRelu(tile), tensors, { rows, columns, depth });
      pass.submit();
      const got = await downloadF32(gpu, y), expected = product(x, weight, bias, depth, threshold).y;
      // Unlike assert.deepEqual, 0 and -0 are the same: no kernel tells them apart.
      assert.equal(got.findIndex((value, i) => value !== expected[i]), -1, `${rows} x ${depth} x ${columns}`);
    }
  });

  Deno.test(`product ${tile}, geglu: gates from deep in the tails to the middle`, async () => {
    for (const [rows, width] of [[1, 4], [5, 36], [67, 68]]) {
      for (const format of ["f32", "bf16"] as const) {
        const depth = 4, columns = 2 * width;
        // A row of x picks one row of W, so that the sums are exact and the epilogue alone is seen.
        const x = new Float32Array(rows * depth), picked = new Float32Array(rows * columns);
        const gateUp = truncated(gaussians(depth * columns, 5).map((v, i) => v * [1, 0.01, 5, 100][(i >> 3) % 4]));
        const turns = new Float32Array(depth * columns);
        for (let k = 0; k < depth; k++) {
          for (let c = 0; c < width; c++) {
            for (const half of [0, 1]) {
              turns[k * columns + (c >> 2) * 8 + half * 4 + c % 4] = gateUp[k * columns + half * width + c];
            }
          }
        }
        for (let r = 0; r < rows; r++) {
          x[r * depth + r % depth] = 1;
          picked.set(gateUp.subarray(r % depth * columns, (r % depth + 1) * columns), r * columns);
        }
        const y = createTensor(gpu, "hidden", [rows, width]), pass = new Pass(gpu);
        const tensors = {
          x: tensorFrom(gpu, "x", [rows, depth], x),
          weight: weightTensor(turns, depth, columns, format),
          y,
        };
        pass.run(matmul(tile, format, "geglu"), tensors, { rows, columns, depth });
        pass.submit();
        // The oracle's own 1 + tanh loses digits in the negative tail: 1e-16 of the gate.
        const tolerance = { floor: 2e-7, relative: 2e-6 };
        assertClose(
          `${rows} x ${width}, ${format}`,
          await downloadF32(gpu, y),
          oracle.geglu(picked, rows, width),
          tolerance,
        );
      }
    }
  });
}

Deno.test("every f32 tile gives the same bits, so that a run may change its tiles", async () => {
  const size = [131, 68, 133];
  for (const [epilogue, format] of [["none", "f32"], ["none", "bf16"], ["bias_relu", "f32"]] as const) {
    const [first, ...others] = await Promise.all([...TESTED].map((tile) => run(tile, epilogue, format, size)));
    for (const { got } of others) assert.deepEqual(got, first.got);
  }
});

Deno.test("a tile refuses a depth that it would misread", () => {
  const size = { rows: 4, columns: 4, depth: 6 };
  assert.throws(
    () => matmul("shared64", "f32", "none").workgroups(size, {}),
    /the depth must be a multiple of 4, it is 6/,
  );
});

Deno.test("f16 tiles: inputs rounded to 16 bits, sixteen products summed in them, those sums in f32", async () => {
  const half = await openGpu(null, "f16"), unit = 2 ** -11;
  assert.deepEqual(candidateTiles(half, "f16"), ["shared128_f16", "shared64_f16"]);
  // The larger tile has the same text but for its side, and llvmpipe takes half a minute to compile it.
  for (const tile of half.isCpu ? ["shared64_f16"] as const : candidateTiles(half, "f16")) {
    for (const [rows, depth, columns] of [[1, 4, 1], [67, 68, 129], [130, 16, 63]]) {
      const x = gaussians(rows * depth, 1), weight = gaussians(depth * columns, 2);
      const y = createTensor(half, "y", [rows, columns]), pass = new Pass(half);
      const tensors = {
        x: tensorFrom(half, "x", [rows, depth], x),
        weight: weightTensor(weight, depth, columns, "f32", half),
        y,
      };
      pass.run(matmul(tile, "f32", "none"), tensors, { rows, columns, depth });
      pass.submit();
      const expected = product(x, weight, null, depth);
      // Two roundings of the inputs, and of the products and sums of a block of 16; below 2^-14 a half has fewer digits.
      const bounds = expected.magnitude.map((magnitude) => (2 + 2 * 16) * unit * magnitude + depth * 2 ** -24);
      const got = await downloadF32(half, y);
      assertClose(`${tile}, ${rows} x ${depth} x ${columns}`, got, expected.y, bounds);
      assert.ok(
        got.some((value, i) => Math.abs(value - expected.y[i]) > 2 ** -20 * expected.magnitude[i]),
        "it is not f32",
      );
    }
  }
});
