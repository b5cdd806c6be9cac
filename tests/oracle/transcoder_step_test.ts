/** The oracle's own gradients against central differences of its own loss. */

import assert from "node:assert/strict";
import { assertClose } from "../compare.ts";
import { gaussians } from "../random.ts";
import { keepLargest } from "./top_k.ts";
import { backward, encode, forward, type Matrix, type Weights } from "./transcoder_step.ts";

/** Half the distance of the two losses; small enough that no kept activation reaches 0. */
const H = 2 ** -12;

function matrix(rows: number, columns: number, seed: number): Matrix {
  const data = gaussians(rows * columns, seed);
  return Array.from({ length: rows }, (_, r) => Array.from(data.subarray(r * columns, (r + 1) * columns)));
}

/** One kind of parameter as rows, to be changed in place. */
function places(weights: Weights, kind: keyof Weights): number[][] {
  const value = weights[kind];
  if (value.length === 0) return [];
  return Array.isArray(value[0]) ? value as number[][] : [value as number[]];
}

for (
  const { groups, d_in, d_out, tokens, aux, skip } of [
    { groups: [1], d_in: 1, d_out: 1, tokens: 1, aux: false, skip: false },
    { groups: [1], d_in: 1, d_out: 1, tokens: 3, aux: true, skip: true },
    { groups: [3, 4, 2], d_in: 5, d_out: 7, tokens: 6, aux: true, skip: false },
    { groups: [3, 4, 2], d_in: 5, d_out: 7, tokens: 6, aux: true, skip: true },
    { groups: [1, 1, 1, 5], d_in: 4, d_out: 3, tokens: 5, aux: true, skip: false },
    { groups: [2, 6], d_in: 3, d_out: 4, tokens: 7, aux: false, skip: true },
  ]
) {
  const features = groups.reduce((a, b) => a + b);
  const recipe = { groups, aux_weight: 1 / 32, whole_weight: 1.3 };
  const name = `groups ${groups}, ${d_in} -> ${d_out}, ${tokens} tokens${aux ? ", auxiliary loss" : ""}${
    skip ? ", skip connection" : ""
  }`;
  const weights: Weights = {
    encoder: matrix(features, d_in, 1),
    encoderBias: matrix(1, features, 2)[0].map((value) => value + 0.5),
    decoder: matrix(features, d_out, 3),
    decoderBias: matrix(1, d_out, 4)[0],
    skip: skip ? matrix(d_in, d_out, 7) : [],
  };
  const x = matrix(tokens, d_in, 5), y = matrix(tokens, d_out, 6);
  const activations = encode(weights, x);
  const kept = keepLargest(activations, 2 * tokens, Array(features).fill(true));
  // Every other feature counts as dead; some of these are also kept by the main selection, and must get both gradients.
  const auxKept = keepLargest(activations, aux ? tokens : 0, weights.encoderBias.map((_, i) => i % 2 === 0));
  const base = forward(recipe, weights, x, y, kept, auxKept);
  const { gradient } = backward(recipe, weights, x, y, kept, auxKept, base);

  Deno.test(`finite differences: the cases are what they claim: ${name}`, () => {
    assert.equal(base.auxLoss > 0, aux);
    const smallest = Math.min(...[...base.features.flat(), ...base.auxFeatures.flat()].filter((value) => value > 0));
    assert.ok(smallest > H * Math.max(1, ...x.flat().map(Math.abs)), `an activation of ${smallest} could reach 0`);
    if (aux && groups.length === 3) assert.ok(kept.some((row, b) => row.some((is, i) => is && auxKept[b][i])));
  });

  for (const kind of ["encoder", "encoderBias", "decoder", "decoderBias", ...skip ? ["skip"] as const : []] as const) {
    Deno.test(`finite differences: gradient of ${kind}: ${name}`, () => {
      const differences: number[] = [];
      for (const row of places(weights, kind)) {
        for (let c = 0; c < row.length; c++) {
          const original = row[c];
          const loss = (value: number) => {
            row[c] = value;
            return forward(recipe, weights, x, y, kept, auxKept, base.auxTarget).loss;
          };
          differences.push((loss(original + H) - loss(original - H)) / (2 * H));
          row[c] = original;
        }
      }
      // With the selection fixed the loss is a quadratic polynomial of any single parameter, so a central difference has no
      // truncation error. What is left: 2 losses, each of sums of at most `terms` float64 operations, divided by 2 H.
      const terms = tokens * d_out * groups.length + features + d_in + 3;
      const floor = terms * 2 ** -53 * base.loss / H;
      assertClose(kind, places(gradient, kind).flat(), differences, { floor, relative: 0 });
      assert.ok(
        kind === "decoderBias" || Math.max(...differences.map(Math.abs)) > 1e4 * floor,
        "the gradient is large enough to tell",
      );
    });
  }
}

Deno.test("finite differences tell a wrong gradient: the auxiliary residual is not detached", () => {
  const recipe = { groups: [2, 2], aux_weight: 1 / 32, whole_weight: 1 };
  const weights: Weights = {
    encoder: matrix(4, 3, 1),
    encoderBias: [1, 1, 1, 1],
    decoder: matrix(4, 3, 3),
    decoderBias: [0, 0, 0],
    skip: [],
  };
  const x = matrix(5, 3, 5), y = matrix(5, 3, 6);
  const kept = keepLargest(encode(weights, x), 5, [true, true, true, true]);
  const auxKept = keepLargest(encode(weights, x), 5, [false, false, true, true]);
  const { gradient } = backward(recipe, weights, x, y, kept, auxKept, forward(recipe, weights, x, y, kept, auxKept));
  const loss = (bias: number) => forward(recipe, { ...weights, decoderBias: [bias, 0, 0] }, x, y, kept, auxKept).loss;
  assert.ok(Math.abs((loss(H) - loss(-H)) / (2 * H) - gradient.decoderBias[0]) > 1e-4);
});
