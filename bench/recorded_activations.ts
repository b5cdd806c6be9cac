/**
 * Trains a transcoder on activations that were recorded elsewhere (bench/record_activations.py), with the product's own preparation,
 * first weights and steps, and evaluates it on those for validation: for the choice of defaults, where a model need not run again for each try.
 *
 *     deno run -A bench/recorded_activations.ts DIRECTORY 12.resid_mid 12.mlp_out [--set learning_rate=8e-3]... [--prepare none] [--stop 600]
 *         [--on test]
 *
 * DIRECTORY has {train,validation,test,held_out}.TAP.safetensors with one F32 tensor x [tokens, width] each. Prints one line: settings, seconds, held-out
 * FVU per prefix with threshold inference, L0 and dead features.
 */

import { Command } from "commander";
import { downloadAll, type Gpu, openGpu, settle, tensorFrom, upload } from "../core/gpu/device.ts";
import { createRowBlocks, recordGather, recordPrepared, type RowBlocks } from "../core/gpu/row_blocks.ts";
import { Pass } from "../core/gpu/run.ts";
import { openScope } from "../core/gpu/scope.ts";
import { elements } from "../core/gpu/tensor.ts";
import { tuneTiles } from "../core/gpu/tune.ts";
import { openSafetensors } from "../core/files/safetensors.ts";
import { permutation, randomGenerator } from "../core/random.ts";
import { EvaluatedTranscoder } from "../core/passes/evaluated_transcoder.ts";
import type { RunSettings } from "../core/runs/settings.ts";
import {
  type ActivationStatistics,
  choosePreparation,
  initialWeights,
  meanVariance,
  measureActivations,
} from "../core/training/initialise.ts";
import { allocateTranscoder, folded } from "../core/training/transcoder.ts";
import { checkSettings } from "../core/training/recipe.ts";
import { readWeights } from "../core/training/state.ts";
import { Encoder } from "../core/transcoder/encode.ts";
import { featureCount, type TranscoderShape } from "../core/transcoder/shape.ts";
import { type Columns, type Preparation, scaledBy, type Transcoder } from "../core/transcoder/weights.ts";
import { EMBEDDED } from "../commands/train/settings.ts";
import { preferVulkan } from "../main.ts";

/** The sizes of the trials on Gemma 3 270M, and the recipe that holds there; the rest is the embedded default's. */
export const REAL: RunSettings = {
  ...EMBEDDED,
  ...{ groups: [640, 1280, 640], k: 48, steps: 600, aux_k: 256, dead_after_tokens: 30 * 1024 },
  ...{ learning_rate: 8e-3, beta2: 0.99, whole_weight: 1, revival_rate: 0 },
};

/** One end of a transcoder, on the GPU. */
export interface End {
  /** Tokens. */
  readonly rows: number;
  /** Dimensions of an activation. */
  readonly width: number;
  /** [rows, width] raw activations. */
  readonly activations: RowBlocks;
}

/**
 * Brings recorded activations onto the GPU.
 *
 * @param gpu The device; they live as long as this handle's owner.
 * @param path A safetensors file.
 * @param name The tensor in it, F32 [rows, width].
 * @returns The end.
 */
export async function load(gpu: Gpu, path: string, name = "x"): Promise<End> {
  const file = await openSafetensors(path), [rows, width] = file.info(name).shape;
  const activations = createRowBlocks(gpu, path, rows, width), x = await file.readF32(name);
  await file.close();
  for (const [b, block] of activations.blocks.entries()) {
    const first = b * activations.rowsPerBlock * width;
    upload(gpu, block, x.subarray(first, first + elements(block.shape)));
    await settle(gpu);
  }
  return { rows, width, activations };
}

