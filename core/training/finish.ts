/**
 * What follows the last step: a pass over text with frozen weights that collects samples and feature statistics, the held-out
 * evaluation, and the finished transcoder, whose file comes last and marks the run as finished.
 * @module
 */

import { featureRows } from "../analysis/feature_rows.ts";
import type { FeatureTally } from "../analysis/samples.ts";
import { contextsPerForward } from "../model/capacity.ts";
import type { Decoder } from "../model/forward.ts";
import type { Gpu } from "../gpu/device.ts";
import { openTokenSource, type TokenSource } from "../text/source.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import { writeEvaluation } from "../runs/evaluation.ts";
import { writeFeatures } from "../runs/features.ts";
import { writeSamples, writeTrainingSamples } from "../runs/samples.ts";
import { writeTranscoder } from "../runs/transcoder.ts";
import { evaluateTranscoders } from "../passes/evaluation.ts";
import { finishedTranscoder, type TrainingPlan, type TranscoderInTraining } from "./plan.ts";
import { type SampleObserver, samplePass } from "../passes/samples.ts";
import type { Transcoder } from "../transcoder/weights.ts";

/** How the end of a run tells what it is doing, and hears that it should stop; the last checkpoint lets the run go on from here. */
export interface FinishObserver extends SampleObserver {
  /** Tokens of the evaluation done of all. */
  evaluating(done: number, tokens: number): void;
}

/**
 * Collects samples, evaluates and writes the files of each finished transcoder.
 *
 * @param gpu The device.
 * @param plan The run.
 * @param decoder The model, with the run's taps.
 * @param trained The transcoders after their last step.
 * @param observer Hears of the progress and can interrupt.
 * @throws {UserError} When files, disk or device fail.
 */
export async function finish(
  gpu: Gpu,
  plan: TrainingPlan,
  decoder: Decoder,
  trained: readonly TranscoderInTraining[],
  observer: FinishObserver,
): Promise<void> {
  const transcoders: Transcoder[] = [];
  for (const each of trained) transcoders.push(await finishedTranscoder(gpu, each));
  const { tallies, documentName } = await collectSamples(gpu, plan, decoder, transcoders, observer);
  const { settings, mappings, model, data } = plan;
  const held = { tokenizer: model, data, split: "held_out", context: settings.context, seed: null } as const;
  const source = await openTokenSource(held);
  observer.evaluating(0, settings.evaluation_tokens);
  try {
    const evaluations = await evaluateTranscoders({
      gpu,
      decoder,
      source,
      transcoders: transcoders.map((transcoder, i) => ({ ...mappings[i], ...transcoder, k: settings.k })),
      context: settings.context,
      contextsPerForward: contextsPerForward(gpu, decoder.config, settings.context),
      tokens: settings.evaluation_tokens,
      includeBos: settings.include_bos,
      onProgress: (tokens) => {
        observer.evaluating(Math.min(tokens, settings.evaluation_tokens), settings.evaluation_tokens);
        observer.checkInterrupt();
      },
    });
    const { tokenText, decode } = loadTokenizer(model), texts = { tokenText, decode, documentName };
    for (const [i, { directory, samples }] of trained.entries()) {
      const { shape: { groups }, weights } = transcoders[i];
      await writeSamples(directory, groups, tallies[i], texts);
      await writeTrainingSamples(directory, groups, samples, texts);
      await writeFeatures(directory, featureRows(groups, weights, tallies[i], tokenText));
      await writeEvaluation(directory, evaluations[i]);
      await writeTranscoder(directory, transcoders[i]);
    }
  } finally {
    source.close();
  }
}

/** Runs the transcoders over the training text, in another random order than training saw it, so that samples come from all over. */
async function collectSamples(
  gpu: Gpu,
  { settings, mappings, model, data }: TrainingPlan,
  decoder: Decoder,
  transcoders: readonly Transcoder[],
  observer: FinishObserver,
): Promise<{ tallies: readonly FeatureTally[]; documentName: TokenSource["documentName"] }> {
  const { context, seed } = settings;
  const source = await openTokenSource({ tokenizer: model, data, split: "train", context, seed: seed + 1 });
  try {
    const tallies = await samplePass(gpu, settings, mappings, decoder, transcoders, source, observer);
    return { tallies, documentName: (document) => source.documentName(document) };
  } finally {
    source.close();
  }
}
