/**
 * Activations as a real Gemma has them: a residual stream that is mostly one constant vector and two massive dimensions, with a few
 * tokens whose massive dimensions are twenty times as large again. They are planted in the embedded model's activations, where the
 * features to be found are as before, so that training must end as it does without them.
 */

import assert from "node:assert/strict";
import { EMBEDDED } from "../../commands/train/settings.ts";
import { downloadF32, openGpu, settle, upload } from "../../core/gpu/device.ts";
import { recordPrepared } from "../../core/gpu/row_blocks.ts";
import { Pass } from "../../core/gpu/run.ts";
import { BUILTIN, openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import type { RunSettings } from "../../core/runs/settings.ts";
import { openTokenSource } from "../../core/text/source.ts";
import { bufferLayout, ShuffleBuffer } from "../../core/training/buffer.ts";
import { fillBuffer } from "../../core/training/filler.ts";
import {
  type ActivationStatistics,
  choosePreparation,
  initialWeights,
  meanVariance,
  measureActivations,
} from "../../core/training/initialise.ts";
import { allocateTranscoder } from "../../core/training/transcoder.ts";
import { type Columns, type Preparation, scaledBy } from "../../core/transcoder/weights.ts";
import { gaussians } from "../random.ts";

const WIDTH = 128, LAST_STEPS = 20;
const settings: RunSettings = {
  ...EMBEDDED,
  ...{ groups: [32, 64, 32], k: 8, steps: 160, warmup_steps: 10, batch_tokens: 256, passes: 5, buffer_tokens: 8192 },
  ...{ aux_k: 32, dead_after_tokens: 20 * 256 },
};

const gpu = await openGpu();
const taps = [{ layer: 4, site: "resid_mid" }, { layer: 4, site: "mlp_out" }] as const;

/** A full buffer of the embedded model's activations: as they are, and with more planted in the source. */
async function fill(): Promise<ShuffleBuffer> {
  const model = await openModel(BUILTIN), { context } = settings;
  const decoder = await loadDecoder(gpu, model, { taps, maxTokens: 32 * context, context });
  const buffer = new ShuffleBuffer(gpu, taps, decoder.config, bufferLayout(settings), 0);
  const tokens = await openTokenSource({ tokenizer: model, data: "builtin", split: "train", context, seed: 0 });
  await fillBuffer(buffer, 0, { gpu, decoder, source: tokens });
  await tokens.close();
  return buffer;
}

/** A constant of ten times the spread, two dimensions a hundred times as large, and every 97th token twenty times off in them. */
async function plant({ activations: [{ blocks: [block] }] }: ShuffleBuffer, { variance }: ActivationStatistics) {
  const offset = gaussians(WIDTH, 1), spread = Math.sqrt(meanVariance({ mean: variance, variance }));
  const massive = (c: number) => c === 5 || c === 77;
  const planted = (await downloadF32(gpu, block)).map((value, at) => {
    const row = Math.floor(at / WIDTH), c = at % WIDTH, far = massive(c) && row % 97 === 0 ? 20 * spread : 0;
    return (massive(c) ? 100 : 1) * (value + far + 10 * spread * offset[c]);
  });
  upload(gpu, block, planted);
}

async function measure({ activations, order }: ShuffleBuffer) {
  const rows = order.shape[0] / settings.passes;
  const [from, to] = await Promise.all(activations.map(async (each) => ({
    activations: each,
    ...await measureActivations(gpu, each, order, rows, WIDTH, settings.batch_tokens),
  })));
  return { from, to };
}

/** Trains on a buffer; the mean FVU of the last steps' batches, and the features that are dead in the end. */
async function train(buffer: ShuffleBuffer, prepare: typeof choosePreparation): Promise<{ fvu: number; dead: number }> {
  const { from, to } = await measure(buffer), preparation = prepare(from, [to]), { order } = buffer;
  const shape = { d_in: WIDTH, d_out: WIDTH, groups: settings.groups }, { batch_tokens: rows, steps } = settings;
  const weights = await initialWeights(gpu, shape, settings, order, from, [to], preparation);
  const { stepper, columns, x, y } = allocateTranscoder(gpu, settings, shape, preparation, weights);
  for (let step = 1; step <= steps; step++) {
    const pass = new Pass(gpu), gathering = { rows, width: WIDTH, first: (step - 1) * rows };
    recordPrepared(pass, from.activations, order, columns.source, x, gathering);
    recordPrepared(pass, to.activations, order, columns.target, y, gathering);
    stepper.record(pass, x, y, step, Math.max(0, step - 1 - (steps - LAST_STEPS)));
    pass.submit();
    if (step % 20 === 0) await settle(gpu);
  }
  const ring = await downloadF32(gpu, stepper.ring);
  const last = Array.from({ length: LAST_STEPS }, (_, slot) => stepper.metrics(ring, slot));
  const fvu = last.reduce((sum, { fvu }) => sum + fvu.at(-1)! / LAST_STEPS, 0);
  return { fvu, dead: last.at(-1)!.deadFeatures };
}

/** As mtc prepared activations until format 1: one factor, which makes the mean square 1. */
function byMeanSquare(source: ActivationStatistics, [target]: readonly ActivationStatistics[]): Preparation {
  const scaled = ({ mean, variance }: ActivationStatistics): Columns =>
    scaledBy(WIDTH, mean.reduce((sum, value, c) => sum + (value ** 2 + variance[c]) / WIDTH, 0) ** -0.5);
  return { source: scaled(source), target: scaled(target) };
}

const buffer = await fill();
const plain = await train(buffer, choosePreparation);
const { from } = await measure(buffer);
await plant(buffer, from);

Deno.test("a constant, massive dimensions and outlier tokens in the source: FVU within 0.02, as many features alive", async () => {
  const planted = await train(buffer, choosePreparation);
  console.log(`      plain ${JSON.stringify(plain)}, planted ${JSON.stringify(planted)}`);
  assert.ok(Math.abs(planted.fvu - plain.fvu) < 0.02, `FVU ${planted.fvu}, without ${plain.fvu}`);
  assert.ok(planted.dead <= plain.dead + 5, `${planted.dead} features dead, without ${plain.dead}`);
});

Deno.test("the same activations scaled by their mean square cannot be learnt, so that the test above sees what it is for", async () => {
  const scaled = await train(buffer, byMeanSquare);
  console.log(`      scaled by the mean square ${JSON.stringify(scaled)}`);
  assert.ok(scaled.fvu > plain.fvu + 0.1, `FVU ${scaled.fvu}, without what was planted ${plain.fvu}`);
});
