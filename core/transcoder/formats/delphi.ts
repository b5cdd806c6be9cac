/**
 * delphi's cache of a hookpoint, as its 0.1.3 reads it: `FIRST_LAST.safetensors` for some features each, with locations [n, 3] (context, position,
 * feature - FIRST), activations [n] in float16 and tokens [contexts, context], and config.json.
 * @module
 */

import { join } from "node:path";
import { writeFileAtomic } from "../../files/atomic.ts";
import { writeSafetensors } from "../../files/safetensors.ts";

/** Features of a file. */
const FEATURES_PER_FILE = 1024;
/** The largest float16: what is larger would be infinite. */
const LARGEST = 65504;

/** The firings of a feature, in the order of the text. */
export interface CachedFirings {
  /** Their contexts, */
  readonly context: ArrayLike<number>;
  /** places in them, */
  readonly position: ArrayLike<number>;
  /** and activations. */
  readonly activation: ArrayLike<number>;
}

/** What is cached. */
export interface DelphiCache {
  /** [contexts, context] the ids of all tokens. */
  readonly tokens: Uint32Array;
  /** Tokens of a context. */
  readonly context: number;
  /** How many features there are. */
  readonly features: number;
  /** The firings of a feature. */
  readonly firings: (feature: number) => CachedFirings;
  /** The model, whose tokenizer delphi loads: a directory, or its name on the hub. */
  readonly modelName: string;
  /** What the text is called. */
  readonly dataset: string;
}

/**
 * Writes a hookpoint's directory.
 *
 * @param directory The directory, which must exist.
 * @param cache What it holds.
 * @throws {UserError} When the disk does not take it.
 */
export async function writeDelphi(directory: string, cache: DelphiCache): Promise<void> {
  const { tokens, context, features, firings, modelName, dataset } = cache, contexts = tokens.length / context;
  for (let first = 0; first < features; first += FEATURES_PER_FILE) {
    const end = Math.min(features, first + FEATURES_PER_FILE);
    const parts = Array.from({ length: end - first }, (_, i) => firings(first + i));
    const count = parts.reduce((sum, { activation }) => sum + activation.length, 0);
    const locations = new Uint32Array(3 * count), activations = new Float16Array(count);
    let at = 0;
    parts.forEach((part, feature) => {
      for (let i = 0; i < part.activation.length; i++, at++) {
        locations.set([part.context[i], part.position[i], feature], 3 * at);
        activations[at] = Math.min(LARGEST, part.activation[i]);
      }
    });
    await writeSafetensors(join(directory, `${first}_${end - 1}.safetensors`), [
      { name: "tokens", dtype: "U32", shape: [contexts, context], data: tokens },
      { name: "locations", dtype: "U32", shape: [count, 3], data: locations },
      { name: "activations", dtype: "F16", shape: [count], data: activations },
    ], { format: "pt" });
  }
  const config = {
    ...{ dataset_repo: dataset, dataset_split: "train", dataset_name: "", dataset_column: "text" },
    ...{ batch_size: contexts, cache_ctx_len: context, ctx_len: context, n_tokens: tokens.length },
    ...{ n_splits: Math.ceil(features / FEATURES_PER_FILE), model_name: modelName },
  };
  await writeFileAtomic(join(directory, "config.json"), JSON.stringify(config, null, 2) + "\n");
}
