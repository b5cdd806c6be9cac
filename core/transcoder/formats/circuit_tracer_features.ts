/**
 * circuit-tracer's feature files: what its graphs show of a feature. Per layer a .bin file of records, each a length (u32, little-endian) and so
 * many bytes of JSON, deflated with zlib's header; index.json.gz says where each feature's record begins. A client asks for byte ranges.
 * @module
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { deflateSync, gzipSync } from "node:zlib";
import { replaceFile, writeAll, writeFileAtomic } from "../../files/atomic.ts";

/** The directory beside a set's config.yaml, where it is looked for on the hub too. */
export const FEATURES_DIRECTORY = "features";
/** The index of all layers. */
export const FEATURES_INDEX = "index.json.gz";

/** An example of a feature. */
export interface TracedExample {
  /** The text of each token. */
  readonly tokens: readonly string[];
  /** The feature's activation on each. */
  readonly tokens_acts_list: readonly number[];
  /** Which of them it is an example for. */
  readonly train_token_ind: number;
  /** Whether the same text has been shown before. */
  readonly is_repeated_datapoint: boolean;
}

/** What is shown of a feature. */
export interface TracedFeature {
  /** The set and the layer. */
  readonly transcoder_id: string;
  /** The feature's index. */
  readonly index: number;
  /** What it is called. Only graphs that were given it show it; so the first quantile's name says it too. */
  readonly clerp: string;
  /** Examples, the strongest first, under a heading each. */
  readonly examples_quantiles: readonly {
    readonly quantile_name: string;
    readonly examples: readonly TracedExample[];
  }[];
  /** Tokens that it raises most. */
  readonly top_logits: readonly string[];
  /** Tokens that it lowers most. */
  readonly bottom_logits: readonly string[];
  /** Where colours and histogram begin. */
  readonly act_min: number;
  /** Where they end. */
  readonly act_max: number;
  /** Percentiles 1 to 100 of the activations above 0. */
  readonly quantile_values: readonly number[];
  /** Counts in equal bins from act_min to act_max. */
  readonly histogram: readonly number[];
  /** Share of tokens on which it is active. */
  readonly activation_frequency: number;
}

/** Where the records of a layer are. */
export interface TracedLayer {
  /** The layer. */
  readonly layer: number;
  /** The name of its file. */
  readonly filename: string;
  /** [features + 1] the first byte of each record, and the file's length. */
  readonly offsets: readonly number[];
}

/**
 * Writes the records of a layer.
 *
 * @param directory The directory of the feature files, which is made where it is missing.
 * @param layer The layer.
 * @param features Its features, from the first, without gaps.
 * @returns Where they are.
 * @throws {UserError} When the disk does not take them.
 */
export async function writeTracedLayer(
  directory: string,
  layer: number,
  features: Iterable<TracedFeature>,
): Promise<TracedLayer> {
  await mkdir(directory, { recursive: true });
  const filename = `layer_${layer}.bin`, offsets = [0], encoder = new TextEncoder();
  await replaceFile(join(directory, filename), async (file) => {
    for (const feature of features) {
      const deflated = deflateSync(encoder.encode(JSON.stringify(feature)));
      const record = new Uint8Array(4 + deflated.length);
      new DataView(record.buffer).setUint32(0, deflated.length, true);
      record.set(deflated, 4);
      await writeAll(file, record);
      offsets.push(offsets.at(-1)! + record.length);
    }
  });
  return { layer, filename, offsets };
}

/**
 * Writes the index.
 *
 * @param directory The directory of the feature files.
 * @param layers Those that have any; others show none.
 * @throws {UserError} When the disk does not take it.
 */
export function writeTracedIndex(directory: string, layers: readonly TracedLayer[]): Promise<void> {
  const index = Object.fromEntries(layers.map(({ layer, filename, offsets }) => [layer, { filename, offsets }]));
  return writeFileAtomic(join(directory, FEATURES_INDEX), new Uint8Array(gzipSync(JSON.stringify(index))));
}
