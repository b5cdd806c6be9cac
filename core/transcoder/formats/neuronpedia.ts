/**
 * Neuronpedia's upload batches: what its API takes at `POST /api/feature/upload-batch`, and its Python client (1.2) sends there, at most 128 features
 * at a time.
 * @module
 */

import { join } from "node:path";
import { writeFileAtomic } from "../../files/atomic.ts";

/** The most features of a batch, tokens of an activation, and logits at either end. */
export const MOST_FEATURES = 128, MOST_TOKENS = 1024, MOST_LOGITS = 20;

/** A token and what it is raised by. */
export interface UploadedLogit {
  /** Its text. */
  readonly token: string;
  /** By how much. */
  readonly value: number;
}

/** A text with a feature's activations on it. */
export interface UploadedActivation {
  /** The text of each token. */
  readonly tokens: readonly string[];
  /** The activation on each. */
  readonly values: readonly number[];
  /** The least and the largest activation of the quantile that it is an example of; null for the strongest of all. */
  readonly quantileMin: number | null;
  /** See {@link quantileMin}. */
  readonly quantileMax: number | null;
  /** Share of the feature's firings in that quantile; likewise. */
  readonly quantileFraction: number | null;
}

/** A feature. */
export interface UploadedFeature {
  /** Its index. */
  readonly index: number;
  /** Share of tokens that it fires on. */
  readonly density: number;
  /** Examples, the strongest first. */
  readonly activations: readonly UploadedActivation[];
  /** What language models have said of it: none, as mtc asks none. */
  readonly explanations: readonly never[];
  /** Tokens that it raises most, */
  readonly topLogits: readonly UploadedLogit[];
  /** and lowers most. */
  readonly bottomLogits: readonly UploadedLogit[];
}

/**
 * Writes the batches of a transcoder: batch-0.json, batch-1.json, ...
 *
 * @param directory The directory, which must exist.
 * @param modelId What Neuronpedia calls the language model.
 * @param source What it calls the transcoder: `17-mtc`.
 * @param features Its features.
 * @returns How many batches there are.
 * @throws {UserError} When the disk does not take them.
 */
export async function writeUploads(
  directory: string,
  modelId: string,
  source: string,
  features: Iterable<UploadedFeature>,
): Promise<number> {
  let batch: UploadedFeature[] = [], written = 0;
  const write = async () => {
    await writeFileAtomic(
      join(directory, `batch-${written}.json`),
      JSON.stringify({ modelId, source, features: batch }) + "\n",
    );
    written++;
    batch = [];
  };
  for (const feature of features) {
    batch.push(feature);
    if (batch.length === MOST_FEATURES) await write();
  }
  if (batch.length > 0) await write();
  return written;
}
