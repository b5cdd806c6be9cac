/**
 * SAELens' directory of a transcoder, as its 6.54 reads it: cfg.json and sae_weights.safetensors, whose tensors are those of mtc's own file,
 * and sparsity.safetensors where it is known how often features fire.
 *
 * Two keys of cfg.json must be there although nothing is said where they are not: `sae_lens_version` of 6 at least, without which all metadata is
 * dropped, and `hook_name_out`, without which the output is put in where the input is read.
 * @module
 */

import { join } from "node:path";
import { writeFileAtomic } from "../../files/atomic.ts";
import { writeSafetensors } from "../../files/safetensors.ts";
import { featureCount } from "../shape.ts";
import type { Transcoder } from "../weights.ts";
import { saveTranscoder } from "./native.ts";

/** The names of the files. */
export const SAELENS_CONFIG = "cfg.json", SAELENS_WEIGHTS = "sae_weights.safetensors";
/** log10 of how often each feature fires; optional. */
export const SAELENS_SPARSITY = "sparsity.safetensors";

/** The version of SAELens whose format is written. */
const VERSION = "6.54.12";

/** What cfg.json says of a transcoder beside its sizes. */
export interface SaelensMetadata {
  /** The language model's name, as TransformerLens knows it: `gemma-2-2b`. */
  readonly model_name: string;
  /** Where it reads: `blocks.17.hook_resid_mid`. */
  readonly hook_name: string;
  /** What it predicts: `blocks.17.hook_mlp_out`. */
  readonly hook_name_out: string;
  /** Whether contexts begin with BOS. */
  readonly prepend_bos: boolean;
  /** Tokens per context, BOS included. */
  readonly context_size: number;
  /** The text that it was trained on. */
  readonly dataset_path: string;
  /** Further keys; SAELens keeps what it does not know. */
  readonly [key: string]: unknown;
}

/**
 * Writes the directory's files.
 *
 * @param directory The directory, which must exist.
 * @param transcoder The transcoder, for the raw activations of the hook that `metadata` names.
 * @param metadata What is known of it.
 * @param densities [features] the share of tokens on which each feature fires; left out where it is not known.
 * @throws {UserError} When the disk does not take them.
 */
export async function writeSaelens(
  directory: string,
  transcoder: Transcoder,
  metadata: SaelensMetadata,
  densities?: ArrayLike<number>,
): Promise<void> {
  const { d_in, d_out, groups, skip } = transcoder.shape, features = featureCount(groups);
  await saveTranscoder(join(directory, SAELENS_WEIGHTS), transcoder, { format: "pt" });
  if (densities) {
    // A feature that never fired has no logarithm; SAELens' own files have 1e-10 added.
    const data = Float32Array.from(densities, (density) => Math.log10(density + 1e-10));
    await writeSafetensors(
      join(directory, SAELENS_SPARSITY),
      [{ name: "sparsity", dtype: "F32", shape: [features], data }],
      { format: "pt" },
    );
  }
  const config = {
    architecture: skip ? "jumprelu_skip_transcoder" : "jumprelu_transcoder",
    ...{ d_in, d_sae: features, d_out, dtype: "float32", device: "cpu" },
    apply_b_dec_to_input: false,
    ...{ normalize_activations: "none", reshape_activations: "none" },
    metadata: { sae_lens_version: VERSION, sae_lens_training_version: null, ...metadata },
  };
  await writeFileAtomic(join(directory, SAELENS_CONFIG), JSON.stringify(config, null, 2) + "\n");
}
