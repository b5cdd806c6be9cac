/**
 * What a run hears of its own steps: which are logged, when they are read back, and what becomes of that: rows of metrics.csv, samples
 * of training batches, the display.
 * @module
 */

import type { MetricsRow } from "../analysis/convergence.ts";
import { UserError } from "../errors.ts";
import { downloadAll, type Gpu } from "../gpu/device.ts";
import { appendEvents } from "../runs/events.ts";
import { appendMetrics } from "../runs/metrics.ts";
import type { HostFeatures } from "../transcoder/encode.ts";
import type { Feed } from "./feed.ts";
import type { TrainingPlan } from "./plan.ts";
import { learningRate } from "./recipe.ts";
import { METRICS_RING, type StepMetrics } from "./step.ts";
import type { TranscoderInTraining } from "./transcoder.ts";

/** The loss is no longer a number; going on from a checkpoint would lead there again. */
export class Diverged extends UserError {
  /** Distinguishes this class in logs. */
  override name = "Diverged";

  /**
   * Makes the error.
   *
   * @param transcoder The name of the transcoder's directory in the run's.
   * @param row What the step measured.
   * @param peak The learning rate of its recipe.
   */
  constructor(readonly transcoder: string, { step, loss }: Pick<MetricsRow, "step" | "loss">, peak: number) {
    super({
      action: `go on training ${transcoder}`,
      requirement: "the loss must be a number",
      found: `it is ${loss} at step ${step}`,
      // Before the first update it was not the rate.
      remedy: step === 1
        ? "start another run with a smaller --encoder-norm and weights of the losses"
        : `start another run with a lower --learning-rate than ${peak}, or a --bias-rate and a --beta2 nearer to their defaults`,
    });
  }
}

/** What a logged step measured of one transcoder. */
export interface SteppedTranscoder {
  /** The name of its directory in the run's. */
  readonly name: string;
  /** The measurements. */
  readonly metrics: StepMetrics;
}

/** Hears of the steps that were read back last. */
export type SteppedListener = (
  step: number,
  transcoders: readonly SteppedTranscoder[],
  tokensPerSecond: number,
) => void;

/** The longest a reading-back may be put off, in seconds and in steps. */
const READ_EVERY_S = 1;
const READ_EVERY_STEPS = 100;

/** The steps of one run, from one start of the program to its end. */
export class StepLog {
  readonly #gpu: Gpu;
  readonly #plan: TrainingPlan;
  readonly #transcoders: readonly TranscoderInTraining[];
  readonly #feed: Feed;
  readonly #elapsed: () => number;
  readonly #stepped: SteppedListener;
  readonly #events: readonly (string | null)[];
  /** Steps recorded since the last reading-back that have a row in the ring. */
  #logged: number[] = [];
  /** Sampled batches that were read back and not taken in yet. */
  #uncounted: (() => void)[] = [];
  #lastStep: number;
  #lastTime = performance.now();
  #stepsPerRead = 1;

  /**
   * Begins behind a step.
   *
   * @param gpu The device.
   * @param plan The run.
   * @param transcoders What is trained.
   * @param feed Where the batches of the steps come from.
   * @param lastStep The step that was taken last, 0 before the first.
   * @param elapsed Seconds of training so far.
   * @param stepped Hears of what was read back.
   * @param events The transcoders' event files; null for those that have none.
   */
  constructor(
    gpu: Gpu,
    plan: TrainingPlan,
    transcoders: readonly TranscoderInTraining[],
    feed: Feed,
    lastStep: number,
    elapsed: () => number,
    stepped: SteppedListener,
    events: readonly (string | null)[],
  ) {
    this.#gpu = gpu;
    this.#plan = plan;
    this.#transcoders = transcoders;
    this.#feed = feed;
    this.#lastStep = lastStep;
    this.#elapsed = elapsed;
    this.#stepped = stepped;
    this.#events = events;
  }

  /** Takes the time anew: the rate of the steps must not include what came between them. */
  restartClock(): void {
    this.#lastTime = performance.now();
  }

  /**
   * The row of the metrics ring for a step that is about to be recorded.
   *
   * @param step The step.
   * @returns Its slot, or null when it is not logged.
   */
  slotOf(step: number): number | null {
    const { log_every, steps } = this.#plan.settings;
    if (step % log_every !== 0 && step !== 1 && step !== steps) return null;
    return this.#logged.push(step) - 1;
  }

