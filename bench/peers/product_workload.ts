/**
 * A matrix product on random numbers, by the kernel that the forward pass and training would take for its size.
 * @module
 */

import { bellCurve } from "../../core/bench/random_numbers.ts";
import { createTensor, type Gpu, tensorFrom } from "../../core/gpu/device.ts";
import { type ProductSize, tileFor } from "../../core/gpu/products.ts";
import type { Pass } from "../../core/gpu/run.ts";
import { tuneTiles } from "../../core/gpu/tune.ts";
import type { Tensor } from "../../core/gpu/tensor.ts";
import { matmul } from "../../wgsl/shared/matmul.ts";

/** Work that can be recorded again and again. */
export class ProductWorkload {
  readonly #size: ProductSize;
  readonly #kernel: ReturnType<typeof matmul>;
  readonly #tensors: { readonly x: Tensor; readonly weight: Tensor; readonly y: Tensor };

  /**
   * Makes the factors, the tile tuned as for any product.
   *
   * @param gpu The device.
   * @param size The product's size; its columns are a multiple of 4.
   * @returns The workload.
   */
  static async make(gpu: Gpu, size: ProductSize): Promise<ProductWorkload> {
    await tuneTiles(gpu, [{ ...size, weight: "f32", epilogue: "none" }]);
    return new ProductWorkload(gpu, size);
  }

  private constructor(gpu: Gpu, size: ProductSize) {
    const { rows, columns, depth } = size;
    this.#size = size;
    this.#kernel = matmul(tileFor(gpu, size), "f32", "none");
    this.#tensors = {
      x: tensorFrom(gpu, "x", [rows, depth], bellCurve(rows * depth, 1, 1)),
      weight: tensorFrom(gpu, "W", [depth, columns], bellCurve(depth * columns, 1, 2)),
      y: createTensor(gpu, "y", [rows, columns]),
    };
  }

  /** Records one product. */
  record(pass: Pass): void {
    pass.run(this.#kernel, this.#tensors, { ...this.#size });
  }
}
