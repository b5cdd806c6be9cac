/**
 * Which tile of the matrix product suits this adapter and this size: measured once, remembered, and written into a run's config.json.
 * @module
 */

import type { Precision, TileName } from "../../wgsl/shared/matmul.ts";
import type { Gpu } from "./device.ts";

export type { Precision, TileName } from "../../wgsl/shared/matmul.ts";

/** The size of a product x W. */
export interface ProductSize {
  /** Rows of x. */
  readonly rows: number;
  /** Columns of W. */
  readonly columns: number;
  /** Columns of x, rows of W. */
  readonly depth: number;
}

/**
 * The tiles that can run here, the likeliest first.
 *
 * @param gpu The device.
 * @param precision Of the staged inputs.
 * @returns At least one.
 */
export function candidateTiles(gpu: Gpu, precision: Precision = "f32"): TileName[] {
  if (precision === "f16") return ["shared128_f16", "shared64_f16"];
  if (!gpu.isCpu) return ["shared128", "shared64"];
  const broadcast = ([4, 8, 16] as const).find((lanes) => lanes === gpu.subgroupLanes);
  return broadcast ? [`broadcast${broadcast}`, "lanes"] : ["lanes"];
}

/**
 * What a choice of tile is known by: CPUs are as fast for one size as for another, as long as it is large; GPUs are not.
 *
 * @param gpu The device.
 * @param size The product.
 * @param precision Of the staged inputs.
 * @returns A key of `gpu.shared.tiles`.
 */
export function tileKey(gpu: Gpu, { rows, columns, depth }: ProductSize, precision: Precision): string {
  return [gpu.isCpu ? "any" : `${rows}x${columns}x${depth}`, ...(precision === "f16" ? ["f16"] : [])].join(" ");
}

/**
 * The tile for a product: the tuned one, else the likeliest.
 *
 * @param gpu The device.
 * @param size The product.
 * @param precision Of the staged inputs.
 * @returns Its name.
 */
export function tileFor(gpu: Gpu, size: ProductSize, precision: Precision = "f32"): TileName {
  // Only one tile takes a depth that is no multiple of 4, and such products are small.
  if (size.depth % 4 !== 0) return "lanes";
  return gpu.shared.tiles.get(tileKey(gpu, size, precision)) ?? candidateTiles(gpu, precision)[0];
}