/** How activations could be prepared otherwise than they are. */
const PREPARATIONS: Record<string, (source: ActivationStatistics, target: ActivationStatistics) => Preparation> = {
  "by dimension": (source, target) => choosePreparation(source, [target]),
  /** As mtc did until format 1: mean squares of 1, means left in. */
  "none": (source, target) => ({ source: byMeanSquare(source), target: byMeanSquare(target) }),
  "centred": (source, target) => ({ source: centred(source), target: centred(target) }),
};

function byMeanSquare({ mean, variance }: ActivationStatistics): Columns {
  const square = mean.reduce((sum, value, c) => sum + (value * value + variance[c]) / mean.length, 0);
  return scaledBy(mean.length, square ** -0.5);
}

function centred(statistics: ActivationStatistics): Columns {
  const { mean } = statistics;
  return { mean, scale: mean.map(() => meanVariance(statistics) ** -0.5) };
}

/**
 * Trains with the product's own preparation, first weights and steps.
 *
 * @param gpu The device.
 * @param settings The settings; `passes` is ignored.
 * @param stop The last step, where the schedule is to be cut short.
 * @param prepare A key of {@link PREPARATIONS}.
 * @param source What is read.
 * @param target What is to be predicted, on the same tokens.
 * @param drawn The rows that step after step takes, at least stop * batch_tokens.
 * @param measured How many of them, from the first, the preparation is measured on.
 * @returns The transcoder, for raw activations.
 */
export async function train(
  gpu: Gpu,
  settings: RunSettings,
  stop: number,
  prepare: string,
  source: End,
  target: End,
  drawn: Uint32Array<ArrayBuffer>,
  measured: number,
): Promise<Transcoder> {
  const { batch_tokens: rows, groups } = settings;
  const shape: TranscoderShape = { d_in: source.width, d_out: target.width, groups };
  await tuneTiles(gpu, [
    { rows: featureCount(groups), columns: rows, depth: shape.d_in, weight: "f32", epilogue: "bias_relu" },
  ]);
  using memory = openScope(gpu);
  const order = tensorFrom(memory, "order", [drawn.length], drawn);
  const measure = async (end: End) => ({
    ...end,
    ...await measureActivations(gpu, end.activations, order, measured, end.width, rows),
  });
  const from = await measure(source), to = await measure(target);
  const preparation = PREPARATIONS[prepare](from, to);
  const weights = await initialWeights(gpu, shape, settings, order, from, [to], preparation);
  const { stepper, columns, x, y } = allocateTranscoder(memory, settings, shape, preparation, weights);
  for (let step = 1; step <= stop; step++) {
    const pass = new Pass(gpu), first = (step - 1) * rows;
    recordPrepared(pass, source.activations, order, columns.source, x, { rows, width: shape.d_in, first });
    recordPrepared(pass, target.activations, order, columns.target, y, { rows, width: shape.d_out, first });
    stepper.record(pass, x, y, step, 0);
    pass.submit();
    await settle(gpu);
    if (step % 50 !== 0 && step > 2) continue;
    const [ring] = await downloadAll(gpu, [stepper.ring]);
    const { loss, fvu, deadFeatures } = stepper.metrics(new Float32Array(ring), 0);
    console.error(`step ${step}: loss ${loss.toFixed(4)}, FVU ${fvu.at(-1)!.toFixed(4)}, ${deadFeatures} dead`);
  }
  return folded(shape, preparation, await readWeights(gpu, shape, stepper.state));
}

/**
 * Evaluates a transcoder with threshold inference.
 *
 * @param device The device.
 * @param transcoder The transcoder.
 * @param k Its k.
 * @param source Held-out activations.
 * @param target Those to be predicted.
 * @returns The evaluation; contexts are runs of 127 tokens.
 */
