/**
 * How fast this machine is at what a run does: one layer of the model, one training step, one batch of the final pass, each of the
 * run's own shape and cut in tokens only where it would take seconds.
 * @module
 */

import { FeatureTally } from "../analysis/samples.ts";
import type { DecoderConfig } from "../model/config.ts";
import { Decoder } from "../model/forward.ts";
import { reachOf } from "../model/reach.ts";
import { loadLayers } from "../model/weights.ts";
import { type Gpu, tensorFrom } from "../gpu/device.ts";
import { Pass } from "../gpu/run.ts";
import { openScope } from "../gpu/scope.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { WallClock } from "../gpu/wall_clock.ts";
import { Encoder } from "../transcoder/encode.ts";
import { Ledger } from "./ledger.ts";
import { blankTensors, embeddingOf, flopsOf, type PlannedRun, shapeOf } from "./rehearsal.ts";
import { featureCount } from "../transcoder/shape.ts";
import { type PlannedTranscoder, settingsIn } from "../training/plan.ts";
import { createTrainingState, readWeights } from "../training/state.ts";
import { zeroWeights } from "../transcoder/weights.ts";
import { Stepper } from "../training/step.ts";
import type { Transcoder } from "../transcoder/weights.ts";

/** What was measured; see {@link measureSpeed}. */
export interface Speed {
  /** Floating-point operations per second of the forward pass, with all that lies between its products. */
  readonly forwardFlops: number;
  /** The tokens that were timed to find that. */
  readonly forwardTokens: number;
  /** Seconds that one layer of the model took to get from host memory to the GPU. */
  readonly loadLayerSeconds: number;
  /** Seconds of one training step of each transcoder. */
  readonly stepSeconds: readonly number[];
  /** The largest batch that was timed to find that; below the run's own the rest is extrapolated. */
  readonly stepTokens: number;
  /** Seconds per token that encoding and taking samples take with each transcoder. */
  readonly sampleSeconds: readonly number[];
}

/** Work that takes less is repeated with more of it: shorter times say little. */
const TELLING_S = 0.1;
/** Work that would take more is cut. */
const BEARABLE_S = 0.6;
/** Work is repeated so many times, if that takes no longer: others may want the machine as well. */
const REPETITIONS = 4;
/** Tokens of a first forward pass, which is there for its kernels to be compiled. */
const COMPILING_TOKENS = 8;

/**
 * Measures.
 *
 * @param gpu The device; all memory of the measurement is given back.
 * @param run The run.
 * @param config Its model.
 * @param contexts Contexts per forward pass.
 * @returns The speeds.
 * @throws {UserError} When the device fails.
 */
export async function measureSpeed(
  gpu: Gpu,
  run: PlannedRun,
  config: DecoderConfig,
  contexts: number,
): Promise<Speed> {
  const clock = await WallClock.start(gpu);
  return {
    ...await measureForward(gpu, clock, run, config, contexts),
    ...await measureTranscoders(gpu, clock, run, config),
  };
}

/** Times the smallest dictionary and the largest; what lies between them takes as long as its weights ask. */
async function measureTranscoders(gpu: Gpu, clock: WallClock, run: PlannedRun, config: DecoderConfig) {
  const sizes = run.transcoders.map((transcoder) => {
    const { d_in, d_out, groups } = shapeOf(config, transcoder);
    return featureCount(groups) * (d_in + d_out);
  });
  const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
  const timed = (size: number) => measureTranscoder(gpu, clock, run, run.transcoders[sizes.indexOf(size)], config);
  const small = await timed(least), large = most > least ? await timed(most) : small;
  const between = (seconds: "stepSeconds" | "sampleSeconds") =>
    sizes.map((size) => {
      const share = most > least ? (size - least) / (most - least) : 0;
      return small[seconds] + share * (large[seconds] - small[seconds]);
    });
  return {
    stepSeconds: between("stepSeconds"),
    stepTokens: Math.min(small.stepTokens, large.stepTokens),
    sampleSeconds: between("sampleSeconds"),
  };
}

/** The shortest of as many repetitions as there is time for; kernels must be compiled before. */
async function best(clock: WallClock, submit: () => void): Promise<number> {
  let least = Infinity;
  for (let spent = 0, n = 0; n === 0 || (n < REPETITIONS && spent < BEARABLE_S); n++) {
    const seconds = await clock.seconds(submit);
    spent += seconds;
    least = Math.min(least, seconds);
  }
  return least;
}

