/**
 * Training: several transcoders from one forward pass. Reads from top to bottom as a run goes: open, fill the buffer, take steps,
 * read back now and then, checkpoint; finish.ts goes on from there.
 * @module
 */

import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { MetricsRow } from "../analysis/convergence.ts";
import { Interrupted, UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";
import { makeTemporaryDirectory } from "../files/temporary.ts";
import { contextsPerForward } from "../model/capacity.ts";
import { configOf } from "../model/config.ts";
import type { Decoder } from "../model/forward.ts";
import { loadDecoder } from "../model/forward.ts";
import { precisionErrors } from "../passes/precision.ts";
import { type Tap, tapName, widthOf } from "../model/sites.ts";
import { downloadAll, type Gpu } from "../gpu/device.ts";
import { Pass } from "../gpu/run.ts";
import { openScope } from "../gpu/scope.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { tuneTiles } from "../gpu/tune.ts";
import { sliceBatch, START, type StreamPosition, type TokenBatch } from "../text/contexts.ts";
import { openTokenSource, type TokenSource } from "../text/source.ts";
import { describeText } from "../text/summary.ts";
import { type BufferPlan, planBuffer, ShuffleBuffer } from "./buffer.ts";
import { fillBuffer } from "./filler.ts";
import { readCheckpoint, tidyTranscoder, writeCheckpoint } from "./checkpoint.ts";
import { initialWeights, measureActivations } from "./initialise.ts";
import { appendMetrics, startMetrics, truncateMetrics } from "../runs/metrics.ts";
import {
  allocateTranscoder,
  directoriesOf,
  finishedTranscoder,
  type TrainingPlan,
  type TranscoderInTraining,
} from "./plan.ts";
import { learningRate } from "./recipe.ts";
import type { HostFeatures } from "../transcoder/encode.ts";
import { featureCount } from "../transcoder/shape.ts";
import { recordGather } from "../gpu/row_blocks.ts";
import { FORMAT, type TranscoderConfig, writeConfig } from "../runs/config.ts";
import { checkpointSteps } from "../runs/checkpoints.ts";
import { tapsOf } from "../runs/ids.ts";
import { type TranscoderWeights, zeroWeights } from "../transcoder/weights.ts";
import { METRICS_RING, type StepMetrics } from "./step.ts";
import { saveTranscoder } from "../transcoder/formats/native.ts";

/** The loss is no longer a number; going on from a checkpoint would lead there again. */
export class Diverged extends UserError {
  /** Distinguishes this class in logs. */
  override name = "Diverged";
}

/** What a logged step measured of one transcoder. */
export interface SteppedTranscoder {
  /** The name of its directory in the run's. */
  readonly name: string;
  /** The measurements. */
  readonly metrics: StepMetrics;
}

/** How a run tells what it is doing. */
export interface TrainingObserver {
  /** The model's layers are being loaded: those done of those needed. */
  loading(layers: number, needed: number): void;
  /** Buffer number n is being filled: contexts done of all. */
  filling(n: number, done: number, contexts: number): void;
  /** What rounding to 16 bits does to each tap's activations, in relative L2; only with `precision` f16. */
  rounded(errors: Readonly<Record<string, number>>): void;
  /** Steps were read back. */
  stepped(step: number, transcoders: readonly SteppedTranscoder[], tokensPerSecond: number): void;
}

/** The longest a reading-back may be put off, in seconds and in steps. */
const READ_EVERY_S = 1;
const READ_EVERY_STEPS = 100;

/**
 * Trains until the last step; writes config.json, metrics.csv and checkpoints.
 *
 * @param gpu The device.
 * @param plan What to train.
 * @param observer Hears of the progress.
 * @param signal Aborted when the run should save itself and end.
 * @returns The model, still loaded, and the trained transcoders.
 * @throws {UserError} When files, disk or device fail.
 * @throws {Diverged} When the loss is no longer a number.
 * @throws {Interrupted} When the signal was aborted; a checkpoint was written.
 */
export async function train(
  gpu: Gpu,
  plan: TrainingPlan,
  observer: TrainingObserver,
  signal?: AbortSignal,
): Promise<{ decoder: Decoder; transcoders: TranscoderInTraining[] }> {
  const { settings, mappings, model } = plan;
  const taps = tapsOf(mappings);
  const maxTokens = contextsPerForward(gpu, configOf(model), settings.context) * settings.context;
  // What a run was tuned to, it keeps; another adapter has other tiles.
  const [before] = plan.resumed ?? [];
  if (before?.adapter === gpu.adapter) {
    for (const [key, tile] of Object.entries(before.tiles)) gpu.shared.tiles.set(key, tile);
  }
  const onLoading = (layers: number, needed: number) => observer.loading(layers, needed);
  const decoder = await loadDecoder(gpu, model, { taps, maxTokens, context: settings.context, onLoading });
  const rows = featureCount(settings.groups), columns = settings.batch_tokens;
  const depths = new Set(mappings.map(({ source }) => widthOf(decoder.config, source.site)));
  await tuneTiles(
    gpu,
    [...depths].map((depth) => ({ rows, columns, depth, weight: "f32", epilogue: "bias_relu" })),
  );
  const bufferPlan = planBuffer(
    settings.steps,
    settings.batch_tokens,
    settings.passes,
    settings.buffer_tokens,
    settings.context,
    settings.include_bos,
  );
  const restart = plan.resumed ? await newestCommonStep(plan) : 0;
  using scope = openScope(gpu);
  const buffer = new ShuffleBuffer(scope, taps, decoder.config, bufferPlan, settings.seed);
  const run = new Training(gpu, plan, decoder, buffer, bufferPlan, observer, signal);
  try {
    return { decoder, transcoders: await run.go(restart) };
  } finally {
    run.close();
  }
}

/**
 * The newest step that every transcoder has a whole checkpoint of.
 *
 * @param plan The run.
 * @returns The step; 0 when there is none and the run must start over.
 */
export async function newestCommonStep(plan: Pick<TrainingPlan, "directory" | "names">): Promise<number> {
  const steps = await Promise.all(directoriesOf(plan).map(checkpointSteps));
  return steps[0].find((step) => steps.every((others) => others.includes(step))) ?? 0;
}

/** The state of a run under way; its methods are the sections of `go`. */
class Training {
  #source: TokenSource | null = null;
  #transcoders: TranscoderInTraining[] = [];
  /** Where the text stood when the current buffer began, and where it stands behind it. */
  #bufferStart: StreamPosition = START;
  #bufferEnd: StreamPosition = this.#bufferStart;
  /** Steps recorded since the last reading-back that have a row in the ring. */
  #logged: number[] = [];
  #uncounted: (() => void)[] = [];
  #lastReadStep = 0;
  /** The newest checkpoint's step, 0 before the first. */
  #savedStep = 0;
  #lastReadTime = 0;
  #stepsPerRead = 1;
  /** Seconds of training before this process, and its beginning. */
  #elapsedBefore = 0;
  #started = 0;

  constructor(
    readonly gpu: Gpu,
    readonly plan: TrainingPlan,
    readonly decoder: Decoder,
    readonly buffer: ShuffleBuffer,
    readonly bufferPlan: BufferPlan,
    readonly observer: TrainingObserver,
    readonly signal: AbortSignal | undefined,
  ) {}

  async go(restart: number): Promise<TranscoderInTraining[]> {
    const { settings } = this.plan, { steps: perBuffer } = this.bufferPlan;
    if (restart > 0) await this.#restore(restart);
    this.#source = await this.#openSource();
    for (const config of this.plan.resumed ?? []) checkUnchanged(config, this.decoder, this.#source);
    this.#started = this.#lastReadTime = performance.now();
    this.#lastReadStep = this.#savedStep = restart;
    for (let step = restart + 1; step <= settings.steps; step++) {
      const beginsBuffer = (step - 1) % perBuffer === 0;
      if (beginsBuffer || step === restart + 1) {
        const isFilled = await this.#fillBuffer(Math.floor((step - 1) / perBuffer));
        if (!isFilled) await this.#stop(step - 1);
      }
      if (step === 1) await this.#begin();
      this.#record(step);
      const isCheckpoint = step % settings.checkpoint_every === 0 || step === settings.steps;
      const isSampled = step % settings.sample_every === 0;
      const stopping = this.signal?.aborted === true;
      if (isCheckpoint || isSampled || step - this.#lastReadStep >= this.#stepsPerRead) {
        await this.#readBack(step, isSampled);
      }
      if (isCheckpoint) await this.#checkpoint(step);
      if (stopping) await this.#stop(step);
    }
    return this.#transcoders;
  }

  close(): void {
    this.#source?.close();
  }

  #openSource(): Promise<TokenSource> {
    const { model, data, settings: { context, seed } } = this.plan;
    return openTokenSource({ tokenizer: model, data, split: "train", context, seed, start: this.#bufferStart });
  }

  /** False when the user asked to stop before the buffer was full. */
  async #fillBuffer(n: number): Promise<boolean> {
    const { gpu, decoder, signal } = this, { contexts } = this.bufferPlan;
    const onProgress = (done: number) => this.observer.filling(n, done, contexts);
    onProgress(0);
    let end: StreamPosition;
    try {
      end = await fillBuffer(this.buffer, n, { gpu, decoder, source: this.#source!, onProgress, signal });
    } catch (error) {
      if (error === signal?.reason) return false;
      throw error;
    }
    this.#bufferStart = this.#bufferEnd;
    this.#bufferEnd = end;
    // Filling is not training: the rate of the steps must not include it.
    this.#lastReadTime = performance.now();
    return true;
  }

  /** Ends the run for now, with the last step saved. */
  async #stop(step: number): Promise<never> {
    if (step > this.#savedStep) {
      await this.#readBack(step, false);
      await this.#checkpoint(step);
    }
    throw this.#interruption(step);
  }

  /** Measures the first buffer, sets the scales, makes the first weights, writes config.json. */
  async #begin(): Promise<void> {
    const { settings, mappings, describe, resumed } = this.plan;
    const rows = this.buffer.order.shape[0] / settings.passes;
    const { gpu, buffer: { order } } = this;
    const measure = async (tap: Tap) => {
      const width = widthOf(this.decoder.config, tap.site);
      const activations = this.buffer.at(tap);
      const statistics = await measureActivations(gpu, activations, order, rows, width, settings.batch_tokens);
      checkScale(tap, statistics.scale);
      return { activations, ...statistics };
    };
    const precision_errors = resumed?.[0].precision_errors ?? await this.#precisionErrors();
    const tiles = Object.fromEntries(gpu.shared.tiles);
    for (const [i, mapping] of mappings.entries()) {
      const source = await measure(mapping.source), target = await measure(mapping.target);
      const scales = { source: source.scale, target: target.scale };
      const described = describe(mapping, this.#source!.summary), { layer } = mapping.target;
      const measured = { scales, tiles, precision_errors };
      const config = resumed?.[i] ?? { format: FORMAT, ...described, ...settings, layer, ...mapping, ...measured };
      const weights = await initialWeights(gpu, config, settings.seed, order, source, target);
      this.#transcoders.push(this.#allocate(i, config, weights));
    }
    await this.#writeBeginnings();
  }

  /** What 16-bit products do to the first contexts; nothing to tell with f32. */
  async #precisionErrors(): Promise<Record<string, number>> {
    const { decoder, buffer: { batch } } = this;
    if (decoder.precision === "f32") return {};
    const first = sliceBatch(batch, 0, Math.min(batch.contexts, decoder.contextsAtOnce));
    const errors = await precisionErrors(this.gpu, decoder, first);
    this.observer.rounded(errors);
    return errors;
  }

  /** The run's directory appears whole, with all of its transcoders, or not at all: a resumed run must know what it trains. */
  async #writeBeginnings(): Promise<void> {
    const { directory, names, resumed } = this.plan;
    if (resumed) {
      // A run that was stopped before its first checkpoint starts over in its place, with its own config.json.
      for (const { directory, config } of this.#transcoders) {
        await tidyTranscoder(directory);
        await startMetrics(directory, config.groups);
      }
      return;
    }
    const partial = await makeTemporaryDirectory(directory).catch((error) =>
      Promise.reject(fileError("write", directory, error))
    );
    try {
      for (const [i, { config }] of this.#transcoders.entries()) {
        const path = join(partial, names[i]);
        await mkdir(path, { recursive: true });
        await startMetrics(path, config.groups);
        await writeConfig(path, config);
      }
      await rename(partial, directory);
    } catch (error) {
      // This process made it, and nobody else knows its name.
      await rm(partial, { recursive: true, force: true }).catch(() => {});
      throw fileError("write", directory, error);
    }
  }

  #allocate(i: number, config: TranscoderConfig, weights: TranscoderWeights): TranscoderInTraining {
    const directory = directoriesOf(this.plan)[i];
    return { directory, config, ...allocateTranscoder(this.gpu, this.plan.settings, config, weights) };
  }

  async #restore(step: number): Promise<void> {
    for (const [i, config] of this.plan.resumed!.entries()) {
      const transcoder = this.#allocate(i, config, zeroWeights(config));
      const { directory, stepper, samples } = transcoder;
      const progress = await readCheckpoint(this.gpu, directory, step, stepper.state, samples);
      await truncateMetrics(directory, step);
      await tidyTranscoder(directory);
      this.#bufferStart = this.#bufferEnd = progress.position;
      this.#elapsedBefore = progress.elapsed_s;
      this.#transcoders.push(transcoder);
    }
  }

  #record(step: number): void {
    const { settings } = this.plan, rows = settings.batch_tokens;
    const first = (step - 1) % this.bufferPlan.steps * rows;
    const isLogged = step % settings.log_every === 0 || step === 1 || step === settings.steps;
    const pass = new Pass(this.gpu);
    for (const { config, shape, stepper, x, y } of this.#transcoders) {
      const { source, target, scales } = config;
      const gather = (tap: Tap, batch: Tensor, width: number, scale: number) =>
        recordGather(pass, this.buffer.at(tap), this.buffer.order, batch, { rows, width, first, scale });
      gather(source, x, shape.d_in, scales.source);
      gather(target, y, shape.d_out, scales.target);
      stepper.record(pass, x, y, step, isLogged ? this.#logged.length : null);
    }
    pass.submit();
    if (isLogged) this.#logged.push(step);
  }

  /** The one wait: fetches metrics and, on sampled steps, the kept features of the current batch. */
  async #readBack(step: number, isSampled: boolean): Promise<void> {
    this.#countSamples();
    const wanted = this.#transcoders.flatMap(({ stepper: { ring, selector: { rows } } }) =>
      isSampled ? [ring, rows.rowStart, rows.index, rows.value] : [ring]
    );
    const bytes = await downloadAll(this.gpu, wanted);
    const now = performance.now(), seconds = (now - this.#lastReadTime) / 1000;
    const tokensPerSecond = (step - this.#lastReadStep) * this.plan.settings.batch_tokens / seconds;
    const each = bytes.length / this.#transcoders.length;
    for (const [i, transcoder] of this.#transcoders.entries()) {
      const [ring, rowStart, index, value] = bytes.slice(i * each, (i + 1) * each);
      await this.#log(i, new Float32Array(ring), tokensPerSecond);
      if (!isSampled) continue;
      const rows = {
        rowStart: new Uint32Array(rowStart),
        index: new Uint32Array(index),
        value: new Float32Array(value),
      };
      const { batch, drawn } = this.buffer;
      this.#uncounted.push(() => this.#sample(transcoder, step, rows, batch, drawn));
    }
    const slot = this.#logged.length - 1;
    if (slot >= 0) {
      const shown = this.#transcoders.map(({ stepper }, i) => ({
        name: this.plan.names[i],
        metrics: stepper.metrics(new Float32Array(bytes[i * each]), slot),
      }));
      this.observer.stepped(step, shown, tokensPerSecond);
    }
    const perStep = seconds / Math.max(1, step - this.#lastReadStep);
    this.#stepsPerRead = Math.max(1, Math.min(READ_EVERY_STEPS, METRICS_RING, Math.floor(READ_EVERY_S / perStep)));
    this.#logged = [];
    this.#lastReadStep = step;
    this.#lastReadTime = now;
  }

  async #log(i: number, ring: Float32Array, tokensPerSecond: number): Promise<void> {
    const { settings, names } = this.plan, { directory, stepper } = this.#transcoders[i];
    const rows = this.#logged.map((step, slot): MetricsRow => {
      const { loss, auxLoss, fvu, l0, deadFeatures, threshold } = stepper.metrics(ring, slot);
      return {
        ...{ step, tokens: step * settings.batch_tokens, loss, aux_loss: auxLoss, fvu_per_prefix: [...fvu], l0 },
        ...{ dead_features: deadFeatures, learning_rate: learningRate(settings, step), threshold },
        ...{ elapsed_s: this.#elapsed(), tokens_per_s: tokensPerSecond },
      };
    });
    if (rows.length > 0) await appendMetrics(directory, settings.groups, rows);
    const lost = rows.find(({ loss }) => !Number.isFinite(loss));
    if (lost === undefined) return;
    throw new Diverged({
      action: `go on training ${names[i]}`,
      requirement: "the loss must be a number",
      found: `it is ${lost.loss} at step ${lost.step}`,
      remedy: `start another run with a lower --learning-rate than ${settings.learning_rate}`,
    });
  }

  /** Takes in the sampled batches that were read back. It is put off until more steps are queued, so that the GPU need not wait. */
  #countSamples(): void {
    for (const count of this.#uncounted.splice(0)) count();
  }

  #sample(
    { samples }: TranscoderInTraining,
    step: number,
    { rowStart, index, value }: HostFeatures,
    batch: TokenBatch,
    drawn: Uint32Array,
  ): void {
    const { batch_tokens, sample_threshold } = this.plan.settings;
    const first = (step - 1) % this.bufferPlan.steps * batch_tokens;
    for (let b = 0; b < batch_tokens; b++) {
      for (let e = rowStart[b]; e < rowStart[b + 1]; e++) {
        if (value[e] >= sample_threshold) {
          samples.offer(index[e], value[e], value[e], step, batch, drawn[first + b]);
        }
      }
    }
  }

  async #checkpoint(step: number): Promise<void> {
    this.#countSamples();
    // At a buffer's last step the next one begins where this one ended.
    const position = step % this.bufferPlan.steps === 0 ? this.#bufferEnd : this.#bufferStart;
    const progress = { step, position, elapsed_s: this.#elapsed() };
    for (const transcoder of this.#transcoders) {
      const { directory, stepper, samples } = transcoder;
      const write = async (path: string) => saveTranscoder(path, await finishedTranscoder(this.gpu, transcoder));
      await writeCheckpoint(this.gpu, directory, progress, stepper.state, samples, write);
    }
    this.#savedStep = step;
  }

  #elapsed(): number {
    return this.#elapsedBefore + (performance.now() - this.#started) / 1000;
  }

  #interruption(step: number): Interrupted {
    const { directory, settings: { steps }, resumed } = this.plan;
    if (step === 0 && !resumed) {
      return new Interrupted({ stopped: `before the first of ${steps} steps`, remedy: "nothing was written" });
    }
    const stopped = step === 0
      ? `before the first of ${steps} steps`
      : `after step ${step} of ${steps}, which is saved`;
    return new Interrupted({ stopped, remedy: `go on with: mtc train --resume ${directory}` });
  }
}

