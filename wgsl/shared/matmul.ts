/**
 * The matrix product y = x W with its epilogues, in the tiles that `core/gpu/products.ts` chooses from. Their unrolled bodies are
 * written by small generators, because naga adds a clamp and a loop counter to anything indexed by a variable.
 *
 * All f32 tiles give the same bits: each sum is one chain of fused multiply-adds in ascending depth.
 * @module
 */

import { defineKernel, type Kernel, type Workgroups } from "../kernel.ts";
import { broadcastText, LANE_VECTORS, lanesText } from "./matmul_cpu.ts";
import { type Precision, sharedText } from "./matmul_gpu.ts";
import type { Variant, WeightFormat } from "./matmul_text.ts";

export type { Epilogue, WeightFormat } from "./matmul_text.ts";
export type { Precision } from "./matmul_gpu.ts";

/** Columns are handled four at a time: W's row length, and only that, is padded to a multiple of this. */
export const COLUMN_ALIGNMENT = 4;

/**
 * The row length of W in memory.
 *
 * @param columns Columns of the product.
 * @returns `columns` rounded up to a multiple of {@link COLUMN_ALIGNMENT}.
 */
export function paddedColumns(columns: number): number {
  return Math.ceil(columns / COLUMN_ALIGNMENT) * COLUMN_ALIGNMENT;
}

/** A way to cut a product into workgroups. */
interface Tile {
  /** Rows of a workgroup. */
  readonly rows: number;
  /** Columns of a workgroup. */
  readonly columns: number;
  /** What the depth must be a multiple of. */
  readonly depthMultiple: number;
  /** Writes its text. */
  readonly text: (variant: Variant) => string;
}

function broadcastTile(lanes: 4 | 8 | 16): Tile {
  const rows = 32;
  return { rows, columns: 4 * lanes, depthMultiple: 4, text: (variant) => broadcastText(variant, { rows, lanes }) };
}

function sharedTile(side: 8 | 16, precision: Precision): Tile {
  return {
    rows: 8 * side,
    columns: 8 * side,
    depthMultiple: 4,
    text: (variant) => sharedText(variant, side, precision),
  };
}

/** All tiles by name. `lanes` runs anywhere and with any depth; the others say in their texts what they need. */
export const TILES = {
  lanes: {
    rows: 16,
    columns: 8 * LANE_VECTORS * 4,
    depthMultiple: 1,
    text: (variant: Variant) => lanesText(variant, { rows: 16, lanes: 8 }),
  },
  broadcast4: broadcastTile(4),
  broadcast8: broadcastTile(8),
  broadcast16: broadcastTile(16),
  shared64: sharedTile(8, "f32"),
  shared128: sharedTile(16, "f32"),
  shared64_f16: sharedTile(8, "f16"),
  shared128_f16: sharedTile(16, "f16"),
} satisfies Record<string, Tile>;

/** The name of a tile, as config.json keeps it. */
export type TileName = keyof typeof TILES;

/** The sizes that a product is dispatched with. */
export type Params = { readonly rows: "u32"; readonly columns: "u32"; readonly depth: "u32" };
const PARAMS: Params = { rows: "u32", columns: "u32", depth: "u32" };
/** A product with these buffers. */
export type Product<B extends Record<string, "read" | "write">> = Kernel<B, Params, Record<never, number>>;

/** y = x W, perhaps through GeGLU. */
export type Matmul = Product<{ readonly x: "read"; readonly weight: "read"; readonly y: "write" }>;
/** y = max(x W + bias, 0). */
export type MatmulBiasRelu = Product<
  { readonly x: "read"; readonly weight: "read"; readonly bias: "read"; readonly y: "write" }
>;
/** y = a where a = x W + bias is above its row's threshold, else 0. */
export type MatmulBiasJumpRelu = Product<
  {
    readonly x: "read";
    readonly weight: "read";
    readonly bias: "read";
    readonly threshold: "read";
    readonly y: "write";
  }
>;