async function measureForward(gpu: Gpu, clock: WallClock, run: PlannedRun, config: DecoderConfig, most: number) {
  const { context, precision } = run.settings;
  const taps = [{ layer: 0, site: "mlp_out" }] as const, reach = reachOf(taps);
  using scratch = openScope(gpu);
  const load = async (on: Gpu) => {
    const layers = await loadLayers(on, blankTensors(run.model.weights, on === scratch), config, reach);
    return (scope: Gpu, maxTokens: number) =>
      new Decoder(scope, config, { taps, maxTokens, context, precision }, embeddingOf(config), layers);
  };
  const started = performance.now();
  const create = await load(scratch);
  const loadLayerSeconds = (performance.now() - started) / 1000;
  const ledger = new Ledger(gpu), count = await load(ledger.gpu);
  const pass = new Pass(gpu), counted = new Pass(ledger.gpu);
  const forward = (model: Decoder, on: Pass, contexts: number, length = context) => () => {
    model.forward(on, { contexts, context: length, ids: new Uint32Array(contexts * length) });
    on.submit();
  };
  for (let contexts = 1;;) {
    // Each round's tensors make room for the next one's, which are larger.
    using round = openScope(scratch);
    const tokens = contexts * context, model = create(round, tokens);
    if (contexts === 1) await clock.seconds(forward(model, pass, 1, Math.min(context, COMPILING_TOKENS)));
    const seconds = await best(clock, forward(model, pass, contexts));
    if (seconds >= TELLING_S || contexts === most) {
      ledger.dispatches.length = 0;
      forward(count(ledger.gpu, tokens), counted, contexts)();
      return { forwardFlops: flopsOf(ledger.dispatches) / seconds, forwardTokens: tokens, loadLayerSeconds };
    }
    contexts = Math.min(most, contexts * Math.max(2, Math.ceil(TELLING_S / seconds)));
  }
}

async function measureTranscoder(
  gpu: Gpu,
  clock: WallClock,
  run: PlannedRun,
  measured: PlannedTranscoder,
  config: DecoderConfig,
) {
  const { batch_tokens: batch } = run.settings, shape = shapeOf(config, measured);
  const weights = zeroWeights(shape), deviation = 1 / Math.sqrt(shape.d_in);
  noise(weights.encoder, deviation);
  noise(weights.decoder, deviation);
  if (weights.skip) noise(weights.skip, deviation);
  using scratch = openScope(gpu);
  const state = createTrainingState(scratch, shape, weights);
  const activations = (label: string, width: number) =>
    tensorFrom(scratch, label, [batch, width], noise(new Float32Array(batch * width), 1));
  const x = activations("source", shape.d_in), y = activations("target", shape.d_out), pass = new Pass(gpu);
  const timeSteps = async (tokens: number, isFirst: boolean) => {
    using own = openScope(scratch);
    const stepper = new Stepper(own, { ...settingsIn(run, measured), batch_tokens: tokens }, shape, state);
    const step = () => {
      stepper.record(pass, x, y, 1, 0);
      pass.submit();
    };
    // The first step compiles the kernels.
    if (isFirst) await clock.seconds(step);
    return await best(clock, step);
  };

  const small = Math.ceil(batch / 16), ofSmall = await timeSteps(small, true);
  const tokens = Math.min(batch, Math.max(2 * small, Math.floor(small * BEARABLE_S / ofSmall)));
  const seconds = await timeSteps(tokens, false);
  // Adam's share does not depend on the batch: seconds = fixed + perToken * tokens.
  const perToken = tokens > small ? Math.max(0, (seconds - ofSmall) / (tokens - small)) : 0;
  return {
    stepSeconds: seconds + perToken * (batch - tokens),
    stepTokens: tokens,
    sampleSeconds: await measureSampling(scratch, run, { shape, ...await readWeights(gpu, shape, state) }, x, tokens),
  };
}

/** Encodes some rows of activations and takes samples of them, as the final pass does. */
async function measureSampling(gpu: Gpu, { settings }: PlannedRun, transcoder: Transcoder, x: Tensor, tokens: number) {
  const encoder = new Encoder(gpu, transcoder, tokens), features = featureCount(transcoder.shape.groups);
  const tally = new FeatureTally(features, settings.samples_per_feature, settings.sample_threshold);
  const places = Uint32Array.from({ length: tokens }, (_, place) => place);
  // No two tokens are the same, which is what counting them takes longest for.
  const batch = { contexts: 1, context: tokens, ids: places, document: new Uint32Array(tokens), position: places };
  await encoder.encode(x, 1);
  const started = performance.now();
  tally.add(await encoder.encode(x, tokens), batch, places);
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
