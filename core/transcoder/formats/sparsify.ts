/**
 * sparsify's directory of a transcoder, as its 1.3 reads it: cfg.json and sae.safetensors with encoder.weight [F, d], encoder.bias [F], W_dec [F, d],
 * b_dec [d] and, with a skip connection, W_skip [d, d] (output, input). It knows one width, and no thresholds: of each token it keeps the k largest
 * activations.
 * @module
 */

import { join } from "node:path";
import { writeFileAtomic } from "../../files/atomic.ts";
import { type TensorToWrite, writeSafetensors } from "../../files/safetensors.ts";
import { featureCount } from "../shape.ts";
import type { Transcoder } from "../weights.ts";
import { transposed } from "./native.ts";

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
