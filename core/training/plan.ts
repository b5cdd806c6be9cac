/**
 * What training and what follows it share: the plan of a run, and a layer under way.
 * @module
 */

import { join } from "node:path";
import { SampleStore } from "../analysis/samples.ts";
import type { ModelFiles } from "../model/files.ts";
import { type Tap, tapName } from "../model/sites.ts";
import { createTensor, type Gpu } from "../gpu/device.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { DataPaths } from "../text/documents.ts";
import type { TokenSource } from "../text/source.ts";
import { featureCount, type TranscoderShape } from "../transcoder/shape.ts";
import type { LayerConfig, Mapping, MeasuredConfig, RunSettings } from "../runs/config.ts";
import { createTrainingState, readWeights } from "./state.ts";
import type { TranscoderWeights } from "../transcoder/weights.ts";
import { Stepper } from "./step.ts";
import { foldScales, type Transcoder } from "../transcoder/weights.ts";

/** What a run needs to know before it starts. */
export interface TrainingPlan {
  /** The run's directory, runs/<name>. */
  readonly directory: string;
  /** Settings of all layers. */
  readonly settings: RunSettings;
  /** One transcoder each, by ascending layer. */
  readonly mappings: readonly Mapping[];
  /** The opened model. */
  readonly model: ModelFiles;
  /** The text. */
  readonly data: DataPaths;
  /** What config.json says beyond settings and mapping. */
  readonly describe: (
    mapping: Mapping,
    source: TokenSource,
  ) => Omit<LayerConfig, keyof RunSettings | keyof Mapping | keyof MeasuredConfig>;
  /** The layers' config.json files when the run is resumed, in the order of `mappings`. */
  readonly resumed: readonly LayerConfig[] | null;
}

/** A transcoder in training with its directory and its samples. */
export interface LayerRun {
  /** runs/<name>/layer<N>. */
  readonly directory: string;
  /** Its config.json. */
  readonly config: LayerConfig;
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

/**
 * The distinct taps of some mappings.
 *
 * @param mappings The transcoders.
 * @returns Sources and targets, each once.
 */
export function tapsOf(mappings: readonly Mapping[]): Tap[] {
  const taps = mappings.flatMap(({ source, target }) => [source, target]);
  return [...new Map(taps.map((tap) => [tapName(tap), tap])).values()];
}

/**
 * Where a layer's files lie.
 *
 * @param run The run's directory.
 * @param layer The layer.
 * @returns runs/<name>/layer<N>.
 */
export function layerDirectory(run: string, layer: number): string {
  return join(run, `layer${layer}`);
}

/**
 * Allocates all that a transcoder in training holds, on the GPU and on the host.
 *
 * @param gpu The device.
 * @param run The run's directory.
 * @param settings The run's settings.
 * @param config The layer's sizes, and what else its config.json says.
 * @param weights What it starts from, in scaled space.
 * @returns The layer, before its first step.
 */
export function createLayer(
  gpu: Gpu,
  run: string,
  settings: RunSettings,
  config: LayerConfig,
  weights: TranscoderWeights,
): LayerRun {
  const { d_in, d_out, groups } = config, shape = { d_in, d_out, groups };
  return {
    directory: layerDirectory(run, config.layer),
    config,
    shape,
    stepper: new Stepper(gpu, settings, shape, createTrainingState(gpu, shape, weights)),
    samples: new SampleStore(featureCount(groups), settings.samples_per_feature),
    x: createTensor(gpu, "batch source", [settings.batch_tokens, d_in]),
    y: createTensor(gpu, "batch target", [settings.batch_tokens, d_out]),
  };
}

/**
 * A layer's transcoder as it is now, for raw activations.
 *
 * @param gpu The device.
 * @param layer The layer.
 * @returns Its weights with the training scales folded in, and its running threshold for each feature.
 */
export async function finishedTranscoder(gpu: Gpu, { shape, stepper, config }: LayerRun): Promise<Transcoder> {
  const { weights, thresholds } = await readWeights(gpu, shape, stepper.state);
  return { shape, weights: foldScales(weights, config.scales), thresholds };
}
