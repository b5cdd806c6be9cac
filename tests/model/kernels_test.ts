import { createTensor, downloadAll, downloadF32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { attention, BLOCK, rotary } from "../../wgsl/model/attention.ts";
import { headNorm, normAddNorm, rmsNorm } from "../../wgsl/model/norms.ts";
import { assertClose } from "../compare.ts";
import * as oracle from "../oracle/decoder.ts";
import { gaussians } from "../random.ts";

const gpu = await openGpu();

/** A row of positive and negative numbers around 0 whose sums grow slowly: a few roundings of the largest terms. */
const ROUNDINGS = { floor: 1e-6, relative: 1e-6 };

for (const lanes of [8, 64]) {
  for (const [rows, width] of [[1, 1], [13, 7], [3, 8], [2, 67], [5, 127], [1, 128], [2, 129]]) {
    Deno.test(`rms_norm and norm_add_norm: ${rows} x ${width}, ${lanes} lanes`, async () => {
      const epsilon = 1e-6, constants = { LANES: lanes };
      const [branch, residual] = [1, 2].map((seed) => gaussians(rows * width, seed));
      const [gain, nextGain] = [3, 4].map((seed) => gaussians(width, seed));
      const tensor = (label: string, data: Float32Array) => tensorFrom(gpu, label, [data.length], data);
      const output = (label: string) => createTensor(gpu, label, [rows, width]);
      const y = output("y"), normed = output("normed"), sum = output("sum"), next = output("next");
      const fused = {
        branch: tensor("branch", branch),
        branch_gain: tensor("gain", gain),
        residual: tensor("residual", residual),
        next_gain: tensor("next gain", nextGain),
        normed,
        sum,
      };
      const untouched = tensor("untouched", new Float32Array(rows * width).fill(7));
      const params = { rows, width, epsilon };
      const pass = new Pass(gpu);
      pass.run(rmsNorm, { x: fused.branch, gain: fused.branch_gain, y }, params, constants);
      pass.run(normAddNorm, { ...fused, next }, params, constants);
      pass.run(normAddNorm, { ...fused, next: untouched }, params, { ...constants, NORM_NEXT: 0 });
      pass.submit();
      const [yOut, normedOut, sumOut, nextOut, untouchedOut] =
        (await downloadAll(gpu, [y, normed, sum, next, untouched]))
          .map((bytes) => new Float32Array(bytes));
      const expected = oracle.rmsNorm(branch, gain, width, epsilon);
      const expectedSum = expected.map((value, i) => value + residual[i]);
      assertClose("rms_norm", yOut, expected, ROUNDINGS);
      assertClose("normed", normedOut, expected, ROUNDINGS);
      assertClose("sum", sumOut, expectedSum, ROUNDINGS);
      // Cancellation in a narrow row's sum is magnified by the norm.
      assertClose("next", nextOut, oracle.rmsNorm(expectedSum, nextGain, width, epsilon), {
        floor: 1e-5,
        relative: 1e-6,
      });
      assertClose("next when it is not wanted", untouchedOut, new Float32Array(rows * width).fill(7), ROUNDINGS);
    });
  }
}

for (const lanes of [8, 64]) {
  for (
    const [rows, heads, key_value_heads, head_dim] of [
      ...[[1, 1, 1, 1], [13, 1, 1, 7], [3, 3, 1, 8], [2, 4, 2, 63], [5, 1, 1, 64], [2, 2, 1, 65], [1, 2, 2, 127]],
      ...[[1, 5, 5, 129], [70_000, 1, 1, 2]],
    ]
  ) {
    Deno.test(`head_norm: ${rows} x ${heads}/${key_value_heads} heads of ${head_dim}, ${lanes} lanes`, async () => {
      const width = (heads + 2 * key_value_heads) * head_dim, epsilon = 1e-6;
      const shape = { heads, key_value_heads, head_dim };
      const data = gaussians(rows * width, 8), gain = gaussians(2 * head_dim, 9);
      const qkv = tensorFrom(gpu, "qkv", [rows, width], data), gains = tensorFrom(gpu, "gains", [2, head_dim], gain);
      const pass = new Pass(gpu);
      pass.run(headNorm, { gain: gains, qkv }, { rows, ...shape, epsilon }, { LANES: lanes });
      pass.submit();
      assertClose("head_norm", await downloadF32(gpu, qkv), oracle.headNorm(data, gain, shape, epsilon), ROUNDINGS);
    });
  }
}

/** The blocked layout of `rotated`, back in the order of positions. */
function unblocked(rotated: Float32Array, shape: oracle.AttentionShape): Float32Array {
  const { contexts, context, head_dim } = shape, heads = shape.heads + shape.key_value_heads;
  const blocks = Math.ceil(context / BLOCK);
  const out = new Float32Array(contexts * context * heads * head_dim);
  for (let row = 0; row < contexts * context; row++) {
    const position = row % context;
    const block = Math.floor(row / context) * blocks + Math.floor(position / BLOCK);
    for (let i = 0; i < heads * head_dim; i++) {
      out[row * heads * head_dim + i] = rotated[(block * heads * head_dim + i) * BLOCK + position % BLOCK];
    }
  }
  return out;
}

interface Case extends oracle.AttentionShape {
  readonly window: number;
  readonly cap: number;
  readonly lanes: number;
  /** Factor on queries and keys: large ones reach the cap, and without one spread the softmax over the whole range. */
  readonly size: number;
}

const plain: Case = {
  contexts: 2,
  context: 17,
  heads: 2,
  key_value_heads: 1,
  head_dim: 6,
  window: 1000,
  cap: 50,
  lanes: 8,
  size: 1,
};
const cases: Case[] = [
  { ...plain, contexts: 1, context: 1, head_dim: 2 },
  { ...plain, context: 15, heads: 3 },
  { ...plain, context: 16, heads: 4, key_value_heads: 2, size: 20 },
  { ...plain, window: 1 },
  { ...plain, context: 31, window: 5, head_dim: 32 },
  { ...plain, context: 33, window: 16, head_dim: 34 },
  { ...plain, context: 67, window: 33, head_dim: 12, cap: 0 },
  { ...plain, context: 80, head_dim: 40, cap: 0, size: 20 },
  { ...plain, context: 97, window: 50, cap: 1000, size: 20 },
  { ...plain, contexts: 1, context: 129, heads: 1, head_dim: 70, lanes: 16, size: 5 },
];
for (const { window, cap, lanes, size, ...shape } of cases) {
  const { contexts, context, heads, key_value_heads, head_dim } = shape;
  const name =
    `${contexts} x ${context} tokens, ${heads}/${key_value_heads} heads of ${head_dim}, window ${window}, cap ${cap}`;
  Deno.test(`rotary and attention: ${name}, ${lanes} lanes, size ${size}`, async () => {
    const width = oracle.qkvWidth(shape), tokens = contexts * context, scale = head_dim ** -0.5;
    const turning = (heads + key_value_heads) * head_dim;
    const qkv = gaussians(tokens * width, 6).map((value, i) => i % width < turning ? value * Math.sqrt(size) : value);
    const turns = gaussians(context * head_dim, 7);
    for (let i = 0; i < turns.length; i += 2) [turns[i], turns[i + 1]] = [Math.cos(turns[i]), Math.sin(turns[i])];
    const rotated = createTensor(gpu, "rotated", [contexts, Math.ceil(context / BLOCK), turning, BLOCK]);
    const out = createTensor(gpu, "out", [tokens, heads * head_dim]);
    const qkvTensor = tensorFrom(gpu, "qkv", [tokens, width], qkv);
    const pass = new Pass(gpu);
    pass.run(rotary, { qkv: qkvTensor, turns: tensorFrom(gpu, "turns", [context, head_dim], turns), rotated }, shape);
    pass.run(attention, { rotated, qkv: qkvTensor, out }, { ...shape, window, scale }, { LANES: lanes, SOFT_CAP: cap });
    pass.submit();
    const turned = unblocked(await downloadF32(gpu, rotated), shape);
    assertClose("rotated", turned, oracle.rotary(qkv, turns, shape), { floor: 1e-6 * Math.sqrt(size), relative: 1e-6 });
    // From the kernel's own turned queries and keys; a score's rounding error grows with its size and moves the weights.
    const expected = oracle.attention(turned, qkv, shape, window, scale, cap);
    assertClose("out", await downloadF32(gpu, out), expected, { floor: 4e-6 * Math.max(1, size), relative: 1e-6 });
  });
}
