/** Fifty steps against the same fifty in plain PyTorch: tests/reference/make_training_golden.py. */

import assert from "node:assert/strict";
import { openSafetensors } from "../../core/files/safetensors.ts";
import { downloadF32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import type { Recipe } from "../../core/runs/settings.ts";
import { createTrainingState, readWeights } from "../../core/training/state.ts";
import { Stepper } from "../../core/training/step.ts";
import { relativeL2 } from "../compare.ts";

interface LoggedStep {
  loss: number;
  aux_loss: number;
  fvu: number[];
  l0: number;
  dead: number;
  threshold: number;
}

const gpu = await openGpu();
const golden = await openSafetensors(new URL("../golden/training/fifty_steps.safetensors", import.meta.url).pathname);
const recipe = JSON.parse(golden.metadata.recipe) as Recipe;
const log = JSON.parse(golden.metadata.log) as LoggedStep[];
const read = (name: string) => golden.readF32(name);
const [x, y] = [await read("x"), await read("y")];
const shape = { d_in: 24, d_out: 20, groups: recipe.groups };

async function train() {
  const state = createTrainingState(gpu, shape, {
    encoder: await read("initial.W_enc"),
    encoderBias: await read("initial.b_enc"),
    decoder: await read("initial.W_dec"),
    decoderBias: await read("initial.b_dec"),
  });
  const stepper = new Stepper(gpu, recipe, shape, state);
  for (let step = 1; step <= recipe.steps; step++) {
    const batch = (data: Float32Array, width: number) => {
      const size = recipe.batch_tokens * width;
      return tensorFrom(gpu, "batch", [recipe.batch_tokens, width], data.subarray((step - 1) * size, step * size));
    };
    const pass = new Pass(gpu);
    stepper.record(pass, batch(x, shape.d_in), batch(y, shape.d_out), step, step - 1);
    pass.submit();
  }
  const ring = await downloadF32(gpu, stepper.ring);
  return {
    weights: await readWeights(gpu, shape, state),
    metrics: log.map((_, slot) => stepper.metrics(ring, slot)),
  };
}

const { weights, metrics } = await train();

Deno.test("fifty training steps: losses and metrics are PyTorch's within 1e-4", () => {
  let worst = 0;
  log.forEach((expected, i) => {
    const actual = metrics[i];
    const pairs = [[actual.loss, expected.loss], [actual.auxLoss, expected.aux_loss], [
      actual.threshold,
      expected.threshold,
    ]];
    expected.fvu.forEach((fvu, p) => pairs.push([actual.fvu[p], fvu]));
    for (const [a, e] of pairs) worst = Math.max(worst, Math.abs(a - e) / Math.max(Math.abs(e), 1e-6));
    assert.ok(
      worst <= 1e-4,
      `step ${i + 1}: relative difference ${worst}, ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`,
    );
    assert.equal(actual.l0, expected.l0);
    assert.equal(actual.deadFeatures, expected.dead);
  });
  console.log(`      worst relative difference ${worst.toExponential(1)}`);
});

Deno.test("fifty training steps: the auxiliary loss was active in some and not in all", () => {
  const active = log.filter(({ aux_loss }) => aux_loss > 0).length;
  assert.ok(active > 10 && active < log.length, `${active} of ${log.length}`);
});

for (
  const [name, actual] of [
    ["W_enc", weights.weights.encoder],
    ["b_enc", weights.weights.encoderBias],
    ["W_dec", weights.weights.decoder],
    ["b_dec", weights.weights.decoderBias],
  ] as const
) {
  Deno.test(`fifty training steps: final ${name} is PyTorch's within 1e-3 relative L2`, async () => {
    const difference = relativeL2(actual, await read(`final.${name}`));
    console.log(`      relative L2 ${difference.toExponential(1)}`);
    assert.ok(difference <= 1e-3, `${difference}`);
  });
}

Deno.test("the same fifty steps again give the same bytes", async () => {
  const again = await train();
  assert.deepEqual(again, { weights, metrics });
});
