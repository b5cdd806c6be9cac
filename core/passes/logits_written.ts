/**
 * The logits that features raise and lower on the direct path: their decoder rows through the final norm's gain and the head, centred over the
 * vocabulary.
 * @module
 */

import type { RankedToken } from "../analysis/token_ranks.ts";
import type { TensorSource } from "../files/tensor_source.ts";
import type { Gpu } from "../gpu/device.ts";
import type { DecoderConfig } from "../model/config.ts";
import { readGain } from "../model/weights.ts";
import { rankVocabulary } from "./token_directions.ts";

/** Directions that are multiplied with the vocabulary at once. */
const AT_ONCE = 4096;

/** What is written, and with which head. */
export interface WrittenOptions {
  /** The device. */
  readonly gpu: Gpu;
  /** The model's weights, */
  readonly weights: TensorSource;
  /** and its sizes. */
  readonly config: Pick<DecoderConfig, "vocabSize" | "dModel" | "isHeadTied">;
  /** f32 [features, d_model]: what features add to the residual stream. */
  readonly writes: Float32Array;
  /** How many tokens are told at either end. */
  readonly most: number;
  /** Hears of the products done so far of all, in tokens times features. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** The tokens that a feature raises and lowers most. */
export interface WrittenTokens {
  /** The most raised first. */
  readonly raised: readonly RankedToken[];
  /** The most lowered first. */
  readonly lowered: readonly RankedToken[];
}

/**
 * Finds the tokens that features raise and lower.
 *
 * @param options What, and with which head.
 * @returns The tokens of each feature; values are logits per unit of activation, less their mean over the vocabulary.
 * @throws {UserError} When the model's weights cannot be read, or the device fails.
 */
export async function logitsWritten(options: WrittenOptions): Promise<WrittenTokens[]> {
  const { gpu, weights, config: { vocabSize, dModel, isHeadTied }, writes, most, onProgress } = options;
  const gain = await readGain(weights, "norm", dModel), features = writes.length / dModel;
  const matrix = weights.matrix(isHeadTied ? "embed_tokens.weight" : "lm_head.weight", [vocabSize, dModel]);
  const written: WrittenTokens[] = [];
  for (let first = 0; first < features; first += AT_ONCE) {
    const rows = writes.subarray(first * dModel, (first + AT_ONCE) * dModel), count = rows.length / dModel;
    const ranked = await rankVocabulary({
      ...{ gpu, matrix, width: dModel, isCosine: false, most },
      directions: rows.map((value, at) => value * gain[at % dModel]),
      onProgress: (tokens) => onProgress?.(first * vocabSize + tokens * count, features * vocabSize),
    });
    for (const { highest, lowest, mean } of ranked) {
      const centred = (tokens: readonly RankedToken[]) => tokens.map(({ id, value }) => ({ id, value: value - mean }));
      written.push({ raised: centred(highest), lowered: centred(lowest) });
    }
  }
  return written;
}
