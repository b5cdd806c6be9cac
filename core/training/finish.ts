/**
 * What follows the last step: a pass over text with frozen weights that collects samples and feature statistics, the held-out
 * evaluation, and the finished transcoder, whose file comes last and marks the run as finished.
 * @module
 */

import { join } from "node:path";
import { featureTable } from "../runs/feature_table.ts";
import type { FinalPass, SampledToken, SampleStore } from "../analysis/samples.ts";
import { Interrupted } from "../errors.ts";
import { replaceFile, writeAll, writeFileAtomic } from "../files/atomic.ts";
import type { Decoder } from "../model/forward.ts";
import type { Gpu } from "../gpu/device.ts";
import { openTokenSource, type TokenSource } from "../text/source.ts";
import { loadTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import { evaluateTranscoders } from "../passes/evaluation.ts";
import { prefixEnds } from "../transcoder/shape.ts";
import { finishedTranscoder, type LayerRun, type TrainingPlan } from "./plan.ts";
import type { PlacedTranscoder } from "../passes/features.ts";
import { collectSamples, type SampleOptions } from "../passes/samples.ts";
import { saveTranscoder } from "../transcoder/formats/native.ts";

/** How the end of a run tells what it is doing. */
export interface FinishObserver {
  /** Tokens that samples were taken from, of all. */
  sampling(done: number, tokens: number): void;
  /** Tokens of the evaluation done of all. */
  evaluating(done: number, tokens: number): void;
}

/**
 * Collects samples, evaluates and writes the files of each finished layer.
 *
 * @param gpu The device.
 * @param plan The run.
 * @param decoder The model, with the run's taps.
 * @param layers The trained layers.
 * @param observer Hears of the progress.
 * @param signal Aborted when the run should end; it can go on from its last checkpoint.
 * @throws {UserError} When files, disk or device fail.
 * @throws {Interrupted} When the signal was aborted before the evaluation was done.
 */
export async function finish(
  gpu: Gpu,
  plan: TrainingPlan,
  decoder: Decoder,
  layers: readonly LayerRun[],
  observer: FinishObserver,
  signal?: AbortSignal,
): Promise<void> {
  const transcoders: PlacedTranscoder[] = [];
  for (const layer of layers) {
    transcoders.push({ config: layer.config, transcoder: await finishedTranscoder(gpu, layer) });
  }
  const { settings, model, data } = plan;
  const common = { gpu, decoder, settings, transcoders, signal };
  const stop = (error: unknown): never => {
    throw error === signal?.reason ? interruption(plan) : error;
  };
  const sampled = { ...common, tokens: settings.sample_tokens, onProgress: observer.sampling };
  const { passes, documentName } = await sampleText(plan, sampled).catch(stop);
  const held = { tokenizer: model, data, split: "held_out", context: settings.context, seed: null } as const;
  const source = await openTokenSource(held);
  observer.evaluating(0, settings.evaluation_tokens);
  try {
    const evaluations = await evaluateTranscoders({
      ...common,
      source,
      tokens: settings.evaluation_tokens,
      onProgress: observer.evaluating,
    }).catch(stop);
    const tokenizer = loadTokenizer(model);
    for (const [i, layer] of layers.entries()) {
      const write = (name: string, text: string) => writeFileAtomic(join(layer.directory, name), text);
      const { shape, weights } = transcoders[i].transcoder;
      const sampleLines = new SampleLines(layer, tokenizer, documentName);
      await sampleLines.writeFinal(join(layer.directory, "samples.jsonl"), passes[i]);
      await sampleLines.writeTraining(join(layer.directory, "training_samples.jsonl"), layer.samples);
      await write("features.csv", featureTable(shape, weights, passes[i], (id) => tokenizer.tokenText(id)));
      await write("evaluation.json", JSON.stringify(evaluations[i], null, 2) + "\n");
      await saveTranscoder(join(layer.directory, "transcoder.safetensors"), transcoders[i].transcoder);
    }
  } finally {
    source.close();
  }
}

/** Runs the transcoders over the training text, in another random order than training saw it, so that samples come from all over. */
async function sampleText(
  { settings, model, data }: TrainingPlan,
  options: Omit<SampleOptions, "source">,
): Promise<{ passes: readonly FinalPass[]; documentName: DocumentNamer }> {
  const { context, seed } = settings;
  const source = await openTokenSource({ tokenizer: model, data, split: "train", context, seed: seed + 1 });
  options.onProgress?.(0, options.tokens);
  try {
    const passes = await collectSamples({ ...options, source });
    return { passes, documentName: (document) => source.documentName(document) };
  } finally {
    source.close();
  }
}

function interruption({ directory }: TrainingPlan): Interrupted {
  return new Interrupted({
    stopped: "after the last step, before the samples and the evaluation",
    remedy: `go on with: mtc train --resume ${directory}`,
  });
}

/** From the number that a document's tokens carry to its name. */
type DocumentNamer = TokenSource["documentName"];

/** Writes samples as one JSON line per feature. */
class SampleLines {
  readonly #groups: readonly number[];

  constructor(readonly layer: LayerRun, readonly tokenizer: Tokenizer, readonly documentName: DocumentNamer) {
    this.#groups = prefixEnds(layer.shape.groups);
  }

  writeFinal(path: string, pass: FinalPass): Promise<void> {
    return this.#write(path, (feature) => ({
      fires: pass.fires[feature],
      top: pass.top.samples(feature).map((sample) => this.#readable(sample)),
      quantiles: pass.quantiles(feature).map(({ quantile, ...sample }) => ({ quantile, ...this.#readable(sample) })),
    }));
  }

  writeTraining(path: string, store: SampleStore): Promise<void> {
    return this.#write(path, (feature) => ({
      top: store.samples(feature).map((sample) => ({ step: sample.step, ...this.#readable(sample) })),
    }));
  }

  #write(path: string, line: (feature: number) => object): Promise<void> {
    const encoder = new TextEncoder();
    return replaceFile(path, async (file) => {
      for (let feature = 0; feature < this.#groups.at(-1)!; feature++) {
        const group = this.#groups.findIndex((end) => feature < end);
        await writeAll(file, encoder.encode(JSON.stringify({ feature, group, ...line(feature) }) + "\n"));
      }
    });
  }

  #readable({ activation, token, before, after, document, position }: SampledToken) {
    return {
      activation: Number(activation.toPrecision(7)),
      token_id: token,
      token: this.tokenizer.tokenText(token),
      before: this.tokenizer.decode(before),
      after: this.tokenizer.decode(after),
      document: this.documentName(document),
      position,
    };
  }
}
