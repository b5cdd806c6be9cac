/** Fifty steps against the same fifty in plain PyTorch: tests/reference/make_training_golden.py. */

import assert from "node:assert/strict";
import { openSafetensors } from "../../core/files/safetensors.ts";
import { downloadF32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { oneBlock, recordPrepared, recordPreparedBeside } from "../../core/gpu/row_blocks.ts";
import { Pass } from "../../core/gpu/run.ts";
import type { Recipe } from "../../core/runs/settings.ts";
import { type ActivationStatistics, choosePreparation, measureActivations } from "../../core/training/initialise.ts";
import { allocateTranscoder } from "../../core/training/transcoder.ts";
import { readWeights } from "../../core/training/state.ts";
import { foldPreparation } from "../../core/transcoder/weights.ts";
import { EMBEDDED } from "../../commands/train/settings.ts";
import { assertClose, relativeL2 } from "../compare.ts";

interface LoggedStep {
  loss: number;
  aux_loss: number;
  fvu: number[];
  l0: number;
  dead: number;
  threshold: number;
}

const gpu = await openGpu();
const open = (name: string) =>
  openSafetensors(new URL(`../golden/training/${name}.safetensors`, import.meta.url).pathname);
const given = await open("fifty_steps"), recipe = JSON.parse(given.metadata.recipe) as Recipe;
const shape = { d_in: 24, d_out: 20, groups: recipe.groups };
const initial = {
  encoder: await given.readF32("initial.W_enc"),
  encoderBias: await given.readF32("initial.b_enc"),
  decoder: await given.readF32("initial.W_dec"),
  decoderBias: await given.readF32("initial.b_dec"),
};

/** All batches, one after the other, as a full buffer holds them. */
const { batch_tokens: rows } = recipe, capacity = recipe.steps * rows;
const order = tensorFrom(gpu, "order", [capacity], Uint32Array.from({ length: capacity }, (_, row) => row));
const matrix = (width: number, data: Float32Array<ArrayBuffer>) =>
  oneBlock(tensorFrom(gpu, "raw", [capacity, width], data));
const source = matrix(shape.d_in, await given.readF32("x")), y = await given.readF32("y");

/** Targets of so many columns each, some times as loud. */
function cut(widths: readonly number[], loudness: readonly number[]) {
  let end = 0;
  return widths.map((width, t) => {
    const first = end;
    end += width;
    const data = y.filter((_, at) => at % shape.d_out >= first && at % shape.d_out < first + width);
    return { width, activations: matrix(width, data.map((value) => loudness[t] * value)) };
  });
}

async function train(targets: ReturnType<typeof cut>, skip: boolean) {
  const from = await measureActivations(gpu, source, order, capacity, shape.d_in, rows),
    to: ActivationStatistics[] = [];
  for (const { activations, width } of targets) {
    to.push(await measureActivations(gpu, activations, order, capacity, width, rows));
  }
  const preparation = choosePreparation(from, to), raw = targets.map(({ activations }) => activations);
  const sizes = skip ? { ...shape, skip } : shape;
  const weights = skip ? { ...initial, skip: new Float32Array(shape.d_in * shape.d_out) } : initial;
  const parts = allocateTranscoder(gpu, { ...EMBEDDED, ...recipe }, sizes, preparation, weights);
  const { stepper, columns, x: prepared, y: wanted } = parts;
  for (let step = 1; step <= recipe.steps; step++) {
    const pass = new Pass(gpu), first = (step - 1) * rows;
    recordPrepared(pass, source, order, columns.source, prepared, { rows, width: shape.d_in, first });
    recordPreparedBeside(pass, raw, order, columns.target, wanted, { rows, first });
    stepper.record(pass, prepared, wanted, step, step - 1);
    pass.submit();
  }
  const ring = await downloadF32(gpu, stepper.ring);
  return {
    preparation,
    weights: await readWeights(gpu, sizes, stepper.state),
    metrics: Array.from({ length: recipe.steps }, (_, slot) => stepper.metrics(ring, slot)),
  };
}

for (const name of ["fifty_steps", "two_targets", "skip"]) {
  const golden = await open(name), read = (tensor: string) => golden.readF32(tensor);
  const log = JSON.parse(golden.metadata.log) as LoggedStep[];
  const { widths = "[20]", loudness = "[1]" } = golden.metadata,
    targets = cut(JSON.parse(widths), JSON.parse(loudness));
  const skip = name === "skip", trained = await train(targets, skip), { preparation, weights, metrics } = trained;

  Deno.test(`${name}: activations are prepared as PyTorch prepares them`, async () => {
    for (const end of ["source", "target"] as const) {
      const { mean, scale } = preparation[end], near = { floor: 0, relative: 1e-5 };
      assertClose(`${end} scale`, scale, await read(`${end}.scale`), near);
      // In units of the spread, which is what an error in the mean shifts the prepared activations by.
      const expected = (await read(`${end}.mean`)).map((value, c) => value * scale[c]);
      assertClose(`${end} mean`, mean.map((value, c) => value * scale[c]), expected, { floor: 1e-5, relative: 0 });
    }
  });

  Deno.test(`${name}: losses and metrics are PyTorch's within 1e-4`, () => {
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

  Deno.test(`${name}: the auxiliary loss was active in some and not in all`, () => {
    const active = log.filter(({ aux_loss }) => aux_loss > 0).length;
    assert.ok(active > 10 && active < log.length, `${active} of ${log.length}`);
  });

  for (
    const [parameter, actual] of [
      ["W_enc", weights.weights.encoder],
      ["b_enc", weights.weights.encoderBias],
      ["W_dec", weights.weights.decoder],
      ["b_dec", weights.weights.decoderBias],
      ...skip ? [["W_skip", weights.weights.skip!] as const] : [],
    ] as const
  ) {
    Deno.test(`${name}: final ${parameter} is PyTorch's within 1e-3 relative L2`, async () => {
      const difference = relativeL2(actual, await read(`final.${parameter}`));
      console.log(`      relative L2 ${difference.toExponential(1)}`);
      assert.ok(difference <= 1e-3, `${difference}`);
    });
  }

  const folded = foldPreparation(weights.weights, preparation);
  for (
    const [parameter, actual] of [
      ["W_enc", folded.encoder],
      ["b_enc", folded.encoderBias],
      ["W_dec", folded.decoder],
      ["b_dec", folded.decoderBias],
      ...skip ? [["W_skip", folded.skip!] as const] : [],
    ] as const
  ) {
    Deno.test(`${name}: ${parameter} for raw activations is PyTorch's within 1e-3 relative L2`, async () => {
      const difference = relativeL2(actual, await read(`folded.${parameter}`));
      console.log(`      relative L2 ${difference.toExponential(1)}`);
      assert.ok(difference <= 1e-3, `${difference}`);
    });
  }

  Deno.test(`${name}: the same steps again give the same bytes`, async () => {
    assert.deepEqual(await train(targets, skip), trained);
  });
}
