/**
 * What features read and write, in tokens of the vocabulary: their encoders beside the embeddings, their decoders through the head.
 * @module
 */

import type { FeatureTokens, ToldToken } from "../analysis/attribution.ts";
import type { RankedToken } from "../analysis/token_ranks.ts";
import type { TensorSource } from "../files/tensor_source.ts";
import type { Gpu } from "../gpu/device.ts";
import type { DecoderConfig } from "../model/config.ts";
import { isAdded } from "../model/residual.ts";
import { readGain } from "../model/weights.ts";
import { permutation, randomGenerator } from "../random.ts";
import type { PlacedTranscoder } from "./features.ts";
import { rankVocabulary } from "./token_directions.ts";

/** Tokens at either end. */
const MOST = 10;
/** Separates these draws from other uses of the generator. */
const CHANCE_STREAM = 0x6368616e;

/** Whose tokens are told. */
export interface ReadsWritesOptions {
  /** The device. */
  readonly gpu: Gpu;
  /** The model's weights, */
  readonly weights: TensorSource;
  /** and its sizes. */
  readonly config: Pick<DecoderConfig, "vocabSize" | "dModel" | "isHeadTied">;
  /** The text of a token. */
  readonly tokenText: (id: number) => string;
  /** The transcoder. */
  readonly transcoder: PlacedTranscoder;
  /** f32 [features, d_model]: what its features read of the residual stream. */
  readonly reads: Float32Array;
  /** Which features. */
  readonly features: readonly number[];
  /** Hears of the tokens of the vocabulary done so far of all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Finds the tokens that features read and write.
 *
 * @param options Whose.
 * @returns The tokens of each feature, in the order given.
 * @throws {UserError} When the model's weights cannot be read, or the device fails.
 */
export async function readsAndWrites(options: ReadsWritesOptions): Promise<FeatureTokens[]> {
  const { gpu, weights, config, transcoder, reads, features } = options;
  const { vocabSize, dModel: width, isHeadTied } = config, { onProgress, tokenText } = options;
  if (features.length === 0) return [];
  const writes = writesOf(transcoder), total = writes ? 2 * vocabSize : vocabSize;
  const embedding = weights.matrix("embed_tokens.weight", [vocabSize, width]);
  const read = await rankVocabulary({
    ...{ gpu, matrix: embedding, width, isCosine: true, most: MOST },
    directions: withShuffled(rowsOf(reads, features, width), features),
    onProgress: (done) => onProgress?.(done, total),
  });
  const told = (tokens: readonly RankedToken[], mean = 0): ToldToken[] =>
    tokens.map(({ id, value }) => ({ id, token: tokenText(id), value: value - mean }));
  const written = writes ? await rankWritten(writes) : null;
  return features.map((_, i) => ({
    reads: told(read[i].highest),
    chance: read[features.length + i].highest[0].value,
    writes: written && {
      raised: told(written[i].highest, written[i].mean),
      lowered: told(written[i].lowest, written[i].mean),
      chance: written[features.length + i].highest[0].value - written[features.length + i].mean,
      std: written[i].std,
      histogram: written[i].spread.histogram(written[i].mean),
    },
  }));

  async function rankWritten(writes: Float32Array) {
    const gain = await readGain(weights, "norm", width);
    const matrix = isHeadTied ? embedding : weights.matrix("lm_head.weight", [vocabSize, width]);
    const own = rowsOf(writes, features, width).map((w, i) => w * gain[i % width]);
    const directions = withShuffled(own, features);
    const onDone = (done: number) => onProgress?.(vocabSize + done, total);
    return await rankVocabulary({ gpu, matrix, directions, width, isCosine: false, most: MOST, onProgress: onDone });
  }
}

/**
 * The cosine of what each feature reads with what it writes.
 *
 * @param reads f32 [features, d_model]: what the features read of the residual stream.
 * @param placed The transcoder.
 * @returns One cosine per feature; null where a target is not added to the residual stream as it is.
 */
export function readWriteCosines(
  reads: Float32Array,
  placed: PlacedTranscoder,
): Float64Array | null {
  const writes = writesOf(placed), width = placed.transcoder.shape.d_in;
  if (writes === null) return null;
  return Float64Array.from({ length: reads.length / width }, (_, feature) => {
    let both = 0, read = 0, written = 0;
    for (let at = feature * width; at < (feature + 1) * width; at++) {
      both += reads[at] * writes[at];
      read += reads[at] ** 2;
      written += writes[at] ** 2;
    }
    return both / Math.sqrt(read * written);
  });
}

/** f32 [features, d_model]: what features add to the residual stream, at all targets together; null where one is not added as it is. */
function writesOf({ transcoder, config: { targets } }: PlacedTranscoder): Float32Array | null {
  const { shape: { d_out }, weights: { decoder } } = transcoder, width = d_out / targets.length;
  if (!targets.every(({ site }) => isAdded(site))) return null;
  return Float32Array.from({ length: decoder.length / targets.length }, (_, at) => {
    let sum = 0;
    for (let t = 0; t < targets.length; t++) sum += decoder[Math.floor(at / width) * d_out + t * width + at % width];
    return sum;
  });
}

function rowsOf(matrix: Float32Array, rows: readonly number[], width: number): Float32Array {
  const chosen = new Float32Array(rows.length * width);
  rows.forEach((row, i) => chosen.set(matrix.subarray(row * width, (row + 1) * width), i * width));
  return chosen;
}

/** Directions of features, and behind them the same numbers of each in random order, the same for a feature whatever stands beside it. */
function withShuffled(directions: Float32Array, features: readonly number[]): Float32Array {
  const both = new Float32Array(2 * directions.length), width = directions.length / features.length;
  both.set(directions);
  features.forEach((feature, i) => {
    const first = i * width, order = permutation(width, randomGenerator(0, CHANCE_STREAM, feature));
    order.forEach((from, to) => both[directions.length + first + to] = directions[first + from]);
  });
  return both;
}