  /**
   * Whether so many steps were queued that they should be read back: one must be told and stopped, and the ring is finite.
   *
   * @param step The step that was recorded last.
   * @returns True when it is time.
   */
  isDue(step: number): boolean {
    return step - this.#lastStep >= this.#stepsPerRead;
  }

  /**
   * Waits for the steps that were submitted; fetches metrics and, on sampled steps, the kept features of the current batch.
   *
   * @param step The step that was recorded last.
   * @param isSampled Whether samples are taken from its batch.
   * @throws {UserError} When the device or the disk fails.
   * @throws {Diverged} When the loss is no longer a number.
   */
  async readBack(step: number, isSampled: boolean): Promise<void> {
    this.countSamples();
    const transcoders = this.#transcoders;
    const wanted = transcoders.flatMap(({ stepper: { ring, selector: { rows } } }) =>
      isSampled ? [ring, rows.rowStart, rows.index, rows.value] : [ring]
    );
    const bytes = await downloadAll(this.#gpu, wanted), each = bytes.length / transcoders.length;
    const now = performance.now(), seconds = (now - this.#lastTime) / 1000;
    const tokensPerSecond = (step - this.#lastStep) * this.#plan.settings.batch_tokens / seconds;
    for (const [i, transcoder] of transcoders.entries()) {
      const [ring, rowStart, index, value] = bytes.slice(i * each, (i + 1) * each);
      await this.#append(i, new Float32Array(ring), tokensPerSecond);
      if (!isSampled) continue;
      this.#sampleLater(transcoder, step, {
        rowStart: new Uint32Array(rowStart),
        index: new Uint32Array(index),
        value: new Float32Array(value),
      });
    }
    const slot = this.#logged.length - 1;
    if (slot >= 0) {
      const shown = transcoders.map(({ stepper }, i) => ({
        name: this.#plan.transcoders[i].name,
        metrics: stepper.metrics(new Float32Array(bytes[i * each]), slot),
      }));
      this.#stepped(step, shown, tokensPerSecond);
    }
    const perStep = seconds / Math.max(1, step - this.#lastStep);
    this.#stepsPerRead = Math.max(1, Math.min(READ_EVERY_STEPS, METRICS_RING, Math.floor(READ_EVERY_S / perStep)));
    this.#logged = [];
    this.#lastStep = step;
    this.#lastTime = now;
  }

  /** Takes in the sampled batches that were read back. It is put off until more steps are queued, so that the GPU need not wait. */
  countSamples(): void {
    for (const count of this.#uncounted.splice(0)) count();
  }

  async #append(i: number, ring: Float32Array, tokensPerSecond: number): Promise<void> {
    const { directory, config, stepper } = this.#transcoders[i];
    const rows = this.#logged.map((step, slot): MetricsRow => {
      const { loss, auxLoss, fvu, l0, deadFeatures, threshold } = stepper.metrics(ring, slot);
      return {
        ...{ step, tokens: step * config.batch_tokens, loss, aux_loss: auxLoss, fvu_per_prefix: [...fvu], l0 },
        ...{ dead_features: deadFeatures, learning_rate: learningRate(config, step), threshold },
        ...{ elapsed_s: this.#elapsed(), tokens_per_s: tokensPerSecond },
      };
    });
    const events = this.#events[i];
    if (rows.length > 0) await appendMetrics(directory, config.groups, rows);
    if (rows.length > 0 && events !== null) await appendEvents(events, config, rows);
    const lost = rows.find(({ loss }) => !Number.isFinite(loss));
    if (lost !== undefined) throw new Diverged(this.#plan.transcoders[i].name, lost, config.learning_rate);
  }

  #sampleLater({ samples }: TranscoderInTraining, step: number, { rowStart, index, value }: HostFeatures): void {
    const { batch_tokens, sample_threshold } = this.#plan.settings, { batch, drawn } = this.#feed.buffer;
    const first = this.#feed.firstRow(step);
    this.#uncounted.push(() => {
      for (let b = 0; b < batch_tokens; b++) {
        for (let e = rowStart[b]; e < rowStart[b + 1]; e++) {
          if (value[e] < sample_threshold) continue;
          samples.offer(index[e], value[e], value[e], step, batch, drawn[first + b]);
        }
      }
    });
  }
}
