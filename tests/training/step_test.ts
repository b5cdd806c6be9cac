/** Whole training steps through `Stepper` against the float64 step, freely running: no step starts from the GPU's own numbers. */

import assert from "node:assert/strict";
import { downloadAll, downloadF32, type Gpu, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import type { Recipe } from "../../core/runs/settings.ts";
import { featureCount } from "../../core/transcoder/shape.ts";
import { createTrainingState, stateTensors } from "../../core/training/state.ts";
import type { TranscoderWeights } from "../../core/transcoder/weights.ts";
import { Stepper } from "../../core/training/step.ts";
import { assertClose, UNIT_ROUNDOFF } from "../compare.ts";
import { columnsOf, entriesOf, rowsOf } from "../oracle/top_k.ts";
import {
  type Matrix,
  type OracleState,
  type OracleStep,
  transcoderStep,
  type Weights,
} from "../oracle/transcoder_step.ts";
import { gaussians } from "../random.ts";
import { normalised } from "./inputs.ts";

const cpu = await openGpu();
const SHAPES: Record<string, Gpu> = { "CPU shape": { ...cpu, isCpu: true }, "GPU shape": { ...cpu, isCpu: false } };

const SMALL: Recipe = {
  groups: [3, 4, 2],
  k: 2,
  steps: 8,
  batch_tokens: 11,
  learning_rate: 0.02,
  encoder_bias_rate: 3,
  whole_weight: 1.5,
  revival_rate: 0.5,
  warmup_steps: 2,
  final_lr_fraction: 0.01,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  aux_weight: 1 / 32,
  aux_k: 3,
  dead_after_tokens: 22,
  threshold_rate: 0.01,
  seed: 0,
};

/** A run's settings with its sizes; features from `weak` on start too weak to be kept, so that they die but still fire. */
const RUNS: Record<string, { recipe: Recipe; d_in: number; d_out: number; weak: number; skip?: true }> = {
  "d_in 4, d_out 8, groups 3 4 2": { recipe: SMALL, d_in: 4, d_out: 8, weak: 6 },
  "d_in 4, d_out 4, groups 1 1": {
    recipe: { ...SMALL, groups: [1, 1], k: 1, batch_tokens: 1, dead_after_tokens: 1, aux_k: 1 },
    d_in: 4,
    d_out: 4,
    weak: 1,
  },
  // 11 tokens do not fill the transposed source, whose rest must count as nothing.
  "d_in 12, d_out 8, groups 3 4 2, skip connection": { recipe: SMALL, d_in: 12, d_out: 8, weak: 6, skip: true },
  "d_in 20, d_out 36, groups 1 30 2 1, aux_k beyond the dictionary": {
    recipe: { ...SMALL, groups: [1, 30, 2, 1], k: 5, batch_tokens: 31, aux_k: 50, dead_after_tokens: 62, steps: 5 },
    d_in: 20,
    d_out: 36,
    weak: 25,
  },
};

const rows = (data: ArrayLike<number>, width: number): Matrix =>
  Array.from({ length: data.length / width }, (_, r) => Array.from({ length: width }, (_, c) => data[r * width + c]));

/**
 * How far float32 may drift from float64 in some steps, relative to the largest number of a tensor. A step's longest chain has sums
 * over d_in, d_out and the tokens, and about 20 operations in Adam and the normalisation; roundings of random sign add up like the
 * square root of their number, and twice that is granted.
 */
function drift({ recipe, d_in, d_out }: typeof RUNS[string], steps: number): number {
  return steps * 2 * Math.sqrt(d_in + d_out + recipe.batch_tokens + 20) * UNIT_ROUNDOFF;
}

function initialWeights({ recipe, d_in, d_out, weak, skip }: typeof RUNS[string]): TranscoderWeights {
  const features = featureCount(recipe.groups);
  return {
    encoder: gaussians(features * d_in, 1).map((value, at) => at >= weak * d_in ? value * 0.05 : value),
    encoderBias: gaussians(features, 2).map((value, i) => i >= weak ? 0.05 + Math.abs(value) * 0.1 : value * 0.1),
    decoder: normalised(gaussians(features * d_out, 3), d_out),
    decoderBias: gaussians(d_out, 4),
    ...skip && { skip: gaussians(d_in * d_out, 5).map((value) => value * 0.2) },
  };
}

function batches({ recipe, d_in, d_out }: typeof RUNS[string]) {
  return Array.from({ length: recipe.steps }, (_, n) => ({
    x: gaussians(recipe.batch_tokens * d_in, 100 + n),
    y: gaussians(recipe.batch_tokens * d_out, 200 + n),
  }));
}

/** What the GPU gave: after each step its kept rows, columns and metrics; at the end every tensor of the state. */
async function runOnGpu(gpu: Gpu, run: typeof RUNS[string]) {
  const { recipe, d_in, d_out, skip } = run, shape = { d_in, d_out, groups: recipe.groups, ...skip && { skip } };
  const state = createTrainingState(gpu, shape, initialWeights(run));
  const stepper = new Stepper(gpu, recipe, shape, state);
  const { columns, selector: { rows } } = stepper;
  const kept: Uint32Array[][] = [];
  for (const [n, { x, y }] of batches(run).entries()) {
    const pass = new Pass(gpu);
    const source = tensorFrom(gpu, "x", [recipe.batch_tokens, d_in], x);
    const target = tensorFrom(gpu, "y", [recipe.batch_tokens, d_out], y);
    stepper.record(pass, source, target, n + 1, n);
    pass.submit();
    kept.push(
      (await downloadAll(gpu, [rows.rowStart, rows.index, columns.start, columns.token])).map((b) =>
        new Uint32Array(b)
      ),
    );
  }
  const ring = await downloadF32(gpu, stepper.ring);
  const named = stateTensors(state);
  const bytes = await downloadAll(gpu, named.map(([, tensor]) => tensor));
  return {
    kept,
    metrics: kept.map((_, slot) => stepper.metrics(ring, slot)),
    state: Object.fromEntries(named.map(([name], n) => [name, bytes[n]])),
  };
}

function runOracle(run: typeof RUNS[string]): OracleStep[] {
  const { recipe, d_in, d_out } = run, initial = initialWeights(run), features = featureCount(recipe.groups);
  const weights: Weights = {
    encoder: rows(initial.encoder, d_in),
    encoderBias: Array.from(initial.encoderBias),
    decoder: rows(initial.decoder, d_out),
    decoderBias: Array.from(initial.decoderBias),
    skip: initial.skip ? rows(initial.skip, d_out) : [],
  };
  const zero = (): Weights => ({
    encoder: weights.encoder.map((row) => row.map(() => 0)),
    encoderBias: weights.encoderBias.map(() => 0),
    decoder: weights.decoder.map((row) => row.map(() => 0)),
    decoderBias: weights.decoderBias.map(() => 0),
    skip: weights.skip.map((row) => row.map(() => 0)),
  });
  // The betas are what float32 makes of them: 1 - 0.999 differs by 1e-5 between the two precisions.
  const rounded = { ...recipe, beta1: Math.fround(recipe.beta1), beta2: Math.fround(recipe.beta2) };
  let state: OracleState = {
    weights,
    mean: zero(),
    square: zero(),
    inactive: Array(features).fill(0),
    threshold: null,
  };
  return batches(run).map(({ x, y }, n) => {
    const step = transcoderStep(rounded, state, rows(x, d_in), rows(y, d_out), n + 1);
    state = step.next;
    return step;
  });
}

for (const [name, run] of Object.entries(RUNS)) {
  const { recipe, d_out } = run, features = featureCount(recipe.groups), { batch_tokens: tokens } = recipe;
  const expected = runOracle(run);
  const final = expected[expected.length - 1].next;

  Deno.test(`training steps, ${name}: the auxiliary loss is active in some steps and not in all`, () => {
    const active = expected.filter(({ forward }) => forward.auxLoss > 0).length;
    assert.ok(active >= 2 && active < expected.length, `${active} of ${expected.length}`);
  });

  for (const [lanes, gpu] of Object.entries(SHAPES)) {
    const result = await runOnGpu(gpu, run);

    Deno.test(`training steps, ${name}, ${lanes}: the same features are kept in every step`, () => {
      expected.forEach(({ forward, kept }, n) => {
        const entries = entriesOf(forward.activations, kept);
        const byRow = rowsOf(entries, tokens), byColumn = columnsOf(entries, features);
        const [rowStart, index, columnStart, token] = result.kept[n];
        assert.deepEqual(rowStart, byRow.start, `step ${n + 1}`);
        assert.deepEqual(index.subarray(0, entries.length), byRow.index, `step ${n + 1}`);
        assert.deepEqual(columnStart.subarray(0, features + 1), byColumn.start, `step ${n + 1}`);
        assert.deepEqual(token.subarray(0, entries.length), byColumn.index, `step ${n + 1}`);
      });
      const inactive = new Uint32Array(result.state.inactive);
      assert.deepEqual(Array.from(inactive), final.inactive);
    });

    Deno.test(`training steps, ${name}, ${lanes}: losses and metrics`, () => {
      expected.forEach(({ forward, kept, variance, next }, n) => {
        const actual = result.metrics[n];
        assertClose(
          `step ${n + 1}`,
          [actual.loss, actual.auxLoss, ...(variance === 0 ? [] : actual.fvu), actual.threshold],
          [
            forward.loss,
            forward.auxLoss,
            ...(variance === 0 ? [] : forward.errors.map((error) => error / variance)),
            next.threshold!,
          ],
          { floor: 0, relative: drift(run, n + 1) },
        );
        assert.equal(actual.l0, kept.flat().filter(Boolean).length / tokens);
        assert.equal(actual.deadFeatures, next.inactive.filter((n) => n >= recipe.dead_after_tokens).length);
      });
    });

    Deno.test(`training steps, ${name}, ${lanes}: weights and Adam's means after the last`, () => {
      const f32 = (name: string) => new Float32Array(result.state[name]);
      const check = (what: string, actual: Float32Array, expected: number[]) => {
        assert.ok(actual.every(Number.isFinite), what);
        const largest = Math.max(...expected.map(Math.abs));
        assertClose(what, actual, expected, { floor: drift(run, recipe.steps) * largest, relative: 0 });
      };
      const suffixes = { weights: "", mean: ".mean", square: ".square" } as const;
      (["weights", "mean", "square"] as const).forEach((part, n) => {
        const { encoder, encoderBias, decoder, decoderBias } = final[part];
        check(`encoder ${part}`, f32(`encoder${suffixes[part]}`), encoder.flat());
        check(`decoder ${part}`, f32(`decoder${suffixes[part]}`), decoder.flat());
        if (run.skip) check(`skip ${part}`, f32(`skip${suffixes[part]}`), final[part].skip.flat());
        const slice = (name: string, width: number) => f32(name).subarray(n * width, (n + 1) * width);
        check(`encoder bias ${part}`, slice("encoder_bias", features), encoderBias);
        check(`decoder bias ${part}`, slice("decoder_bias", d_out), decoderBias);
      });
    });

    Deno.test(`training steps, ${name}, ${lanes}: the same twice gives the same bytes`, async () => {
      assert.deepEqual(await runOnGpu(gpu, run), result);
    });
  }
}