export async function evaluate(device: Gpu, transcoder: Transcoder, k: number, source: End, target: End) {
  using gpu = openScope(device);
  const { shape } = transcoder, encoder = new Encoder(gpu, transcoder, 1024), { batchTokens } = encoder;
  // Only where they stand in a model is unknown here, and nobody asks.
  const tap = { layer: 0, site: "resid_mid" } as const, config = { source: tap, targets: [tap], k };
  const evaluated = new EvaluatedTranscoder(
    gpu,
    { transcoder, config },
    [{ tap, column: 0, width: shape.d_out }],
    encoder,
    batchTokens,
  );
  const order = tensorFrom(gpu, "all rows", [source.rows], Uint32Array.from({ length: source.rows }, (_, n) => n));
  for (let first = 0; first < source.rows; first += batchTokens) {
    const rows = Math.min(batchTokens, source.rows - first), pass = new Pass(gpu);
    recordGather(pass, source.activations, order, evaluated.x, { rows, width: shape.d_in, first });
    recordGather(pass, target.activations, order, evaluated.y, { rows, width: shape.d_out, first });
    evaluated.record(pass, rows);
    pass.submit();
    const context = Array.from({ length: rows }, (_, r) => Math.floor((first + r) / 127));
    // Which document they are of, the recording does not tell.
    evaluated.add(context, context, await downloadAll(gpu, evaluated.measured(rows)));
  }
  return evaluated.result({ split: "validation", documents: null, excluded: 0, documentName: String });
}

/**
 * The order of the rows where a recording has none.
 *
 * @param settings The batch and the seed.
 * @param steps Steps.
 * @param rows Rows that there are.
 * @returns As many permutations of the rows as the steps need.
 */
export function permutations(
  { batch_tokens, seed }: RunSettings,
  steps: number,
  rows: number,
): Uint32Array<ArrayBuffer> {
  const passes = Math.ceil(steps * batch_tokens / rows), drawn = new Uint32Array(passes * rows);
  for (let p = 0; p < passes; p++) drawn.set(permutation(rows, randomGenerator(seed, p)), p * rows);
  return drawn;
}

/** The command line's options. */
interface Options {
  readonly set: readonly string[];
  readonly prepare: string;
  readonly on: string;
  readonly stop?: number;
}

async function recordedActivations(
  directory: string,
  source: string,
  target: string,
  { set, prepare, on, stop }: Options,
) {
  preferVulkan();
  const changes = Object.fromEntries(set.map((each) => [each.split("=")[0], JSON.parse(each.split("=")[1])]));
  const settings = { ...REAL, ...changes };
  checkSettings(settings);
  using gpu = await openGpu();
  const end = (split: string, tap: string) => load(gpu, `${directory}/${split}.${tap}.safetensors`);
  const started = performance.now(), from = await end("train", source), to = await end("train", target);
  const steps = stop ?? settings.steps, drawn = permutations(settings, steps, from.rows);
  const transcoder = await train(gpu, settings, steps, prepare, from, to, drawn, from.rows);
  const seconds = (performance.now() - started) / 1000;
  const held = [await end(on, source), await end(on, target)] as const;
  const { fvu_per_prefix, l0, dead_features } = await evaluate(gpu, transcoder, settings.k, ...held);
  const stopped = stop === undefined ? "" : `, stopped at step ${stop}`;
  const fvus = fvu_per_prefix.map(({ fvu }) => fvu.toFixed(4)).join(" ");
  console.log(
    `${source} ${target} ${prepare} ${set.join(" ")}${stopped}: ${seconds.toFixed(0)} s, FVU ${fvus}, ` +
      `L0 ${l0.toFixed(1)}, ${dead_features} dead`,
  );
}

if (import.meta.main) {
  await new Command("recorded_activations")
    .argument("<directory>")
    .argument("<source>")
    .argument("<target>")
    .option("--set <setting=value>", "a setting of config.json", (each, all: string[]) => [...all, each], [])
    .option("--prepare <how>", Object.keys(PREPARATIONS).join(", "), "by dimension")
    .option("--stop <step>", "the last step, where the settings' schedule is to be cut short", Number)
    .option("--on <part>", "held-out text: validation, test, held_out for both", "validation")
    .action(recordedActivations)
    .parseAsync();
}
