/**
 * What `mtc train` shows while it works.
 * @module
 */

import { describeErrors } from "../../core/passes/precision.ts";
import { featureCount } from "../../core/transcoder/shape.ts";
import { bufferLayout } from "../../core/training/buffer.ts";
import type { FinishObserver } from "../../core/training/finish.ts";
import type { RunCounts } from "../../core/runs/evaluation.ts";
import type { HarvestReference } from "../../core/runs/config.ts";
import type { SharedSettings } from "../../core/runs/settings.ts";
import type { PlannedTranscoder } from "../../core/training/plan.ts";
import type { TrainingObserver } from "../../core/training/session.ts";
import type { SteppedTranscoder } from "../../core/training/step_log.ts";
import { type Tap, tapName } from "../../core/model/sites.ts";
import type { TargetVariance } from "../../core/analysis/target_variance.ts";
import { decisiveDimension } from "../../reports/target_variance.ts";
import { integer } from "../../reports/format.ts";
import { leftOutOfRun } from "../../reports/held_out.ts";
import { perSecond, Progress } from "../progress.ts";

/** Shows the phases of a run on stderr, one after the other. */
export class TrainDisplay {
  readonly #settings: SharedSettings;
  readonly #transcoders: readonly PlannedTranscoder[];
  readonly #activations: HarvestReference | undefined;
  readonly #stepsPerBuffer: number;
  #progress: Progress | null = null;
  #isStopping = false;
  /** What the last buffer took to fill; null before there was one. */
  #fillSeconds: number | null = null;
  /** Training tokens per second when steps were last read back; null before. */
  #rate: number | null = null;

  /**
   * @param settings What the run's transcoders share.
   * @param transcoders What it trains.
   * @param activations The harvest that it reads, if it does.
   */
  constructor(
    settings: SharedSettings,
    transcoders: readonly PlannedTranscoder[],
    activations?: HarvestReference,
  ) {
    this.#settings = settings;
    this.#transcoders = transcoders;
    this.#activations = activations;
    this.#stepsPerBuffer = bufferLayout(settings).steps;
  }

  /**
   * What is about to happen.
   *
   * @param verb What is done, for example `Training`.
   * @param model The model's name.
   * @param adapter The GPU's name.
   * @param directory The run's directory.
   * @returns Lines.
   */
  header(verb: string, model: string, adapter: string, directory: string): string[] {
    const { steps, batch_tokens, passes } = this.#settings, planned = this.#transcoders;
    const transcoders = planned.length === 1 ? "a transcoder" : `${planned.length} transcoders`;
    const mappings = new Set(
      planned.map(({ source, targets }) => `  ${tapName(source)} -> ${targets.map(tapName).join(" + ")}`),
    );
    const dictionaries = Map.groupBy(planned, ({ settings: { groups } }) => groups.join(" + "));
    const sizes = [...dictionaries].map(([groups, alike]) => {
      const ks = valuesOf(alike, ({ settings }) => settings.k), [{ settings }] = alike;
      const skip = settings.skip ? ", with a skip connection" : "";
      return `  ${integer(featureCount(settings.groups))} features in groups ${groups}, k ${ks.join(", ")}${skip}`;
    });
    const rates = valuesOf(planned, ({ settings }) => settings.learning_rate);
    const seeds = valuesOf(planned, ({ settings }) => settings.seed);
    const starts = planned.flatMap(({ start }) => start ? [start.parent] : []);
    const uses = passes > 1 ? `, each harvested token used ${passes} times` : "";
    return [
      `${verb} ${transcoders} of ${model}`,
      ...mappings,
      ...sizes,
      ...rates.length > 1 ? [`  learning rates ${rates.join(", ")}`] : [],
      ...seeds.length > 1 ? [`  seeds ${seeds.join(", ")}`] : [],
      ...starts.map(({ name, steps, goes_on }) =>
        goes_on
          ? `  behind step ${integer(steps)} of ${name}, with its optimiser's state`
          : `  from the weights of ${name} after ${integer(steps)} steps`
      ),
      `  ${integer(steps)} steps of ${integer(batch_tokens)} tokens${uses}`,
      ...this.#activations ? [`  from the activations in ${this.#activations.path}`] : [],
      `  on ${adapter}`,
      `  into ${directory}`,
    ];
  }

