/**
 * What follows the last step: text read with frozen weights for samples and feature statistics (the final pass of the reports), the
 * held-out evaluation, the loss of the whole model with the transcoders in place, and the finished transcoder, whose file comes last and
 * marks the run as finished; then only the checksums of all files follow.
 * @module
 */

import { featureRows } from "../analysis/feature_rows.ts";
import type { LossEvaluation } from "../analysis/loss.ts";
import { Interrupted, UserError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { openScope } from "../gpu/scope.ts";
import { configOf } from "../model/config.ts";
import { loadDecoder } from "../model/forward.ts";
import { evaluatedText, openTokenSource, type TokenSource } from "../text/source.ts";
import { rereading } from "../text/reading.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import {
  EVALUATION_FILE,
  type RunCounts,
  TOKEN_COUNTS_DEFINITION,
  TRAINING_TEXT_DEFINITION,
  writeEvaluation,
} from "../runs/evaluation.ts";
import { readLinearMap } from "../runs/linear_map.ts";
import { filesToMake, FINISHED_FILES } from "../runs/lost_files.ts";
import { FEATURES_FILE, writeFeatures } from "../runs/features.ts";
import { SAMPLES_FILE, TRAINING_SAMPLES_FILE, writeSamples, writeTrainingSamples } from "../runs/samples.ts";
import { completeSums } from "../runs/sums.ts";
import { TRANSCODER_FILE, writeTranscoder } from "../runs/transcoder.ts";
import { evaluateTranscoders } from "../passes/evaluation.ts";
import type { PlacedTranscoder } from "../passes/features.ts";
import { lossModel, measureLoss } from "../passes/loss.ts";
import type { TrainingPlan } from "./plan.ts";
import type { Trained } from "./session.ts";
import type { TrainedTranscoder } from "./transcoder.ts";
import { collectSamples, type Sampled, type SampleOptions } from "../passes/samples.ts";

/** How the end of a run tells what it is doing. */
export interface FinishObserver {
  /** Tokens that samples were taken from, of all. */
  sampling(done: number, tokens: number): void;
  /** What of the training text was left out. */
  counted(counts: RunCounts): void;
  /** Tokens of the evaluation done of all. */
  evaluating(done: number, tokens: number): void;
  /** The whole model is being loaded for its loss: layers done of all. */
  loading(layers: number, needed: number): void;
  /** Tokens of that measurement's forward passes done of all. */
  measuringLoss(done: number, tokens: number): void;
  /** The loss could not be measured. */
  lossFailed(error: UserError): void;
}

/**
 * Collects samples, evaluates and writes the files of each finished transcoder; of one that was finished before, those that it has lost.
 *
 * @param gpu The device.
 * @param plan The run.
 * @param trained The model, with the run's taps, and the transcoders after their last step.
 * @param observer Hears of the progress.
 * @param signal Aborted when the run should end; it can go on from its last checkpoint.
 * @throws {UserError} When files, disk or device fail.
 * @throws {Interrupted} When the signal was aborted before all was measured.
 */
