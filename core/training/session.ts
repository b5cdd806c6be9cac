/**
 * Training: several transcoders from one forward pass, or from one harvest. Reads from top to bottom as a run goes: load the model,
 * restore or begin, then step by step fill, record, read back now and then, checkpoint; finish.ts goes on from there.
 * @module
 */

import { NO_TOKENS, type TokenCounts } from "../analysis/token_counts.ts";
import { Interrupted } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { Pass } from "../gpu/run.ts";
import { openScope } from "../gpu/scope.ts";
import type { TileName } from "../gpu/products.ts";
import { tuneTiles } from "../gpu/tune.ts";
import { contextsPerForward } from "../model/capacity.ts";
import { configOf } from "../model/config.ts";
import { type Decoder, loadDecoder } from "../model/forward.ts";
import { widthOf } from "../model/sites.ts";
import type { TranscoderConfig } from "../runs/config.ts";
import { hasEvents, startEvents } from "../runs/events.ts";
import { sourcesOf, tapsOf } from "../runs/ids.ts";
import { requireSameModel, requireSameText } from "../runs/same_model.ts";
import { steppedWith } from "../runs/settings.ts";
import { START } from "../text/contexts.ts";
import { featureCount } from "../transcoder/shape.ts";
import { activationsFromShards, activationsFromText } from "./activations.ts";
import { bufferLayout, ShuffleBuffer } from "./buffer.ts";
import { writeCheckpoint } from "./checkpoint.ts";
import { Feed } from "./feed.ts";
import type { TrainingPlan } from "./plan.ts";
import {
  type BeginningObserver,
  beginRun,
  newestCommonStep,
  requireRandomStart,
  restoreRun,
  type RestoringObserver,
} from "./start.ts";
import { StepLog, type SteppedListener } from "./step_log.ts";
import { finishedTranscoder, type TrainedTranscoder, type TranscoderInTraining } from "./transcoder.ts";

/** How a run tells what it is doing. */
export interface TrainingObserver extends BeginningObserver, RestoringObserver {
  /** The model's layers are being loaded: those done of those needed. */
  loading(layers: number, needed: number): void;
  /** Buffer number n is being filled: contexts done of all. */
  filling(n: number, done: number, contexts: number): void;
  /** Steps were read back. */
  readonly stepped: SteppedListener;
  /** A checkpoint of every transcoder was written behind a step, which took so many seconds. */
  checkpointed(step: number, seconds: number): void;
}

/** What training leaves. */
export interface Trained {
  /** The model, loaded with the run's taps, */
  readonly decoder: Decoder;
  /** until this frees it. */
  readonly freeDecoder: () => void;
  /** The transcoders, in host memory. */
  readonly transcoders: readonly TrainedTranscoder[];
  /** The tokens of all buffers; null where they were not counted from the first one on. */
  readonly counts: TokenCounts | null;
  /** Records of the text that hold none and were left out; absent where none came up, or they were not counted. */
  readonly badRecords?: number;
}

/**
 * Trains until the last step; writes config.json, metrics.csv and checkpoints. What training alone needs of the GPU's memory is free again
 * when it ends.
 *
 * @param gpu The device; the model lives as long as this handle's owner, unless it is freed before.
 * @param plan What to train.
 * @param observer Hears of the progress.
 * @param signal Aborted when the run should save itself and end.
 * @returns The model and the trained transcoders.
 * @throws {UserError} When files, disk or device fail.
 * @throws {Diverged} When the loss is no longer a number.
 * @throws {Interrupted} When the signal was aborted; a checkpoint was written.
 */
export async function train(
  gpu: Gpu,
  plan: TrainingPlan,
  observer: TrainingObserver,
  signal?: AbortSignal,
): Promise<Trained> {
  const { activations, model } = plan, [began] = configsOf(plan), home = openScope(gpu);
  if (began) await requireSameModel(began.model, model, "resume");
  // Where activations were harvested before, the model is not needed before the steps are done, nor is its memory taken.
  const before = activations === undefined ? await loadModel(home, plan, observer) : null;
  const trained = await trainSteps(gpu, plan, before, observer, signal);
  const { decoder } = before ?? await loadModel(home, plan, observer);
  return { decoder, freeDecoder: () => home[Symbol.dispose](), ...trained };
}

