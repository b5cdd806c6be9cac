/**
 * circuit-tracer's set of transcoders, one per layer of the model, as its 0.4 and 0.5 read it: config.yaml and layer_0.safetensors,
 * layer_1.safetensors, ...
 *
 * A layer's file holds W_enc [F, d], W_dec [F, d], b_enc [F], b_dec [d], activation_function.threshold [F], without which it would be taken for
 * one without thresholds, and W_skip [d, d] (output, input) with a skip connection. All layers have the same F.
 * @module
 */

import { join } from "node:path";
import { writeFileAtomic } from "../../files/atomic.ts";
import { type TensorToWrite, writeSafetensors } from "../../files/safetensors.ts";
import { featureCount } from "../shape.ts";
import type { Transcoder } from "../weights.ts";
import { transposed } from "./native.ts";

/** The name of the set's file. */
export const CIRCUIT_TRACER_CONFIG = "config.yaml";

/**
 * The name of a layer's file.
 *
 * @param layer The layer.
 * @returns For example `layer_17.safetensors`.
 */
export function circuitTracerLayer(layer: number): string {
  return `layer_${layer}.safetensors`;
}

/** What config.yaml says. */
export interface CircuitTracerConfig {
  /** The model, by its name on the hub or in TransformerLens: `google/gemma-2-2b`. */
  readonly model_name: string;
  /** Where transcoders read in their layer: `hook_resid_mid` or `ln2.hook_normalized`. */
  readonly feature_input_hook: string;
  /** What they predict: `hook_mlp_out`. */
  readonly feature_output_hook: string;
  /** Where its feature files are looked for: an absolute path, as otherwise they are asked of Hugging Face. */
  readonly scan: string;
}

/**
 * Writes config.yaml. It names no files: the layers' are found by their names, in a directory and on the hub.
 *
 * @param directory The set's directory, which must exist.
 * @param config What it says.
 * @throws {UserError} When the disk does not take it.
 */
export function writeCircuitTracerConfig(directory: string, config: CircuitTracerConfig): Promise<void> {
  // JSON's strings are YAML's.
  const lines = Object.entries({ ...config, model_kind: "transcoder_set" }).map(([key, value]) =>
    `${key}: ${JSON.stringify(value)}\n`
  );
  return writeFileAtomic(join(directory, CIRCUIT_TRACER_CONFIG), lines.join(""));
}

/**
 * Writes a layer's file.
 *
 * @param directory The set's directory, which must exist.
 * @param layer The layer.
 * @param transcoder The transcoder, for raw activations; both of its widths are the model's.
 * @throws {UserError} When the disk does not take it.
 */
export async function writeCircuitTracerLayer(
  directory: string,
  layer: number,
  { shape, weights, thresholds }: Transcoder,
): Promise<void> {
  const { d_in, d_out, groups } = shape, features = featureCount(groups), { skip } = weights;
  await writeLayer(directory, layer, [
    tensor("W_enc", [features, d_in], weights.encoder),
    tensor("W_dec", [features, d_out], weights.decoder),
    tensor("b_enc", [features], weights.encoderBias),
    tensor("b_dec", [d_out], weights.decoderBias),
    // Its activation has no relu of its own: what is above a threshold below 0 would come through.
    tensor("activation_function.threshold", [features], thresholds.map((threshold) => Math.max(0, threshold))),
    ...skip ? [tensor("W_skip", [d_out, d_in], transposed(skip, d_in, d_out))] : [],
  ]);
}

/**
 * Writes the file of a layer that has no transcoder: no feature ever fires, and the MLP's output is an error as a whole.
 *
 * @param directory The set's directory, which must exist.
 * @param layer The layer.
 * @param width The model's width, d.
 * @param features As many as other layers have, F.
 * @param skip Whether other layers have a skip connection.
 * @throws {UserError} When the disk does not take it.
 */
export async function writeEmptyLayer(
  directory: string,
  layer: number,
  width: number,
  features: number,
  skip = false,
): Promise<void> {
  await writeLayer(directory, layer, [
    tensor("W_enc", [features, width], zeros(features, width)),
    tensor("W_dec", [features, width], zeros(features, width)),
    tensor("b_enc", [features], new Float32Array(features).fill(-1)),
    tensor("b_dec", [width], new Float32Array(width)),
    tensor("activation_function.threshold", [features], new Float32Array(features)),
    ...skip ? [tensor("W_skip", [width, width], zeros(width, width))] : [],
  ]);
}

function* zeros(rows: number, width: number): Generator<Float32Array> {
  const row = new Float32Array(width);
  for (let r = 0; r < rows; r++) yield row;
}

function tensor(name: string, shape: readonly number[], data: TensorToWrite["data"]): TensorToWrite {
  return { name, dtype: "F32", shape, data };
}

function writeLayer(directory: string, layer: number, tensors: readonly TensorToWrite[]): Promise<void> {
  return writeSafetensors(join(directory, circuitTracerLayer(layer)), tensors, { format: "pt" });
}
