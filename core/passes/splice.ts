/**
 * A transcoder in the place of what it was trained to predict, inside of a forward pass.
 * @module
 */

import { createTensor, type Gpu } from "../gpu/device.ts";
import { oneBlock, recordGather, recordScatter } from "../gpu/row_blocks.ts";
import type { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Edit } from "../model/edits.ts";
import { columnsOf, type Tap, type TapColumns, type Widths } from "../model/sites.ts";
import { Encoder } from "../transcoder/encode.ts";
import { Reconstructor } from "../transcoder/reconstruct.ts";
import type { PlacedTranscoder } from "./features.ts";
import type { CountedTokens } from "./over_text.ts";

/** Some counted tokens, from the `first` on, and where their reconstruction stands. */
interface Piece {
  readonly y: Tensor;
  readonly first: number;
  readonly rows: number;
}

/**
 * Splices a transcoder into the model. It reads its source and overwrites its targets while the forward pass runs, so that with several
 * splices in one pass a deeper one reads what those below it have made of the model. Tokens that are not counted keep what the model
 * computes for them.
 */
export class Splice {
  readonly #placed: PlacedTranscoder;
  readonly #targets: readonly TapColumns[];
  readonly #encoder: Encoder;
  readonly #reconstructor: Reconstructor;
  readonly #x: Tensor;
  /** f32 [tokens, d_out] each: what it gives in the forward pass that is recorded, as many tokens as it encodes at once in each. */
  readonly #parts: readonly Tensor[];

  /**
   * Uploads the transcoder.
   *
   * @param gpu The device.
   * @param placed The transcoder. Its source must be a tap of the model that it is spliced into, and lie below its targets.
   * @param widths That model, which knows how wide a tap is.
   * @param maxTokens The most counted tokens of a forward pass.
   * @throws {UserError} When a tensor is larger than the adapter can bind.
   */
  constructor(gpu: Gpu, placed: PlacedTranscoder, widths: Widths, maxTokens: number) {
    const { transcoder, transcoder: { shape } } = placed;
    this.#placed = placed;
    this.#targets = columnsOf(widths, placed.config.targets);
    this.#encoder = new Encoder(gpu, transcoder, maxTokens);
    const tokens = this.#encoder.batchTokens;
    this.#reconstructor = new Reconstructor(gpu, transcoder, tokens);
    this.#x = createTensor(gpu, "spliced source", [tokens, shape.d_in]);
    this.#parts = Array.from(
      { length: Math.ceil(maxTokens / tokens) },
      () => createTensor(gpu, "spliced targets", [tokens, shape.d_out]),
    );
  }

  /**
   * The edits that put the reconstruction of a prefix in the targets' places, with threshold inference.
   *
   * @param counted The tokens where they do.
   * @param prefix Which prefix, from 0 for the shortest.
   * @returns An edit per target; all belong into the same forward pass.
   */
  edits({ places: { length: tokens }, rows: order }: CountedTokens, prefix: number): Edit[] {
    const pieces = this.#pieces(tokens);
    return this.#targets.map(({ tap, column, width }, t) => ({
      kind: "rewrite",
      tap,
      record: (pass, activations, at) => {
        // The first target is where the pass comes first, so that all find what it leaves.
        if (t === 0) this.#recordReconstruction(pass, at(this.#placed.config.source), order, pieces, prefix);
        for (const { y, rows, first } of pieces) {
          recordScatter(pass, y, order, activations, { rows, width, first, column });
        }
      },
    }));
  }

  /** The counted tokens in pieces of as many as are encoded at once. */
  #pieces(tokens: number): Piece[] {
    const { batchTokens } = this.#encoder, parts = this.#parts.slice(0, Math.ceil(tokens / batchTokens));
    return parts.map((y, n) => {
      return { y, first: n * batchTokens, rows: Math.min(batchTokens, tokens - n * batchTokens) };
    });
  }

  #recordReconstruction(pass: Pass, source: Tensor, order: Tensor, pieces: readonly Piece[], prefix: number): void {
    const { d_in: width } = this.#placed.transcoder.shape, encoder = this.#encoder;
    for (const { y, rows, first } of pieces) {
      recordGather(pass, oneBlock(source), order, this.#x, { rows, width, first });
      encoder.recordEncode(pass, this.#x, rows);
      this.#reconstructor.recordPrefix(pass, encoder.kept, prefix, this.#x, y, rows);
    }
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