  /**
   * Says that a signal was heard.
   *
   * @param signal Its name.
   */
  interrupting(signal: Deno.Signal): void {
    this.#isStopping = true;
    this.stop();
    const how = signal === "SIGINT" ? "; press Ctrl-C again to stop at once without saving" : `, as ${signal} asks for`;
    console.error(`mtc: stopping after the current step${how}`);
  }

  /**
   * Says that the run stops for another reason.
   *
   * @param reason The reason, a sentence that begins small.
   */
  stopping(reason: string): void {
    this.#isStopping = true;
    this.stop();
    console.error(`mtc: stopping after the current step: ${reason}`);
  }

  /** Removes the bar. */
  stop(): void {
    this.#progress?.stop();
    this.#progress = null;
  }

  /** The training's observer. */
  get observer(): TrainingObserver {
    return {
      loading: (layers, needed) => this.#loading(layers, needed),
      filling: (n, done, contexts) => this.#filling(n, done, contexts),
      rounded: (errors) => this.#rounded(errors),
      metricsLost: (directory, step) => this.#metricsLost(directory, step),
      measured: (target, variance) => this.#measured(target, variance),
      stepped: (step, transcoders, tokensPerSecond) => this.#stepped(step, transcoders, tokensPerSecond),
      checkpointed() {},
    };
  }

  /** The observer of what follows the last step. */
  get finishObserver(): FinishObserver {
    return {
      sampling: (done, tokens) => this.#reading("Sampling", done, tokens),
      counted: (counts) => this.#counted(counts),
      evaluating: (done, tokens) => this.#reading("Evaluating", done, tokens),
      loading: (layers, needed) => this.#loading(layers, needed),
      measuringLoss: (done, tokens) => this.#reading("Measuring the loss", done, tokens),
      lossFailed: (error) => this.#lossFailed(error),
    };
  }

  /** The bar of a phase; none once the run is stopping, so that what was said last stays last. */
  #enter(name: string): Progress | null {
    if (this.#progress?.label !== name && !this.#isStopping) {
      this.stop();
      this.#progress = new Progress(name);
    }
    return this.#progress;
  }

  #loading(layers: number, needed: number): void {
    this.#enter("Loading layers")?.advance({ done: layers, total: needed });
  }

  #filling(n: number, done: number, contexts: number): void {
    const { steps, context } = this.#settings, buffers = Math.ceil(steps / this.#stepsPerBuffer);
    const progress = this.#enter(`${this.#activations ? "Reading" : "Harvesting"} ${n + 1}/${buffers}`);
    if (progress === null) return;
    if (done === contexts) this.#fillSeconds = progress.pace.seconds;
    const here = progress.pace.left(done, contexts) ?? this.#fillSeconds;
    const after = this.#secondsOfSteps(n * this.#stepsPerBuffer, n);
    const left = here === null || after === null ? null : here + after;
    const rate = progress.pace.rate(done * context);
    progress.show(done * context, contexts * context, rate === null ? "" : perSecond(rate, "tokens"), left);
  }

  #rounded(errors: Readonly<Record<string, number>>): void {
    this.stop();
    console.error(`  ${describeErrors(errors)}`);
  }

  #metricsLost(directory: string, step: number): void {
    this.stop();
    console.error(`mtc: metrics.csv of ${directory} is gone; what is logged from here on begins behind step ${step}`);
  }

  #measured(target: Tap, variance: TargetVariance): void {
    const warning = decisiveDimension(tapName(target), variance);
    if (warning === "") return;
    this.stop();
    console.error(`mtc: ${warning}`);
  }

  #stepped(step: number, transcoders: readonly SteppedTranscoder[], tokensPerSecond: number): void {
    const { steps } = this.#settings;
    this.#rate = tokensPerSecond;
    const isMany = transcoders.length > MOST_SHOWN, figures = isMany ? summaryOf(transcoders) : eachOf(transcoders);
    const short = [...figures.short, `${short1000(tokensPerSecond)} tokens/s`];
    const left = this.#secondsOfSteps(step, Math.floor((step - 1) / this.#stepsPerBuffer));
    const note = [...figures.long, perSecond(tokensPerSecond, "tokens")].join("  ");
    this.#enter("Training")?.show(step, steps, note, left, short);
  }

  #counted(counts: RunCounts): void {
    this.stop();
    console.error(`  left out ${leftOutOfRun(counts)}`);
  }

  #lossFailed({ message }: Error): void {
    this.stop();
    console.error(`mtc: loss recovered is left out: ${message}; ask for it with \`mtc evaluate --loss\``);
  }

  #reading(name: string, done: number, tokens: number): void {
    this.#enter(name)?.advance({ done, total: tokens, unit: "tokens" });
  }

  /** What the steps behind `step` will take with the buffers behind number `n`, or null when their rate is not known yet. */
  #secondsOfSteps(step: number, n: number): number | null {
    if (this.#rate === null) return null;
    const { steps, batch_tokens } = this.#settings;
    const fills = Math.ceil(steps / this.#stepsPerBuffer) - 1 - n;
    return (steps - step) * batch_tokens / this.#rate + fills * (this.#fillSeconds ?? 0);
  }
}

