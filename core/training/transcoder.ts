/**
 * A transcoder under way: what it holds while it is trained, and what it is once that is done.
 * @module
 */

import { SampleStore } from "../analysis/samples.ts";
import { createTensor, type Gpu } from "../gpu/device.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { TranscoderConfig } from "../runs/config.ts";
import type { RunSettings } from "../runs/settings.ts";
import { featureCount, type TranscoderShape } from "../transcoder/shape.ts";
import { foldPreparation, type Preparation, type Transcoder, type TranscoderWeights } from "../transcoder/weights.ts";
import { type PreparationTensors, uploadPreparation } from "./prepared.ts";
import type { Lineage } from "./recipe.ts";
import { createTrainingState, readWeights } from "./state.ts";
import { Stepper } from "./step.ts";

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
 * Allocates all that a transcoder in training holds.
 *
 * @param gpu The device.
 * @param settings All of its settings.
 * @param sizes The transcoder's sizes.
 * @param preparation How its activations are prepared.
 * @param weights What it starts from, for prepared activations.
 * @returns The transcoder, before its first step.
 */
export function allocateTranscoder(
  gpu: Gpu,
  settings: RunSettings & Lineage,
  { d_in, d_out, groups, skip }: TranscoderShape,
  preparation: Preparation,
  weights: TranscoderWeights,
): TrainedParts {
  const shape = { d_in, d_out, groups, ...skip && { skip } };
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
  shape: TranscoderShape,
  preparation: Preparation,
  { weights, thresholds }: Pick<Transcoder, "weights" | "thresholds">,
): Transcoder {
  return { shape, weights: foldPreparation(weights, preparation), thresholds };
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
