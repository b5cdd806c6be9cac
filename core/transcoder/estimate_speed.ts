/**
 * How fast this machine is at what a run does: one layer of the model, one training step, one batch of the final pass, each of the
 * run's own shape and cut in tokens only where it would take seconds.
 * @module
 */

import { FinalPass } from "../analysis/samples.ts";
import type { Gemma2Config } from "../gemma2/config.ts";
import { Gemma2 } from "../gemma2/forward.ts";
import { planFor } from "../gemma2/plan.ts";
import { type Gpu, upload } from "../gpu/device.ts";
import { Pass } from "../gpu/run.ts";
import { WallClock } from "../gpu/wall_clock.ts";
import { loadLayers } from "../gemma2/weights.ts";
import { Encoder } from "./encode.ts";
import { Ledger } from "./estimate_ledger.ts";
import { blankTensors, embeddingOf, flopsOf, type PlannedRun } from "./estimate_rehearsal.ts";
import { createLayer, type LayerRun } from "./plan.ts";
import { featureCount } from "./recipe.ts";
import type { LayerConfig } from "./run_settings.ts";
import { readWeights, zeroWeights } from "./state.ts";

/** What was measured; see {@link measureSpeed}. */
export interface Speed {
  /** Floating-point operations per second of the forward pass, with all that lies between its products. */
  readonly forwardFlops: number;
  /** The tokens that were timed to find that. */
  readonly forwardTokens: number;
  /** Seconds that one layer of the model took to get from host memory to the GPU. */
  readonly loadLayerSeconds: number;
  /** Seconds of one training step of one transcoder. */
  readonly stepSeconds: number;
  /** The largest batch that was timed to find that; below the run's own the rest is extrapolated. */
  readonly stepTokens: number;
  /** Seconds per token and transcoder that encoding and taking samples take. */
  readonly sampleSeconds: number;
}

/** Work that takes less is repeated with more of it: shorter times say little. */
const TELLING_S = 0.1;
/** Work that would take more is cut. */
const BEARABLE_S = 0.6;
/** Work is repeated until this much time is spent on it. */
const REPEATED_S = 0.2;

/**
 * Measures.
 *
 * @param gpu A device of its own, which holds all that is allocated for this until it is destroyed.
 * @param run The run.
 * @param config Its model.
 * @param contexts Contexts per forward pass.
 * @returns The speeds.
 * @throws {UserError} When the device fails.
 */
export async function measureSpeed(
  gpu: Gpu,
  run: PlannedRun,
  config: Gemma2Config,
  contexts: number,
): Promise<Speed> {
  const clock = await WallClock.start(gpu);
  return {
    ...await measureForward(gpu, clock, run, config, contexts),
    ...await measureTranscoder(gpu, clock, run, config),
  };
}

/** The shortest of a few repetitions. The first one, which also compiles kernels and touches new memory, does not count. */
async function repeated(clock: WallClock, submit: () => void): Promise<number> {
  await clock.seconds(submit);
  let best = Infinity;
  for (let spent = 0, n = 0; n < 1 || (n < 5 && spent < REPEATED_S); n++) {
    const seconds = await clock.seconds(submit);
    spent += seconds;
    best = Math.min(best, seconds);
  }
  return best;
}

async function measureForward(gpu: Gpu, clock: WallClock, run: PlannedRun, config: Gemma2Config, most: number) {
  const { context } = run.settings;
  const taps = [{ layer: 0, site: "mlp_out" }] as const, plan = planFor(taps);
  const load = async (on: Gpu) => {
    const layers = await loadLayers(on, blankTensors(run.model.weights, on === gpu), config, plan);
    return (maxTokens: number) =>
      new Gemma2(on, config, { taps, maxTokens, context }, plan, embeddingOf(config), layers);
  };
  const started = performance.now();
  const create = await load(gpu);
  const loadLayerSeconds = (performance.now() - started) / 1000;
  const ledger = new Ledger(gpu), count = await load(ledger.gpu);
  const pass = new Pass(gpu), counted = new Pass(ledger.gpu);
  for (let contexts = 1;;) {
    const batch = { contexts, context, ids: new Uint32Array(contexts * context) }, tokens = contexts * context;
    const submit = (model: Gemma2, on: Pass) => () => {
      model.forward(on, batch);
      on.submit();
    };
    const model = create(tokens);
    const seconds = await repeated(clock, submit(model, pass));
    if (seconds >= TELLING_S || contexts === most) {
      ledger.dispatches.length = 0;
      submit(count(tokens), counted)();
      return { forwardFlops: flopsOf(ledger.dispatches) / seconds, forwardTokens: tokens, loadLayerSeconds };
    }
    contexts = Math.min(most, contexts * Math.max(2, Math.ceil(TELLING_S / seconds)));
  }
}

