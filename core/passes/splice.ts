/**
 * A transcoder in the place of what it was trained to predict, inside of a forward pass.
 * @module
 */

import { createTensor, type Gpu } from "../gpu/device.ts";
import { oneBlock, recordGather, recordScatter } from "../gpu/row_blocks.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Edit } from "../model/edits.ts";
import type { Tap } from "../model/sites.ts";
import { Encoder } from "../transcoder/encode.ts";
import { Reconstructor } from "../transcoder/reconstruct.ts";
import type { PlacedTranscoder } from "./features.ts";
import type { CountedTokens } from "./over_text.ts";

/**
 * Splices a transcoder into the model. It reads its source and overwrites its target while the forward pass runs, so that with several
 * splices in one pass a deeper one reads what those below it have made of the model. Tokens that are not counted keep what the model
 * computes for them.
 */
export class Splice {
  readonly #placed: PlacedTranscoder;
  readonly #encoder: Encoder;
  readonly #reconstructor: Reconstructor;
  readonly #x: Tensor;
  readonly #y: Tensor;

  /**
   * Uploads the transcoder.
   *
   * @param gpu The device.
   * @param placed The transcoder. Its source must be a tap of the model that it is spliced into, and lie below its target.
   * @param maxTokens The most counted tokens of a forward pass.
   * @throws {UserError} When a tensor is larger than the adapter can bind.
   */
  constructor(gpu: Gpu, placed: PlacedTranscoder, maxTokens: number) {
    const { transcoder, transcoder: { shape } } = placed;
    this.#placed = placed;
    this.#encoder = new Encoder(gpu, transcoder, maxTokens);
    const tokens = this.#encoder.batchTokens;
    this.#reconstructor = new Reconstructor(gpu, transcoder, tokens);
    this.#x = createTensor(gpu, "spliced source", [tokens, shape.d_in]);
    this.#y = createTensor(gpu, "spliced target", [tokens, shape.d_out]);
  }

  /**
   * The edit that puts the reconstruction of a prefix in the target's place, with threshold inference.
   *
   * @param counted The tokens where it does.
   * @param prefix Which prefix, from 0 for the shortest.
   * @returns The edit.
   */
  edit({ places, rows: order }: CountedTokens, prefix: number): Edit {
    const { config: { source, target }, transcoder: { shape } } = this.#placed, encoder = this.#encoder;
    return {
      kind: "rewrite",
      tap: target,
      record: (pass, activations, at) => {
        for (let first = 0; first < places.length; first += encoder.batchTokens) {
          const rows = Math.min(encoder.batchTokens, places.length - first);
          recordGather(pass, oneBlock(at(source)), order, this.#x, { rows, width: shape.d_in, first });
          encoder.recordEncode(pass, this.#x, rows);
          this.#reconstructor.recordPrefix(pass, encoder.kept, prefix, this.#y, rows);
          recordScatter(pass, this.#y, order, activations, { rows, width: shape.d_out, first });
        }
      },
    };
  }
}

/**
 * The edit that puts one vector in a site's place at every counted token.
 *
 * @param tap The site.
 * @param vector f32 [1, width of the site]
 * @param counted The tokens where it does.
 * @returns The edit.
 */
export function ablation(tap: Tap, vector: Tensor, { places: { length: rows }, rows: order }: CountedTokens): Edit {
  return {
    kind: "rewrite",
    tap,
    record: (pass, activations) =>
      recordScatter(pass, vector, order, activations, { rows, width: vector.shape[1], first: 0 }),
  };
}
