/**
 * circuit-tracer's set of transcoders, one per layer of the model, as its 0.4 and 0.5 read it: config.yaml and layer_0.safetensors,
 * layer_1.safetensors, ...
 *
 * A layer's file holds W_enc [F, d], W_dec [F, d], b_enc [F], b_dec [d], activation_function.threshold [F], without which it would be taken for
 * one without thresholds, and W_skip [d, d] (output, input) with a skip connection. All layers have the same F.
 * @module
 */

import { basename, dirname, join } from "node:path";
import { writeFileAtomic } from "../../files/atomic.ts";
import { exists } from "../../files/exists.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../../files/safetensors.ts";
import { transposed } from "../../files/transposed.ts";
import { featureCount } from "../shape.ts";
import type { Transcoder } from "../weights.ts";
import { type ForeignTranscoder, type Layout, readLayout, shapeOf, unusableForeign } from "./layout.ts";
import { readSmallText } from "./small_json.ts";

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

const THRESHOLD = "activation_function.threshold";
const LAYOUT: Layout = {
  encoder: { name: "W_enc", axes: "features, input" },
  encoderBias: "b_enc",
  decoder: "W_dec",
  decoderBias: "b_dec",
  threshold: { name: THRESHOLD, isOptional: true },
  skip: { name: "W_skip", axes: "output, input" },
  // What a top-k of its own saves; what counts is what config.yaml says.
  ignored: ["k"],
};

/**
 * The layer that a file of a set is of.
 *
 * @param path The file.
 * @returns Its number; null for a file of another name.
 */
export function layerOfFile(path: string): number | null {
  const [, layer] = /^layer_(\d+)\.safetensors$/.exec(basename(path)) ?? [];
  return layer === undefined ? null : Number(layer);
}

/**
 * Opens a layer of a set. A file without thresholds is one of ReLU, as for circuit-tracer's own reader, unless config.yaml beside it asks for top-k.
 *
 * @param path The layer's file.
 * @returns It; its hooks are those of config.yaml, or null.
 * @throws {UserError} When a file is damaged, tensors are missing, too many or do not fit each other, a threshold is below 0, or config.yaml says
 * that it predicts several layers.
 */
export async function openCircuitTracer(path: string): Promise<ForeignTranscoder> {
  const place = join(dirname(path), CIRCUIT_TRACER_CONFIG);
  const config = await exists(place) ? scalarsOf(await readSmallText(place)) : {}, unusable = unusableForeign(path);
  const { model_kind = "transcoder_set", activation, k } = config;
  if (model_kind !== "transcoder_set") {
    throw unusable("config.yaml must describe a transcoder_set", `it is a ${model_kind}`);
  }
  const topK = activation === "topk" ? Number(k) : undefined;
  if (topK !== undefined && !(Number.isSafeInteger(topK) && topK > 0)) {
    throw unusable("with activation: topk config.yaml must give k", `it is ${k ?? "missing"}`);
  }
  const file = await openSafetensors(path);
  try {
    const shape = shapeOf(file, LAYOUT, unusable), features = featureCount(shape.groups);
    // A set that asks for an activation leaves the thresholds of its layers alone.
    const isJump = file.tensors.has(THRESHOLD) && activation !== "topk" && activation !== "relu";
    return {
      ...{ tool: "circuit-tracer", weightsPath: path, shape },
      ...topK === undefined
        ? { activation: isJump ? "jump-relu" : "relu" }
        : { activation: "top-k", topK: Math.min(topK, features) },
      ...{ source: config.feature_input_hook ?? null, target: config.feature_output_hook ?? null },
      ...{ layer: layerOfFile(path), model: config.model_name ?? null },
      remarks: isJump || activation !== undefined
        ? []
        : [`It has no ${THRESHOLD}: it is taken for one of plain ReLU, as circuit-tracer takes it without a word.`],
      async read() {
        const { weights, thresholds } = await readLayout(file, LAYOUT, shape, unusable);
        const below = isJump ? thresholds!.findIndex((threshold) => threshold < 0) : -1;
        if (below >= 0) {
          throw unusable(
            "no threshold may be below 0, where circuit-tracer lets negative activations through",
            `that of feature ${below} is ${thresholds![below]}`,
          );
        }
        const kept = isJump ? thresholds! : new Float32Array(features);
        return { shape, weights, thresholds: kept, ...topK !== undefined && { topK: Math.min(topK, features) } };
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The keys at the top of a YAML file that have a plain or quoted value in their own line; whatever else is in it is passed over. */
function scalarsOf(yaml: string): Record<string, string> {
  const pairs = yaml.split("\n").flatMap((line) => {
    const [, key, value] = /^([A-Za-z_]\w*):[ \t]+(.*?)(?:[ \t]+#.*)?\r?$/.exec(line) ?? [];
    if (key === undefined || value === "") return [];
    return [[key, /^(["']).*\1$/.test(value) ? value.slice(1, -1) : value] as const];
  });
  return Object.fromEntries(pairs);
}