export async function finish(
  gpu: Gpu,
  plan: TrainingPlan,
  { decoder, freeDecoder, transcoders: trained, counts, badRecords }: Trained,
  observer: FinishObserver,
  signal?: AbortSignal,
): Promise<void> {
  const { settings, model, data } = plan, [{ config: { median_norms, data: text } }] = trained;
  const toMake = await Promise.all(trained.map(({ directory, config }) => filesToMake(directory, config)));
  const seal = () => Promise.all(trained.map(({ directory }) => completeSums(directory, FINISHED_FILES)));
  if (toMake.every((files) => files.length === 0)) return void await seal();
  const common = { gpu, decoder, settings: { ...settings, median_norms }, transcoders: trained, signal };
  const stop = (error: unknown): never => {
    throw error === signal?.reason ? interruption(plan) : error;
  };
  const sampled = { ...common, tokens: settings.sample_tokens, onProgress: observer.sampling };
  const { tallies, figures, counts: counted, documentName } = await sampleText(plan, sampled).catch(stop);
  const bad_records = badRecords ?? text.left_out;
  const token_counts = {
    ...counts && { training: counts },
    samples: counted,
    ...bad_records !== undefined && { bad_records },
  };
  observer.counted(token_counts);
  const { context, evaluation_tokens: tokens } = settings, split = "test";
  const reading = rereading(plan.reading, "ask");
  const source = await openTokenSource({ tokenizer: model, data, reading, split, context, seed: null, tokens });
  observer.evaluating(0, tokens);
  try {
    const evaluations = await evaluateTranscoders({
      ...common,
      transcoders: await Promise.all(trained.map(withLinearMap)),
      source,
      tokens,
      text: evaluatedText(source, split),
      onProgress: observer.evaluating,
    }).catch(stop);
    freeDecoder();
    const losses = settings.loss_tokens > 0
      ? await lossOf(gpu, plan, trained, observer, signal).catch((error) => {
        // What may have taken days is not lost to the last measurement; `mtc evaluate --loss` can be asked for it.
        if (error === signal?.reason || !(error instanceof UserError)) return stop(error);
        observer.lossFailed(error);
      })
      : undefined;
    const { tokenText, decode } = loadTokenizer(model), texts = { tokenText, decode, documentName };
    await plan.beforeWriting?.();
    for (const [i, { directory, samples, transcoder }] of trained.entries()) {
      const { shape: { groups }, weights } = transcoder;
      const definitions = { ...evaluations[i].definitions, ...TRAINING_TEXT_DEFINITION, ...TOKEN_COUNTS_DEFINITION };
      const evaluation = { ...evaluations[i], training_text: figures[i], token_counts, definitions };
      const write: Readonly<Record<string, () => Promise<void>>> = {
        [SAMPLES_FILE]: () => writeSamples(directory, groups, tallies[i], texts),
        [TRAINING_SAMPLES_FILE]: () => writeTrainingSamples(directory, groups, samples, texts),
        [FEATURES_FILE]: () => writeFeatures(directory, featureRows(groups, weights, tallies[i], tokenText)),
        [EVALUATION_FILE]: () => writeEvaluation(directory, { ...evaluation, ...losses && { loss: losses[i] } }),
        [TRANSCODER_FILE]: () => writeTranscoder(directory, transcoder),
      };
      for (const [name, make] of Object.entries(write)) if (toMake[i].includes(name)) await make();
    }
    await seal();
  } finally {
    await source.close();
  }
}

/** Loads the whole model, in the place of what training needed of it, and measures its loss on the held-out text. */
async function lossOf(
  gpu: Gpu,
  { settings, model, data, reading: first }: TrainingPlan,
  transcoders: readonly TrainedTranscoder[],
  observer: FinishObserver,
  signal?: AbortSignal,
): Promise<LossEvaluation[]> {
  const [{ config: { median_norms, round } }] = transcoders, own = { ...settings, median_norms };
  // What a sweep makes of a transcoder is what it would be without the others.
  const isApart = round !== undefined;
  const { context, precision, loss_tokens: tokens } = settings;
  using scope = openScope(gpu);
  const parts = lossModel(scope, configOf(model), own, transcoders.map(({ config }) => config));
  const decoder = await loadDecoder(scope, model, { ...parts, context, precision, onLoading: observer.loading });
  const text = { tokenizer: model, data, reading: rereading(first, "ask"), context };
  const source = await openTokenSource({ ...text, split: "test", seed: null, tokens });
  try {
    const onProgress = observer.measuringLoss;
    return await measureLoss({ gpu: scope, decoder, source, settings: own, transcoders, isApart, onProgress, signal });
  } finally {
    await source.close();
  }
}

/** A transcoder with what it is to be held against. */
async function withLinearMap(transcoder: TrainedTranscoder): Promise<PlacedTranscoder> {
  return { ...transcoder, linearMap: await readLinearMap(transcoder.directory, transcoder.config) };
}

/** Runs the transcoders over the training text, in another random order than training saw it, so that samples come from all over. */
async function sampleText(
  { settings, model, data, reading: first }: TrainingPlan,
  options: Omit<SampleOptions, "source">,
): Promise<Sampled & Pick<TokenSource, "documentName">> {
  const { context, data_seed } = settings, text = { tokenizer: model, data, reading: rereading(first, "ask"), context };
  const source = await openTokenSource({ ...text, split: "train", seed: data_seed + 1 });
  options.onProgress?.(0, options.tokens);
  try {
    const sampled = await collectSamples({ ...options, source });
    return { ...sampled, documentName: (document) => source.documentName(document) };
  } finally {
    await source.close();
  }
}

function interruption({ directory }: TrainingPlan): Interrupted {
  return new Interrupted({
    stopped: "after the last step, before the samples and the evaluation",
    remedy: `go on with: mtc train --resume ${directory}`,
  });
}
