/**
 * SAELens' directory of a transcoder, as its 6.54 reads it: cfg.json and sae_weights.safetensors, whose tensors are those of mtc's own file,
 * and sparsity.safetensors where it is known how often features fire.
 *
 * Two keys of cfg.json must be there although nothing is said where they are not: `sae_lens_version` of 6 at least, without which all metadata is
 * dropped, and `hook_name_out`, without which the output is put in where the input is read.
 * @module
 */

import { join } from "node:path";
import * as v from "valibot";
import { MOST_GROUPS } from "../../../wgsl/transcoder/step.ts";
import { UserError } from "../../errors.ts";
import { writeFileAtomic } from "../../files/atomic.ts";
import { openSafetensors, writeSafetensors } from "../../files/safetensors.ts";
import { featureCount } from "../shape.ts";
import type { Transcoder } from "../weights.ts";
import { type ForeignTranscoder, type Layout, readLayout, requireSizes, shapeOf, unusableForeign } from "./layout.ts";
import { saveTranscoder } from "./native.ts";
import { readSmallJson } from "./small_json.ts";

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

/** What is read of cfg.json; older versions have the hooks beside the sizes. */
const Hooks = {
  hook_name: v.optional(v.string()),
  hook_name_out: v.optional(v.string()),
  model_name: v.optional(v.string()),
};
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const schema = v.object({
  ...Hooks,
  architecture: v.string(),
  apply_b_dec_to_input: v.optional(v.boolean(), false),
  normalize_activations: v.optional(v.string(), "none"),
  reshape_activations: v.optional(v.string(), "none"),
  ...{ d_in: v.optional(count), d_sae: v.optional(count), d_out: v.optional(count) },
  activation_fn: v.optional(v.string(), "relu"),
  metadata: v.optional(v.object({ ...Hooks, matryoshka_widths: v.optional(v.array(count)) }), {}),
});

/** The kinds that are transcoders, and whether their features have thresholds. */
const ARCHITECTURES: Readonly<Record<string, { readonly isJump: boolean; readonly skip: boolean }>> = {
  jumprelu_transcoder: { isJump: true, skip: false },
  jumprelu_skip_transcoder: { isJump: true, skip: true },
  transcoder: { isJump: false, skip: false },
  skip_transcoder: { isJump: false, skip: true },
};

/**
 * Opens a transcoder of SAELens.
 *
 * @param directory The directory with cfg.json and sae_weights.safetensors.
 * @returns It.
 * @throws {UserError} When a file is missing or damaged, tensors are missing, too many or do not fit each other, or it is another kind of thing or
 * prepares its activations in a way that mtc does not.
 */
export async function openSaelens(directory: string): Promise<ForeignTranscoder> {
  const config = await readSmallJson(join(directory, SAELENS_CONFIG), v.safeParser(schema));
  const { architecture, apply_b_dec_to_input, normalize_activations, reshape_activations, activation_fn, metadata } =
    config;
  const refuse = (requirement: string, found: string, remedy = "export it as one of these") =>
    new UserError({ action: `import ${directory}`, requirement, found, remedy });
  const kind = Object.hasOwn(ARCHITECTURES, architecture) ? ARCHITECTURES[architecture] : undefined;
  if (kind === undefined) {
    throw refuse(`its architecture must be one of ${Object.keys(ARCHITECTURES).join(", ")}`, `it is "${architecture}"`);
  }
  if (apply_b_dec_to_input) throw refuse("apply_b_dec_to_input must be false", "it is true, as of an autoencoder");
  if (activation_fn !== "relu") throw refuse('its activation_fn must be "relu"', `it is "${activation_fn}"`);
  if (normalize_activations !== "none") {
    const remedy = "fold the scaling into its weights and export it again";
    throw refuse('normalize_activations must be "none"', `it is "${normalize_activations}"`, remedy);
  }
  if (reshape_activations !== "none") {
    throw refuse('reshape_activations must be "none"', `it is "${reshape_activations}", as of attention's heads`);
  }
  const file = await openSafetensors(join(directory, SAELENS_WEIGHTS)), unusable = unusableForeign(file.path);
  const layout: Layout = {
    encoder: { name: "W_enc", axes: "input, features" },
    encoderBias: "b_enc",
    decoder: "W_dec",
    decoderBias: "b_dec",
    threshold: kind.isJump ? { name: "threshold" } : null,
    skip: kind.skip ? { name: "W_skip", axes: "output, input" } : null,
  };
  try {
    const found = shapeOf(file, layout, unusable), features = featureCount(found.groups);
    requireSizes(unusableForeign(directory), config, { d_in: found.d_in, d_sae: features, d_out: found.d_out });
    const shape = { ...found, groups: groupsOf(metadata.matryoshka_widths ?? [features], features, refuse) };
    return {
      tool: "saelens",
      weightsPath: file.path,
      ...{ shape, activation: kind.isJump ? "jump-relu" : "relu" },
      source: metadata.hook_name ?? config.hook_name ?? null,
      target: metadata.hook_name_out ?? config.hook_name_out ?? null,
      ...{ layer: null, model: metadata.model_name ?? config.model_name ?? null, remarks: [] },
      async read() {
        const { weights, thresholds } = await readLayout(file, layout, shape, unusable);
        return { shape, weights, thresholds: thresholds ?? new Float32Array(features) };
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Groups by the ends of the prefixes. */
function groupsOf(
  widths: readonly number[],
  features: number,
  refuse: (requirement: string, found: string) => UserError,
): number[] {
  const groups = widths.map((width, i) => width - (widths[i - 1] ?? 0));
  if (groups.length > MOST_GROUPS) {
    throw refuse(`it may have up to ${MOST_GROUPS} matryoshka_widths`, `it has ${groups.length}`);
  }
  if (widths.at(-1) === features && groups.every((size) => size > 0)) return groups;
  throw refuse(`its matryoshka_widths must rise to its ${features} features`, `they are ${widths.join(", ")}`);
}
