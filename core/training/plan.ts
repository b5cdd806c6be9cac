/**
 * What training and what follows it share: the plan of a run, and a transcoder under way.
 * @module
 */

import { join } from "node:path";
import { SampleStore } from "../analysis/samples.ts";
import type { ModelFiles } from "../model/files.ts";
import { createTensor, type Gpu } from "../gpu/device.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { DataPaths } from "../text/documents.ts";
import type { TextSummary } from "../text/summary.ts";
import { featureCount, type TranscoderShape } from "../transcoder/shape.ts";
import type { TranscoderConfig, TranscoderDescription } from "../runs/config.ts";
import type { Mapping } from "../runs/ids.ts";
import type { RunSettings } from "../runs/settings.ts";
import { createTrainingState, readWeights } from "./state.ts";
import { Stepper } from "./step.ts";
import { foldPreparation, type Preparation, type Transcoder, type TranscoderWeights } from "../transcoder/weights.ts";
import { type PreparationTensors, uploadPreparation } from "./prepared.ts";

/** What a run needs to know before it starts. */
export interface TrainingPlan {
  /** The run's directory, runs/<name>. */
  readonly directory: string;
  /** Settings of all transcoders. */
  readonly settings: RunSettings;
  /** What each transcoder maps. */
  readonly mappings: readonly Mapping[];
  /** The directory of each transcoder in the run's, in the order of `mappings`. */
  readonly names: readonly string[];
  /** The opened model. */
  readonly model: ModelFiles;
  /** The text. */
  readonly data: DataPaths;
  /** What config.json says beyond settings, mapping and measurements. */
  readonly describe: (mapping: Mapping, text: TextSummary) => TranscoderDescription;
  /** The transcoders' config.json files when the run is resumed, in the order of `mappings`. */
  readonly resumed: readonly TranscoderConfig[] | null;
}

/** All that a transcoder in training holds, on the GPU and on the host. */
export interface TrainedParts {
  /** Its sizes. */
  readonly shape: TranscoderShape;
  /** Its steps. */
  readonly stepper: Stepper;
  /** Samples of the training batches, with their steps. */
  readonly samples: SampleStore;
  /** How its activations are prepared. */
  readonly preparation: Preparation;
  /** The same on the GPU. */
  readonly columns: PreparationTensors;
  /** Prepared source of the current batch. */
  readonly x: Tensor;
  /** Prepared target of the current batch. */
  readonly y: Tensor;
}

/** A transcoder in training. */
export interface TranscoderInTraining extends TrainedParts {
  /** Where its files lie, for example runs/<name>/layer17. */
  readonly directory: string;
  /** Its config.json. */
  readonly config: TranscoderConfig;
}

/** A transcoder after its last step, in host memory. */
export interface TrainedTranscoder {
  /** Where its files lie. */
  readonly directory: string;
  /** Its config.json. */
  readonly config: TranscoderConfig;
  /** Samples of the training batches, with their steps. */
  readonly samples: SampleStore;
  /** Its weights for raw activations. */
  readonly transcoder: Transcoder;
}

/**
 * Where the transcoders' files lie.
 *
 * @param plan The run.
 * @returns A directory for each, in the order of the mappings.
 */
export function directoriesOf({ directory, names }: Pick<TrainingPlan, "directory" | "names">): string[] {
  return names.map((name) => join(directory, name));
}

/**
 * Allocates all that a transcoder in training holds.
 *
 * @param gpu The device.
 * @param settings The run's settings.
 * @param sizes The transcoder's sizes.
 * @param preparation How its activations are prepared.
 * @param weights What it starts from, for prepared activations.
 * @returns The transcoder, before its first step.
 */
export function allocateTranscoder(
  gpu: Gpu,
  settings: RunSettings,
  { d_in, d_out, groups }: TranscoderShape,
  preparation: Preparation,
  weights: TranscoderWeights,
): TrainedParts {
  const shape = { d_in, d_out, groups };
  return {
    shape,
    stepper: new Stepper(gpu, settings, shape, createTrainingState(gpu, shape, weights)),
    samples: new SampleStore(featureCount(groups), settings.samples_per_feature),
    preparation,
    columns: uploadPreparation(gpu, preparation),
    x: createTensor(gpu, "batch source", [settings.batch_tokens, d_in]),
    y: createTensor(gpu, "batch target", [settings.batch_tokens, d_out]),
  };
}

/**
 * A transcoder for raw activations.
 *
 * @param shape Its sizes.
 * @param preparation How its activations were prepared.
 * @param prepared Weights and thresholds for prepared activations.
 * @returns The preparation folded in.
 */
export function folded(
  { d_in, d_out, groups }: TranscoderShape,
  preparation: Preparation,
  { weights, thresholds }: Pick<Transcoder, "weights" | "thresholds">,
): Transcoder {
  return { shape: { d_in, d_out, groups }, weights: foldPreparation(weights, preparation), thresholds };
}

/**
 * A transcoder in training as it is now, for raw activations.
 *
 * @param gpu The device.
 * @param transcoder The transcoder.
 * @returns Its weights with the preparation folded in, and its running threshold for each feature.
 */
export async function finishedTranscoder(
  gpu: Gpu,
  { shape, stepper, preparation }: TranscoderInTraining,
): Promise<Transcoder> {
  return folded(shape, preparation, await readWeights(gpu, shape, stepper.state));
}