/** What stands in the config.json files of a resumed run, or of those that waited for their round. */
function configsOf({ resumed, round }: TrainingPlan): readonly TranscoderConfig[] {
  return resumed ?? round?.waiting ?? [];
}

async function trainSteps(
  gpu: Gpu,
  plan: TrainingPlan,
  loaded: LoadedModel | null,
  observer: TrainingObserver,
  signal?: AbortSignal,
): Promise<Omit<Trained, "decoder" | "freeDecoder">> {
  const { settings, transcoders: planned, model, resumed } = plan, config = configOf(model);
  const tiles = loaded?.tiles ?? await tuneSteps(gpu, plan);
  using memory = openScope(gpu);
  const layout = bufferLayout(settings), sources = sourcesOf(planned), medians = resumed?.[0].median_norms;
  const buffer = new ShuffleBuffer(memory, tapsOf(planned), config, layout, settings.data_seed, sources, medians);
  const saved = resumed ? await newestCommonStep(plan) : null, last = saved ?? 0;
  if (saved === null) requireRandomStart(plan);
  const restored = saved !== null ? await restoreRun(memory, plan, saved, observer) : null;
  const position = restored?.position ?? START;
  const activations = loaded
    ? await activationsFromText(gpu, plan, loaded.decoder, position)
    : await activationsFromShards(gpu, plan);
  try {
    for (const began of configsOf(plan)) requireSameText(began.data, activations.text, "resume");
    const started = performance.now();
    const elapsed = () => (restored?.elapsed_s ?? 0) + (performance.now() - started) / 1000;
    const harvested = restored ? restored.harvested ?? null : { buffers: 0, counts: NO_TOKENS };
    const feed = new Feed({ buffer, activations, position, harvested, filling: observer.filling, signal });
    if (last < settings.steps && !await feed.fill(last + 1)) throw interruption(plan, last);
    const transcoders = restored?.transcoders ?? await beginRun(memory, plan, tiles, buffer, activations, observer);
    const events = last < settings.steps ? await startedEvents(plan, transcoders) : transcoders.map(() => null);
    const log = new StepLog(gpu, plan, transcoders, feed, last, elapsed, observer.stepped, events);
    await new Session(gpu, plan, transcoders, feed, log, elapsed, observer.checkpointed, signal).run(last);
    const trained: TrainedTranscoder[] = [];
    for (const transcoder of transcoders) {
      const { directory, config, samples } = transcoder;
      trained.push({ directory, config, samples, transcoder: await finishedTranscoder(gpu, transcoder) });
    }
    const { counts = null, bad_records: badRecords } = feed.harvested ?? {};
    return { transcoders: trained, counts, badRecords };
  } finally {
    await activations.close();
  }
}

/** The event files of a run that is to have them, or has them from before it was interrupted, with the steps that metrics.csv has by now. */
async function startedEvents(
  { hasEvents: areWanted = false }: TrainingPlan,
  transcoders: readonly TranscoderInTraining[],
): Promise<(string | null)[]> {
  return await Promise.all(transcoders.map(async ({ directory, config }) => {
    return areWanted || await hasEvents(directory) ? await startEvents(directory, config) : null;
  }));
}

/** The model on the GPU, and the tiles that the products of the run were tuned to. */
interface LoadedModel {
  readonly decoder: Decoder;
  readonly tiles: Readonly<Record<string, TileName>>;
}

/** Loads the model and tunes the products of the run. */
async function loadModel(gpu: Gpu, plan: TrainingPlan, { loading }: TrainingObserver): Promise<LoadedModel> {
  const { settings, transcoders, model } = plan, { context } = settings;
  takeTiles(gpu, plan);
  const maxTokens = contextsPerForward(gpu, configOf(model), context) * context;
  const options = { taps: tapsOf(transcoders), maxTokens, context, precision: settings.precision, onLoading: loading };
  const decoder = await loadDecoder(gpu, model, options);
  return { decoder, tiles: { ...decoder.tiles, ...await tuneSteps(gpu, plan) } };
}