function partsOf(name: TileName, variant: Variant) {
  const tile: Tile = TILES[name], { weight, epilogue } = variant;
  return {
    name: ["matmul", name, ...(weight === "bf16" ? ["bf16"] : []), ...(epilogue === "none" ? [] : [epilogue])].join(
      "_",
    ),
    source: tile.text(variant),
    params: PARAMS,
    constants: {},
    workgroups: ({ rows, columns, depth }: Size): Workgroups => {
      if (depth % tile.depthMultiple !== 0) {
        throw new RangeError(
          `Cannot multiply with tile ${name}: the depth must be a multiple of ${tile.depthMultiple}, it is ${depth}`,
        );
      }
      return [Math.ceil(columns / tile.columns), Math.ceil(rows / tile.rows), 1];
    },
  };
}

interface Size {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

const made = new Map<string, unknown>();

/** One object per variant, so that a text is written once. */
function once<K>(key: string, make: () => K): K {
  if (!made.has(key)) made.set(key, make());
  return made.get(key) as K;
}

/**
 * y = x W, W being [depth, paddedColumns(columns)]; with "geglu" W holds four gate columns, then the four up columns that belong to
 * them, and so on, and y is [rows, columns / 2].
 *
 * @param tile How it is cut.
 * @param weight How W lies in memory.
 * @param epilogue What becomes of the sums.
 * @returns The kernel.
 */
export function matmul(tile: TileName, weight: WeightFormat, epilogue: "none" | "geglu"): Matmul {
  const make = () =>
    defineKernel({
      ...partsOf(tile, { weight, epilogue }),
      bindings: { x: "read", weight: "read", y: "write" },
      shapes: ({ rows, columns, depth }) => ({
        x: [rows, depth],
        weight: [depth, paddedColumns(columns) / (weight === "bf16" ? 2 : 1)],
        y: [rows, epilogue === "geglu" ? columns / 2 : columns],
      }),
    });
  return once(`${tile} ${weight} ${epilogue}`, make);
}

/**
 * y = max(x W + bias, 0) with a bias per row; W is f32 [depth, paddedColumns(columns)].
 *
 * @param tile How it is cut.
 * @returns The kernel.
 */
export function matmulBiasRelu(tile: TileName): MatmulBiasRelu {
  const make = () =>
    defineKernel({
      ...partsOf(tile, { weight: "f32", epilogue: "bias_relu" }),
      bindings: { x: "read", weight: "read", bias: "read", y: "write" },
      shapes: ({ rows, columns, depth }) => ({
        x: [rows, depth],
        weight: [depth, paddedColumns(columns)],
        bias: [rows],
        y: [rows, columns],
      }),
    });
  return once(`${tile} bias_relu`, make);
}

/**
 * y = a where a = x W + bias is above its row's threshold, else 0; W is f32 [depth, paddedColumns(columns)]. Thresholds are 0 or more;
 * those that are 0 make it the product of {@link matmulBiasRelu}.
 *
 * @param tile How it is cut.
 * @returns The kernel.
 */
export function matmulBiasJumpRelu(tile: TileName): MatmulBiasJumpRelu {
  const make = () =>
    defineKernel({
      ...partsOf(tile, { weight: "f32", epilogue: "bias_jump_relu" }),
      bindings: { x: "read", weight: "read", bias: "read", threshold: "read", y: "write" },
      shapes: ({ rows, columns, depth }) => ({
        x: [rows, depth],
        weight: [depth, paddedColumns(columns)],
        bias: [rows],
        threshold: [rows],
        y: [rows, columns],
      }),
    });
  return once(`${tile} bias_jump_relu`, make);
}

/** Every variant of a tile, for tests and benchmarks. */
export function variantsOf(tile: TileName): Kernel[] {
  const plain = (["f32", "bf16"] as const).flatMap((weight) =>
    (["none", "geglu"] as const).map((epilogue) => matmul(tile, weight, epilogue))
  );
  return [...plain, matmulBiasRelu(tile), matmulBiasJumpRelu(tile)] as unknown as Kernel[];
}