/** Model and text of a resumed run are read again; where they are others, the rest of the run would be another run's. */
function checkUnchanged({ model, data }: TranscoderConfig, { config }: Decoder, { summary }: TokenSource): void {
  const differs = (what: string, then: string, now: string, name: string) =>
    new UserError({
      action: "resume",
      requirement: `${what} must be the ${then} that the run began with`,
      found: `they are ${now}`,
      remedy: `put ${name} back as it was, or start another run`,
    });
  const { layers, d_model, vocab_size } = model, { layers: layersNow, dModel, vocabSize } = config;
  const then = [layers, d_model, vocab_size].join(", "), now = [layersNow, dModel, vocabSize].join(", ");
  if (then !== now) throw differs("the model's layers, width and vocabulary", then, now, model.path ?? model.name);
  if (summary.fingerprint !== data.fingerprint) {
    throw differs("the text's contents", describeText(data), describeText(summary), data.name);
  }
}

/** Activations that are all zero or not finite have no scale. */
function checkScale(tap: Tap, scale: number): void {
  if (Number.isFinite(scale)) return;
  throw new UserError({
    action: `train on ${tapName(tap)}`,
    requirement: "its activations must be finite numbers and not all zero",
    found: `their scale is ${scale}`,
    remedy: "check the model's weights",
  });
}
