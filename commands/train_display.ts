/**
 * What `mtc train` shows while it works.
 * @module
 */

import { featureCount } from "../core/transcoder/recipe.ts";
import { planBuffer } from "../core/transcoder/buffer.ts";
import type { FinishObserver } from "../core/transcoder/finish.ts";
import type { Mapping, RunSettings } from "../core/transcoder/run_settings.ts";
import type { TrainingObserver } from "../core/transcoder/train.ts";
import { tapName } from "../core/gemma2/sites.ts";
import { Progress } from "./progress.ts";

/** One stretch of work with a bar of its own. */
class Phase {
  readonly progress: Progress;
  readonly #started = performance.now();

  constructor(label: string) {
    this.progress = new Progress(label);
  }

  /** Shows a rate, and the time left if the rest goes as what is done. */
  show(done: number, total: number, unit: string): void {
    const seconds = (performance.now() - this.#started) / 1000;
    const rate = Math.round(done / seconds).toLocaleString("en-US");
    this.progress.show(done, total, `${rate} ${unit}/s`, seconds < 1 ? null : seconds / done * (total - done));
  }
}

/** Shows the phases of a run on stderr, one after the other. */
export class TrainDisplay {
  readonly #settings: RunSettings;
  readonly #mappings: readonly Mapping[];
  readonly #buffers: number;
  #phase: { name: string; phase: Phase } | null = null;
  #fillSeconds = 0;
  #fillStarted = 0;
  #buffer = -1;

  /**
   * @param settings The run's settings.
   * @param mappings Its transcoders.
   */
  constructor(settings: RunSettings, mappings: readonly Mapping[]) {
    this.#settings = settings;
    this.#mappings = mappings;
    const { steps, batch_tokens, passes, buffer_tokens, context, include_bos } = settings;
    this.#buffers = Math.ceil(
      steps / planBuffer(steps, batch_tokens, passes, buffer_tokens, context, include_bos).steps,
    );
  }

  /** Says what is about to happen. */
  begin(directory: string, adapter: string, model: string, isResumed: boolean): void {
    const { steps, batch_tokens, groups, k, passes } = this.#settings, count = (n: number) => n.toLocaleString("en-US");
    const maps = this.#mappings.map(({ source, target }) => `${tapName(source)} -> ${tapName(target)}`).join(", ");
    const uses = passes > 1 ? `, each harvested token used ${passes} times` : "";
    console.error(`${isResumed ? "Resuming" : "Training"} ${maps} of ${model} on ${adapter}`);
    console.error(
      `  ${count(featureCount(groups))} features in groups ${groups.join(" + ")}, k ${k}; ${count(steps)} steps of ${
        count(batch_tokens)
      } tokens${uses}`,
    );
    console.error(`  into ${directory}`);
  }

  /** Says that the interrupt was heard. */
  interrupting(): void {
    this.stop();
    console.error("mtc: stopping after the current step; press Ctrl-C again to stop at once without saving");
  }

  /** Removes the bar. */
  stop(): void {
    this.#phase?.phase.progress.stop();
    this.#phase = null;
  }

  #enter(name: string): Phase {
    if (this.#phase?.name !== name) {
      this.stop();
      this.#phase = { name, phase: new Phase(name) };
    }
    return this.#phase!.phase;
  }

  /** The training's observer, without the interrupt. */
  get observer(): Omit<TrainingObserver, "interrupted"> {
    return {
      filling: (n, done, contexts) => {
        if (n !== this.#buffer) [this.#buffer, this.#fillStarted] = [n, performance.now()];
        this.#fillSeconds = (performance.now() - this.#fillStarted) / 1000;
        const tokens = this.#settings.context;
        this.#enter(`Harvesting ${n + 1}/${this.#buffers}`).show(done * tokens, contexts * tokens, "tokens");
      },
      stepped: (step, layers, tokensPerSecond) => {
        const { steps, batch_tokens } = this.#settings;
        const numbers = layers.map(({ layer, metrics: { loss, fvu, l0, deadFeatures } }) =>
          `L${layer} loss ${loss.toFixed(3)} FVU ${fvu.at(-1)!.toFixed(3)} L0 ${l0.toFixed(1)} dead ${deadFeatures}`
        );
        const note = [...numbers, `${Math.round(tokensPerSecond).toLocaleString("en-US")} tokens/s`].join("  ");
        const fillsLeft = this.#buffers - this.#buffer - 1;
        const left = (steps - step) * batch_tokens / tokensPerSecond + fillsLeft * this.#fillSeconds;
        this.#enter("Training").progress.show(step, steps, note, left);
      },
    };
  }

  /** The observer of what follows the last step, without the interrupt. */
  get finishObserver(): Omit<FinishObserver, "checkInterrupt"> {
    return {
      sampling: (done, tokens) => this.#enter("Sampling with frozen weights").show(done, tokens, "tokens"),
      evaluating: (done, tokens) => this.#enter("Evaluating on held-out text").show(done, tokens, "tokens"),
    };
  }
}