/** Tunes the products of the steps. */
async function tuneSteps(gpu: Gpu, plan: TrainingPlan): Promise<Readonly<Record<string, TileName>>> {
  const { settings: { batch_tokens: columns }, transcoders, model } = plan, config = configOf(model);
  takeTiles(gpu, plan);
  return await tuneTiles(
    gpu,
    transcoders.map(({ source, settings: { groups } }) => {
      const rows = featureCount(groups), depth = widthOf(config, source.site);
      return { rows, columns, depth, weight: "f32", epilogue: "bias_relu" };
    }),
  );
}

/** What a run was tuned to, it keeps; another adapter has other tiles. */
function takeTiles(gpu: Gpu, { resumed }: TrainingPlan): void {
  const [before] = resumed ?? [];
  if (before?.adapter !== gpu.adapter) return;
  for (const [key, tile] of Object.entries(before.tiles)) gpu.shared.tiles.set(key, tile);
}

/** The steps of a run, once everything is in place. */
class Session {
  /** The newest checkpoint's step, 0 before the first. */
  #savedStep = 0;

  constructor(
    readonly gpu: Gpu,
    readonly plan: TrainingPlan,
    readonly transcoders: readonly TranscoderInTraining[],
    readonly feed: Feed,
    readonly log: StepLog,
    readonly elapsed: () => number,
    readonly checkpointed: TrainingObserver["checkpointed"],
    readonly signal: AbortSignal | undefined,
  ) {}

  async run(last: number): Promise<void> {
    const { steps, checkpoint_every, sample_every } = this.plan.settings, { feed, log, signal } = this;
    this.#savedStep = last;
    for (let step = last + 1; step <= steps; step++) {
      if (feed.isDue(step)) {
        if (!await feed.fill(step)) await this.#stop(step - 1);
        log.restartClock();
      }
      this.#record(step);
      const isCheckpoint = step % checkpoint_every === 0 || step === steps, isSampled = step % sample_every === 0;
      const stopping = signal?.aborted === true;
      if (isCheckpoint || isSampled || log.isDue(step)) await log.readBack(step, isSampled);
      if (isCheckpoint) await this.#checkpoint(step);
      if (stopping) await this.#stop(step);
    }
  }

  #record(step: number): void {
    const pass = new Pass(this.gpu), slot = this.log.slotOf(step);
    for (const transcoder of this.transcoders) {
      this.feed.recordBatch(pass, transcoder, step);
      transcoder.stepper.record(pass, transcoder.x, transcoder.y, step, slot);
    }
    pass.submit();
  }

  async #checkpoint(step: number): Promise<void> {
    await this.plan.beforeWriting?.();
    const started = performance.now();
    this.log.countSamples();
    const { harvested } = this.feed, position = this.feed.positionBehind(step);
    const progress = { step, position, elapsed_s: this.elapsed(), ...harvested && { harvested } };
    for (const transcoder of this.transcoders) {
      await writeCheckpoint(this.gpu, transcoder, { ...progress, settings: steppedWith(transcoder.config) });
    }
    this.#savedStep = step;
    this.checkpointed(step, (performance.now() - started) / 1000);
  }

  /** Ends the run for now, with the last step saved. */
  async #stop(step: number): Promise<never> {
    if (step > this.#savedStep) {
      await this.log.readBack(step, false);
      await this.#checkpoint(step);
    }
    throw interruption(this.plan, step);
  }
}

function interruption({ directory, settings: { steps }, resumed, round }: TrainingPlan, step: number): Interrupted {
  if (step === 0 && !resumed && !round) {
    return new Interrupted({ stopped: `before the first of ${steps} steps`, remedy: "nothing was written" });
  }
  const stopped = step === 0 ? `before the first of ${steps} steps` : `after step ${step} of ${steps}, which is saved`;
  return new Interrupted({ stopped, remedy: `go on with: mtc train --resume ${directory}` });
}