async function measureTranscoder(gpu: Gpu, clock: WallClock, run: PlannedRun, config: Gemma2Config) {
  const { batch_tokens: batch } = run.settings;
  const small = Math.ceil(batch / 16), first = createTrial(gpu, run, config, small);
  const ofSmall = await repeated(clock, first.step);
  const estimated = ofSmall * batch / small;
  const tokens = Math.max(2 * small, Math.ceil(batch * Math.min(1, BEARABLE_S / estimated)));
  const trial = createTrial(gpu, run, config, tokens);
  const ofTokens = await repeated(clock, trial.step);
  // Adam's share does not depend on the batch: seconds = fixed + perToken * tokens.
  const perToken = Math.max(0, (ofTokens - ofSmall) / (tokens - small));
  return {
    stepSeconds: ofTokens + perToken * (batch - tokens),
    stepTokens: tokens,
    sampleSeconds: await measureSampling(gpu, run, trial, tokens),
  };
}

/** A transcoder of the run's size with a batch of random activations. */
interface Trial {
  readonly layer: LayerRun;
  readonly step: () => void;
}

function createTrial(gpu: Gpu, run: PlannedRun, config: Gemma2Config, tokens: number): Trial {
  const shape = { d_in: config.dModel, d_out: config.dModel, groups: run.settings.groups };
  const weights = zeroWeights(shape);
  noise(weights.encoder, 1 / Math.sqrt(config.dModel));
  noise(weights.decoder, 1 / Math.sqrt(config.dModel));
  const settings = { ...run.settings, batch_tokens: tokens };
  const layerConfig = { ...run.mappings[0], ...shape } as unknown as LayerConfig;
  const layer = createLayer(gpu, "", settings, layerConfig, weights);
  for (const { shape, ...tensor } of [layer.x, layer.y]) {
    upload(gpu, { shape, ...tensor }, noise(new Float32Array(shape[0] * shape[1]), 1));
  }
  const pass = new Pass(gpu);
  const step = () => {
    layer.stepper.record(pass, layer.x, layer.y, 1, 0);
    pass.submit();
  };
  return { layer, step };
}

/** Encoding and sampling of as many tokens as a trial has. */
async function measureSampling(gpu: Gpu, run: PlannedRun, { layer }: Trial, tokens: number): Promise<number> {
  const { samples_per_feature, sample_threshold } = run.settings, { shape, stepper, x } = layer;
  const encoder = new Encoder(gpu, { shape, ...await readWeights(gpu, shape, stepper.state) }, tokens);
  const pass = new FinalPass(featureCount(shape.groups), samples_per_feature, sample_threshold);
  const zeros = () => new Uint32Array(tokens), places = zeros().map((_, place) => place);
  const batch = { contexts: 1, context: tokens, ids: zeros(), document: zeros(), position: places };
  await encoder.encode(x, tokens);
  const started = performance.now();
  pass.add(await encoder.encode(x, tokens), batch, places);
  return (performance.now() - started) / 1000 / tokens;
}

/** Fills an array with uniform noise of a standard deviation; the same each time. */
function noise(array: Float32Array<ArrayBuffer>, deviation: number): Float32Array<ArrayBuffer> {
  const scale = deviation * Math.sqrt(12) / 2 ** 32;
  let state = 1;
  for (let i = 0; i < array.length; i++) {
    // Marsaglia's xorshift.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    array[i] = scale * state;
  }
  return array;
}
