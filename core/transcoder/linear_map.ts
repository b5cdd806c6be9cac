/**
 * The best linear map from a transcoder's source to its target: what its reconstructions are held against.
 *
 *     y = x W + b
 *
 * @module
 */

import { matmul } from "../../wgsl/shared/matmul.ts";
import { linearResidual } from "../../wgsl/transcoder/figures.ts";
import { createTensor, type Gpu, tensorFrom } from "../gpu/device.ts";
import { tileFor } from "../gpu/products.ts";
import type { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** A map of raw activations in host memory, y = x W + b. */
export interface AffineMap {
  /** W, [d_in, d_out]. */
  readonly weight: Float32Array<ArrayBuffer>;
  /** b, [d_out]. */
  readonly bias: Float32Array<ArrayBuffer>;
}

/** One that is fitted by least squares. */
export interface LinearMap extends AffineMap {
  /** [d_out] mean of the target over the tokens that it was fitted on. */
  readonly targetMean: Float32Array<ArrayBuffer>;
  /** How many tokens those were. */
  readonly tokens: number;
}

/**
 * Multiplies what a map gives.
 *
 * @param map The map.
 * @param factors [d_out] the factor of each output.
 * @returns A map in those units.
 */
export function scaleMap({ weight, bias, targetMean, tokens }: LinearMap, factors: Float32Array): LinearMap {
  const scaled = (columns: Float32Array<ArrayBuffer>) => columns.map((value, at) => value * factors[at % bias.length]);
  return { weight: scaled(weight), bias: scaled(bias), targetMean: scaled(targetMean), tokens };
}

/** Reconstructs with a map and measures what is left. */
export class LinearReconstructor {
  /** f32 [1, tokens, d_out]: x W + b - y of the last recorded batch; its first axis is that of a transcoder's prefixes. */
  readonly residuals: Tensor;
  /** f32 [tokens, 1]: the squared length of each row of {@link residuals}. */
  readonly squares: Tensor;
  readonly #gpu: Gpu;
  readonly #weight: Tensor;
  readonly #bias: Tensor;

  /**
   * Uploads the map and allocates room for one batch.
   *
   * @param gpu The device.
   * @param map The map.
   * @param maxTokens The most tokens of a batch.
   * @throws {UserError} When a tensor is larger than the adapter can bind.
   */
  constructor(gpu: Gpu, { weight, bias }: AffineMap, maxTokens: number) {
    const width = bias.length;
    this.#gpu = gpu;
    this.#weight = tensorFrom(gpu, "linear map", [weight.length / width, width], weight);
    this.#bias = tensorFrom(gpu, "linear map's bias", [width], bias);
    this.residuals = createTensor(gpu, "linear map's residual", [1, maxTokens, width]);
    this.squares = createTensor(gpu, "linear map's squared residuals", [maxTokens, 1]);
  }

  /**
   * Records reconstructing one batch into {@link residuals} and {@link squares}.
   *
   * @param pass Where to record.
   * @param x f32 [tokens, d_in] raw source activations.
   * @param y f32 [tokens, d_out] raw target activations.
   * @param tokens How many, from 1 to the most.
   */
  record(pass: Pass, x: Tensor, y: Tensor, tokens: number): void {
    const [depth, width] = this.#weight.shape, size = { rows: tokens, columns: width, depth };
    const { residuals: residual, squares } = this, LANES = this.#gpu.isCpu ? 8 : 128;
    pass.run(matmul(tileFor(this.#gpu, size), "f32", "none"), { x, weight: this.#weight, y: residual }, size);
    pass.run(linearResidual, { bias: this.#bias, target_y: y, residual, squares }, { tokens, width }, { LANES });
  }
}
