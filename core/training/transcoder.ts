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
import { foldScales, type Transcoder, type TranscoderWeights } from "../transcoder/weights.ts";
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
  /** Scaled source of the current batch. */
  readonly x: Tensor;
  /** Scaled target of the current batch. */
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
 * @param settings The run's settings.
 * @param sizes The transcoder's sizes.
 * @param weights What it starts from, in scaled space.
 * @returns The transcoder, before its first step.
 */
export function allocateTranscoder(
  gpu: Gpu,
  settings: RunSettings,
  { d_in, d_out, groups }: TranscoderShape,
  weights: TranscoderWeights,
): TrainedParts {
  const shape = { d_in, d_out, groups };
  return {
    shape,
    stepper: new Stepper(gpu, settings, shape, createTrainingState(gpu, shape, weights)),
    samples: new SampleStore(featureCount(groups), settings.samples_per_feature),
    x: createTensor(gpu, "batch source", [settings.batch_tokens, d_in]),
    y: createTensor(gpu, "batch target", [settings.batch_tokens, d_out]),
  };
}

/**
 * A transcoder for raw activations.
 *
 * @param shape Its sizes.
 * @param config Its config.json, with the training scales.
 * @param scaled Weights and thresholds in scaled space.
 * @returns The scales folded in.
 */
export function folded(
  { d_in, d_out, groups }: TranscoderShape,
  { scales }: Pick<TranscoderConfig, "scales">,
  { weights, thresholds }: Pick<Transcoder, "weights" | "thresholds">,
): Transcoder {
  return { shape: { d_in, d_out, groups }, weights: foldScales(weights, scales), thresholds };
}

/**
 * A transcoder in training as it is now, for raw activations.
 *
 * @param gpu The device.
 * @param transcoder The transcoder.
 * @returns Its weights with the training scales folded in, and its running threshold for each feature.
 */
export async function finishedTranscoder(
  gpu: Gpu,
  { shape, stepper, config }: TranscoderInTraining,
): Promise<Transcoder> {
  return folded(shape, config, await readWeights(gpu, shape, stepper.state));
}
