/** Training on data whose features are known: sparse sums of directions, from each of which the target has one of its own. */

import assert from "node:assert/strict";
import { downloadF32, openGpu, tensorFrom, upload } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import type { Recipe } from "../../core/runs/settings.ts";
import { featureCount } from "../../core/transcoder/shape.ts";
import { createTrainingState, readWeights } from "../../core/training/state.ts";
import { Stepper } from "../../core/training/step.ts";
import { gaussians, uniform } from "../random.ts";
import { normalised } from "./inputs.ts";

const FEATURES = 64, WIDTH = 32, ACTIVE = 3;

const recipe: Recipe = {
  groups: [32, 64, 32],
  k: ACTIVE,
  steps: 500,
  batch_tokens: 512,
  learning_rate: 0.01,
  encoder_bias_rate: 1,
  whole_weight: 1,
  revival_rate: 0,
  warmup_steps: 20,
  final_lr_fraction: 0.01,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  aux_weight: 1 / 32,
  aux_k: 16,
  dead_after_tokens: 10_240,
  threshold_rate: 0.01,
  seed: 0,
};
const shape = { d_in: WIDTH, d_out: WIDTH, groups: recipe.groups };

const directions = (seed: number) => normalised(gaussians(FEATURES * WIDTH, seed), WIDTH);
/** What a feature adds to the source, and to the target: [FEATURES, WIDTH], rows of unit norm. */
const truth = { source: directions(1), target: directions(2) };

/** Adds a batch of tokens: each feature is active with probability ACTIVE / FEATURES, its coefficient uniform in [0.5, 1.5]. */
function batchOf(next: () => number, x: Float32Array, y: Float32Array): void {
  x.fill(0);
  y.fill(0);
  // The mean squared norm is the width, as training scales it.
  const scale = Math.sqrt(WIDTH / (ACTIVE * (1 + 1 / 12)));
  for (let token = 0; token < recipe.batch_tokens; token++) {
    for (let feature = 0; feature < FEATURES; feature++) {
      if (next() >= ACTIVE / FEATURES) continue;
      const coefficient = scale * (0.5 + next());
      for (let c = 0; c < WIDTH; c++) {
        x[token * WIDTH + c] += coefficient * truth.source[feature * WIDTH + c];
        y[token * WIDTH + c] += coefficient * truth.target[feature * WIDTH + c];
      }
    }
  }
}

async function train() {
  const gpu = await openGpu(), features = featureCount(recipe.groups);
  const encoder = normalised(gaussians(features * WIDTH, 3), WIDTH);
  const state = createTrainingState(gpu, shape, {
    encoder: encoder.map((weight) => weight * 0.3),
    encoderBias: new Float32Array(features),
    decoder: normalised(gaussians(features * WIDTH, 4), WIDTH),
    decoderBias: new Float32Array(WIDTH),
  });
  const stepper = new Stepper(gpu, recipe, shape, state), next = uniform(5);
  const x = new Float32Array(recipe.batch_tokens * WIDTH), y = new Float32Array(recipe.batch_tokens * WIDTH);
  const source = tensorFrom(gpu, "source", [recipe.batch_tokens, WIDTH], x);
  const target = tensorFrom(gpu, "target", [recipe.batch_tokens, WIDTH], y);
  for (let step = 1; step <= recipe.steps; step++) {
    batchOf(next, x, y);
    upload(gpu, source, x);
    upload(gpu, target, y);
    const pass = new Pass(gpu);
    stepper.record(pass, source, target, step, step === recipe.steps ? 0 : null);
    pass.submit();
    if (step % 100 === 0) await gpu.device.queue.onSubmittedWorkDone();
  }
  const metrics = stepper.metrics(await downloadF32(gpu, stepper.ring), 0);
  const { weights } = await readWeights(gpu, shape, state);
  gpu.device.destroy();
  return { metrics, weights };
}

/** For each true direction the learned row with the largest cosine, and that cosine. */
function bestMatches(learned: Float32Array<ArrayBuffer>, directions: Float32Array): { row: number; cosine: number }[] {
  const rows = normalised(learned.slice(), WIDTH), count = rows.length / WIDTH;
  return Array.from({ length: directions.length / WIDTH }, (_, i) => {
    const cosines = Array.from({ length: count }, (_, row) => {
      let sum = 0;
      for (let c = 0; c < WIDTH; c++) sum += directions[i * WIDTH + c] * rows[row * WIDTH + c];
      return sum;
    });
    const cosine = Math.max(...cosines);
    return { row: cosines.indexOf(cosine), cosine };
  });
}

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

Deno.test("the known features of synthetic data are found: mean max cosine similarity above 0.9", async () => {
  const { metrics, weights } = await train();
  const written = bestMatches(weights.decoder, truth.target);
  const decoder = mean(written.map(({ cosine }) => cosine));
  const encoder = mean(bestMatches(weights.encoder, truth.source).map(({ cosine }) => cosine));
  // The encoder's rows need not be the source's directions: with 64 of them in 32 dimensions, the best reader of one leans away
  // from the others. But what writes a feature's target must read that feature, more than any other.
  const reads = written.filter(({ row }, i) => {
    const reader = weights.encoder.slice(row * WIDTH, (row + 1) * WIDTH);
    const cosines = Array.from(
      { length: FEATURES },
      (_, j) => bestMatches(reader, truth.source.subarray(j * WIDTH, (j + 1) * WIDTH))[0].cosine,
    );
    return cosines.indexOf(Math.max(...cosines)) === i;
  }).length;
  console.log(
    `      decoder ${decoder.toFixed(3)}, encoder ${
      encoder.toFixed(3)
    }, ${reads} of ${FEATURES} read their own source, ` +
      `FVU ${metrics.fvu.at(-1)!.toFixed(3)}, ${featureCount(recipe.groups) - metrics.deadFeatures} features alive`,
  );
  assert.ok(decoder > 0.9, `decoder ${decoder}`);
  assert.ok(encoder > 0.6, `encoder ${encoder}`);
  assert.ok(reads >= 0.9 * FEATURES, `${reads} of ${FEATURES} read their own source`);
});
