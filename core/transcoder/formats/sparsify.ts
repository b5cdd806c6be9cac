/**
 * sparsify's directory of a transcoder, as its 1.3 reads it: cfg.json and sae.safetensors with encoder.weight [F, d], encoder.bias [F], W_dec [F, d],
 * b_dec [d] and, with a skip connection, W_skip [d, d] (output, input). It knows one width, and no thresholds: of each token it keeps the k largest
 * activations.
 * @module
 */

import { basename, join, resolve } from "node:path";
import * as v from "valibot";
import { UserError } from "../../errors.ts";
import { writeFileAtomic } from "../../files/atomic.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../../files/safetensors.ts";
import { transposed } from "../../files/transposed.ts";
import { featureCount } from "../shape.ts";
import type { Transcoder } from "../weights.ts";
import { type ForeignTranscoder, type Layout, readLayout, requireSizes, shapeOf, unusableForeign } from "./layout.ts";
import { readSmallJson } from "./small_json.ts";

/** The names of the files. */
export const SPARSIFY_CONFIG = "cfg.json", SPARSIFY_WEIGHTS = "sae.safetensors";

/**
 * Writes the directory's files.
 *
 * @param directory The directory, which must exist.
 * @param transcoder The transcoder, for raw activations; its widths are equal. Its thresholds are not written.
 * @param k How many activations of each token are kept.
 * @throws {UserError} When the disk does not take them.
 */
export async function writeSparsify(directory: string, { shape, weights }: Transcoder, k: number): Promise<void> {
  const { d_in, d_out, groups } = shape, features = featureCount(groups), { skip } = weights;
  const tensor = (name: string, extents: readonly number[], data: Float32Array): TensorToWrite => ({
    name,
    dtype: "F32",
    shape: extents,
    data,
  });
  await writeSafetensors(join(directory, SPARSIFY_WEIGHTS), [
    tensor("W_dec", [features, d_out], weights.decoder),
    ...skip ? [tensor("W_skip", [d_out, d_in], transposed(skip, d_in, d_out))] : [],
    tensor("b_dec", [d_out], weights.decoderBias),
    tensor("encoder.bias", [features], weights.encoderBias),
    tensor("encoder.weight", [features, d_in], weights.encoder),
  ], { format: "pt" });
  const config = {
    activation: "topk",
    ...{ num_latents: features, k, d_in, skip_connection: skip !== undefined, transcode: true },
    normalize_decoder: false,
  };
  await writeFileAtomic(join(directory, SPARSIFY_CONFIG), JSON.stringify(config, null, 2) + "\n");
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const schema = v.object({
  activation: v.optional(v.string(), "topk"),
  k: count,
  ...{ d_in: v.optional(count), num_latents: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0))) },
  transcode: v.optional(v.boolean(), false),
  skip_connection: v.optional(v.boolean(), false),
});

/**
 * Opens a transcoder of sparsify. Its directory is called by the module whose input it reads and whose output it predicts, `layers.17.mlp`.
 *
 * @param directory The directory with cfg.json and sae.safetensors.
 * @returns It.
 * @throws {UserError} When a file is missing or damaged, tensors are missing, too many or do not fit each other, or it is an autoencoder or keeps
 * its activations in another way.
 */
export async function openSparsify(directory: string): Promise<ForeignTranscoder> {
  const config = await readSmallJson(join(directory, SPARSIFY_CONFIG), v.safeParser(schema));
  const { activation, k, transcode, skip_connection } = config;
  const refuse = (requirement: string, found: string) =>
    new UserError({ action: `import ${directory}`, requirement, found, remedy: "choose another one" });
  if (!transcode) throw refuse(`transcode must be true in its ${SPARSIFY_CONFIG}`, "it is not: this is an autoencoder");
  if (activation !== "topk") throw refuse('its activation must be "topk"', `it is "${activation}"`);
  const file = await openSafetensors(join(directory, SPARSIFY_WEIGHTS)), unusable = unusableForeign(file.path);
  const layout: Layout = {
    encoder: { name: "encoder.weight", axes: "features, input" },
    encoderBias: "encoder.bias",
    decoder: "W_dec",
    decoderBias: "b_dec",
    threshold: null,
    skip: skip_connection ? { name: "W_skip", axes: "output, input" } : null,
  };
  try {
    const shape = shapeOf(file, layout, unusable), features = featureCount(shape.groups), topK = Math.min(k, features);
    // Zero stands for a multiple of the width.
    requireSizes(unusableForeign(directory), config, {
      d_in: shape.d_in,
      ...config.num_latents !== 0 && { num_latents: features },
    });
    const hookpoint = basename(resolve(directory)),
      layer = /(?:^|\.)(?:layers|h|blocks)\.(\d+)(?:\.|$)/.exec(hookpoint);
    return {
      ...{ tool: "sparsify", weightsPath: file.path, shape, activation: "top-k", topK },
      ...{ source: layer && `${hookpoint}.input`, target: layer && `${hookpoint}.output` },
      ...{ layer: layer && Number(layer[1]), model: null, remarks: [] },
      async read() {
        const { weights } = await readLayout(file, layout, shape, unusable);
        return { shape, weights, thresholds: new Float32Array(features), topK };
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}
