/**
 * The token embedding, gathered on the CPU: a batch needs a few hundred of the vocabulary's rows, and the whole matrix would
 * take a fifth of a small model's memory on the GPU.
 * @module
 */

import { UserError } from "../errors.ts";
import type { DecoderConfig } from "./config.ts";
import type { StoredMatrix, TensorSource } from "../files/tensor_source.ts";

/** Rows kept decoded; the oldest goes first. 300 MB at width 2304, and most of the text of any language. */
export const CACHED_ROWS = 32768;

/** Embeds tokens: rows of the checkpoint's embedding times sqrt(d_model), rounded to f32 as Hugging Face does. */
export class Embedding {
  readonly #config: DecoderConfig;
  readonly #matrix: StoredMatrix;
  readonly #rows = new Map<number, Float32Array>();
  #gathered = new Float32Array(0);

  /**
   * Checks the embedding and prepares to read rows.
   *
   * @param source The checkpoint; it must stay open.
   * @param config The model's sizes.
   * @throws {UserError} When the embedding is missing, has another shape, or holds NaN or infinity.
   */
  constructor(source: TensorSource, config: DecoderConfig) {
    this.#config = config;
    this.#matrix = source.matrix("embed_tokens.weight", [config.vocabSize, config.dModel]);
    this.#matrix.check();
  }

  /**
   * Looks tokens up.
   *
   * @param ids Token ids.
   * @returns f32 [ids, d_model], overwritten by the next call.
   * @throws {UserError} When an id lies outside the vocabulary.
   */
  gather(ids: Uint32Array): Float32Array<ArrayBuffer> {
    const width = this.#config.dModel;
    // One array for all calls: a large batch has hundreds of megabytes, which would be garbage until the next collection.
    if (this.#gathered.length < ids.length * width) this.#gathered = new Float32Array(ids.length * width);
    ids.forEach((id, i) => this.#gathered.set(this.#row(id), i * width));
    return this.#gathered.subarray(0, ids.length * width);
  }

  #row(id: number): Float32Array {
    let row = this.#rows.get(id);
    if (row) return row;
    const { vocabSize, dModel } = this.#config;
    if (id >= vocabSize) {
      throw new UserError({
        action: `embed token ${id}`,
        requirement: `the model's vocabulary has ${vocabSize} tokens`,
        remedy: "take tokenizer and model from the same directory",
      });
    }
    const scale = Math.fround(Math.sqrt(dModel));
    row = this.#matrix.readF32(id, 1);
    for (let c = 0; c < dModel; c++) row[c] *= scale;
    if (this.#rows.size === CACHED_ROWS) this.#rows.delete(this.#rows.keys().next().value!);
    this.#rows.set(id, row);
    return row;
  }
}
