/**
 * What training and what follows it share: the plan of a run, and a layer under way.
 * @module
 */

import { join } from "node:path";
import type { SampleStore } from "../analysis/samples.ts";
import type { ModelFiles } from "../gemma2/files.ts";
import { type Tap, tapName } from "../gemma2/sites.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { DataPaths } from "../text/documents.ts";
import type { TokenSource } from "../text/source.ts";
import type { TranscoderShape } from "./recipe.ts";
import type { LayerConfig, Mapping, RunSettings } from "./run_settings.ts";
import { readWeights } from "./state.ts";
import type { Stepper } from "./step.ts";
import { foldScales, type Transcoder } from "./weights.ts";

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
    layer: number,
    source: TokenSource,
  ) => Omit<LayerConfig, keyof RunSettings | keyof Mapping | "scales">;
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

/** Tokens per forward pass: few on CPUs, so that they stay in their caches, more on GPUs, so that they fill their units. */
const FORWARD_TOKENS = { cpu: 2048, gpu: 16384 };

/**
 * How many contexts go through the model at once.
 *
 * @param gpu The device.
 * @param context Tokens per context.
 * @returns At least 1.
 */
export function contextsPerForward(gpu: Gpu, context: number): number {
  return Math.max(1, Math.floor((gpu.isCpu ? FORWARD_TOKENS.cpu : FORWARD_TOKENS.gpu) / context));
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
 * A layer's transcoder as it is now, for raw activations.
 *
 * @param gpu The device.
 * @param layer The layer.
 * @returns Its weights with the training scales folded in, and its running threshold.
 */
export async function finishedTranscoder(gpu: Gpu, { shape, stepper, config }: LayerRun): Promise<Transcoder> {
  const { weights, threshold } = await readWeights(gpu, shape, stepper.state);
  return { shape, weights: foldScales(weights, config.scales), threshold };
}