/** Of more transcoders only the best, the worst and what lies between them is shown. */
const MOST_SHOWN = 4;

/** What a step is shown as, the most important first: with room for it, and without. */
interface Figures {
  readonly long: readonly string[];
  readonly short: readonly string[];
}

function eachOf(transcoders: readonly SteppedTranscoder[]): Figures {
  const each = (value: (metrics: SteppedTranscoder["metrics"]) => string) =>
    transcoders.map(({ metrics }) => value(metrics)).join("|");
  return {
    long: transcoders.map(({ name, metrics: { loss, auxLoss, fvu, l0, deadFeatures } }) =>
      `${name} loss ${(loss - auxLoss).toFixed(3)} FVU ${fvu.at(-1)!.toFixed(3)} L0 ${
        l0.toFixed(1)
      } dead ${deadFeatures}`
    ),
    short: [
      `FVU ${each(({ fvu }) => fvu.at(-1)!.toFixed(3))}`,
      `L0 ${each(({ l0 }) => l0.toFixed(0))}`,
      `dead ${each(({ deadFeatures }) => String(deadFeatures))}`,
      `loss ${each(({ loss, auxLoss }) => (loss - auxLoss).toFixed(3))}`,
    ],
  };
}

function summaryOf(transcoders: readonly SteppedTranscoder[]): Figures {
  const sorted = transcoders.toSorted((a, b) => a.metrics.fvu.at(-1)! - b.metrics.fvu.at(-1)!);
  const best = sorted[0],
    worst = sorted.at(-1)!,
    fvu = ({ metrics }: SteppedTranscoder) => metrics.fvu.at(-1)!.toFixed(3);
  const range = (values: readonly number[]) => {
    const [least, most] = [Math.min(...values), Math.max(...values)].map((value) => value.toFixed(0));
    return least === most ? least : `${least} to ${most}`;
  };
  const others = [
    `L0 ${range(transcoders.map(({ metrics }) => metrics.l0))}`,
    `dead ${range(transcoders.map(({ metrics }) => metrics.deadFeatures))}`,
  ];
  return {
    long: [`FVU ${fvu(best)} (${best.name}) to ${fvu(worst)} (${worst.name})`, ...others],
    short: [`FVU ${fvu(best)} to ${fvu(worst)}`, ...others],
  };
}

function valuesOf<T>(transcoders: readonly PlannedTranscoder[], of: (transcoder: PlannedTranscoder) => T): T[] {
  return [...new Set(transcoders.map(of))];
}

/** 812, 6.2k, 62k: three places at most. */
function short1000(n: number): string {
  if (n < 1000) return n.toFixed(0);
  return `${(n / 1000).toFixed(n < 10_000 ? 1 : 0)}k`;
}
