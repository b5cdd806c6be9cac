/**
 * Decoding with a finished transcoder, its skip connection included: what it gives, or what is missing to the true target.
 * @module
 */

import { matmul } from "../../wgsl/shared/matmul.ts";
import { skipRest } from "../../wgsl/transcoder/skip.ts";
import { decode, prefixConstants } from "../../wgsl/transcoder/step.ts";
import { createTensor, type Gpu, tensorFrom } from "../gpu/device.ts";
import { tileFor } from "../gpu/products.ts";
import type { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { featureCount, prefixEnds } from "./shape.ts";
import type { Features } from "./selection.ts";
import type { Transcoder } from "./weights.ts";

/** Reconstructs with every prefix y_p = b_dec + x W_skip + sum over i < e_p of f_i W_dec[i] and measures what is left. */
export class Reconstructor {
  /** f32 [tokens, prefixes]: |y_p - y|^2 of the last recorded batch. */
  readonly squares: Tensor;
  /** f32 [tokens, d_out]: y_P - y of the last recorded batch, for the whole dictionary. */
  readonly residual: Tensor;
  /** f32 [prefixes, tokens, d_out]: suffix sums over the prefixes of y_p - y of the last recorded batch. */
  readonly residuals: Tensor;
  /** f32 [features, d_out]: W_dec. */
  readonly decoder: Tensor;
  readonly #width: number;
  readonly #features: number;
  readonly #prefixes: number;
  readonly #lanes: number;
  readonly #bias: Tensor;
  readonly #prefixEnds: readonly number[];
  readonly #gpu: Gpu;
  /** W_skip, and room for a batch of what it gives; null without a skip connection. */
  readonly #skip: { readonly weight: Tensor; readonly given: Tensor } | null;

  /**
   * Uploads the decoder and allocates room for one batch.
   *
   * @param gpu The device.
   * @param transcoder What to decode with.
   * @param maxTokens The most tokens of a batch.
   * @throws {UserError} When a tensor is larger than the adapter can bind.
   */
  constructor(gpu: Gpu, { shape, weights }: Transcoder, maxTokens: number) {
    const { d_in, d_out, groups } = shape, { skip } = weights;
    this.#gpu = gpu;
    this.#width = d_out;
    this.#features = featureCount(groups);
    this.#prefixes = groups.length;
    this.#lanes = gpu.isCpu ? 8 : 128;
    this.decoder = tensorFrom(gpu, "W_dec", [this.#features, d_out], weights.decoder);
    this.#bias = tensorFrom(gpu, "b_dec", [d_out], weights.decoderBias);
    this.#prefixEnds = prefixEnds(groups);
    this.#skip = skip === undefined ? null : {
      weight: tensorFrom(gpu, "W_skip", [d_in, d_out], skip),
      given: createTensor(gpu, "skipped", [maxTokens, d_out]),
    };
    this.residuals = createTensor(gpu, "residuals", [groups.length, maxTokens, d_out]);
    this.residual = createTensor(gpu, "residual", [maxTokens, d_out]);
    this.squares = createTensor(gpu, "squared residuals", [maxTokens, groups.length]);
  }

  /**
   * Records reconstructing one batch into {@link squares} and {@link residual}.
   *
   * @param pass Where to record.
   * @param features What each token keeps.
   * @param x f32 [tokens, d_in] raw source activations, which only a skip connection reads.
   * @param y f32 [tokens, d_out] raw target activations.
   * @param tokens How many, from 1 to the most.
   */
  record(pass: Pass, features: Features, x: Tensor, y: Tensor, tokens: number): void {
    const width = this.#width, prefixes = this.#prefixes, given = this.#recordSkip(pass, x, tokens);
    if (given) pass.run(skipRest, { target_y: y, rest: given }, { count: tokens * width });
    pass.run(
      decode,
      {
        row_start: features.rowStart,
        index: features.index,
        value: features.value,
        decoder: this.decoder,
        bias: this.#bias,
        target_y: given ?? y,
        residual: this.residuals,
        squares: this.squares,
      },
      {
        tokens,
        width,
        features: this.#features,
        prefixes,
        residual_first: 0,
        target_weight: -1,
        bias_weight: 1,
        inner_weight: 1,
      },
      { LANES: this.#lanes, ...prefixConstants(this.#prefixEnds) },
    );
    // Slabs hold suffix sums over the prefixes; the last one has only its own residual.
    pass.copy(this.residuals, (prefixes - 1) * tokens * width, this.residual, 0, tokens * width);
  }

  /**
   * Records the reconstruction y_p of one batch itself. {@link squares} is overwritten and means nothing then.
   *
   * @param pass Where to record.
   * @param features What each token keeps.
   * @param prefix Which prefix, from 0 for the shortest.
   * @param x f32 [tokens, d_in] raw source activations, which only a skip connection reads.
   * @param y f32 [tokens, d_out] raw target activations, overwritten.
   * @param tokens How many, from 1 to the most.
   */
  recordPrefix(pass: Pass, features: Features, prefix: number, x: Tensor, y: Tensor, tokens: number): void {
    const { rowStart: row_start, index, value } = features, { squares } = this, width = this.#width;
    const given = this.#recordSkip(pass, x, tokens);
    pass.run(
      decode,
      // What the skip connection gives is added in the target's place; without one that has no weight, and must only be bound.
      {
        ...{ row_start, index, value, squares, residual: y, target_y: given ?? this.residuals },
        ...{ decoder: this.decoder, bias: this.#bias },
      },
      {
        ...{ tokens, width, features: this.#features, prefixes: 1 },
        ...{ residual_first: 0, target_weight: given ? 1 : 0, bias_weight: 1, inner_weight: 1 },
      },
      { LANES: this.#lanes, ...prefixConstants([this.#prefixEnds[prefix]]) },
    );
  }

  /** Records x W_skip; returns where it stands, f32 [tokens, d_out], or null without a skip connection. */
  #recordSkip(pass: Pass, x: Tensor, tokens: number): Tensor | null {
    if (this.#skip === null) return null;
    const { weight, given } = this.#skip, [depth, columns] = weight.shape, size = { rows: tokens, columns, depth };
    pass.run(matmul(tileFor(this.#gpu, size), "f32", "none"), { x, weight, y: given }, size);
    return given;
  }
}
