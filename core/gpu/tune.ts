/**
 * The autotune of matrix products: each candidate tile is timed on the sizes at hand, once per adapter; what was found is kept in the
 * user's cache. All f32 tiles give the same bits, so a choice changes the time that a run takes and nothing else.
 * @module
 */

import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  type Epilogue,
  matmul,
  matmulBiasRelu,
  paddedColumns,
  type Precision,
  type TileName,
  TILES,
  type WeightFormat,
} from "../../wgsl/shared/matmul.ts";
import { writeFileAtomic } from "../files/atomic.ts";
import { createTensor, type Gpu } from "./device.ts";
import { openScope } from "./scope.ts";
import { candidateTiles, type ProductSize, tileKey } from "./products.ts";
import { Pass } from "./run.ts";
import { WallClock } from "./wall_clock.ts";

/** A product that will be needed. */
export interface NeededProduct extends ProductSize {
  /** What its inputs are rounded to; f32 if left out. */
  readonly precision?: Precision;
  /** How W lies in memory. */
  readonly weight: WeightFormat;
  /** What becomes of the sums. JumpReLU takes the tile that ReLU takes: its sizes are the same. */
  readonly epilogue: Exclude<Epilogue, "bias_jump_relu">;
}

/** More than this need not be multiplied to see which tile is the faster one. */
const MOST = {
  cpu: { rows: 128, columns: 1024, depth: 512 },
  gpu: { rows: 4096, columns: 32768, depth: 16384 },
};
/** Rounds per candidate, taken in turns; the best counts. */
const ROUNDS = 3;
/** How long a round lasts at least, in seconds: a wait's own duration varies by a millisecond. */
const ROUND_S = 0.02;

/**
 * Fills `gpu.shared.tiles` for some products: what is there stays, then what the cache knows, then by measurement.
 *
 * @param gpu The device.
 * @param products What a run will multiply.
 * @param cache The file to remember choices in; null for none.
 * @returns The tiles of these products, by the keys of `tileKey`.
 * @throws {UserError} When the device fails or its memory is exhausted.
 */
export async function tuneTiles(
  gpu: Gpu,
  products: readonly NeededProduct[],
  cache: string | null = cacheFile(),
): Promise<Record<string, TileName>> {
  const { tiles } = gpu.shared, tuned = products.filter(({ depth }) => depth % 4 === 0);
  const keyOf = (product: NeededProduct) => tileKey(gpu, product, product.precision ?? "f32");
  const missing = new Map<string, NeededProduct>();
  for (const product of tuned) if (!tiles.has(keyOf(product))) missing.set(keyOf(product), product);
  if (missing.size > 0) await findTiles(gpu, missing, cache);
  return Object.fromEntries(tuned.map((product) => [keyOf(product), tiles.get(keyOf(product))!]));
}

async function findTiles(gpu: Gpu, missing: ReadonlyMap<string, NeededProduct>, cache: string | null): Promise<void> {
  const known = cache === null ? {} : await readCache(cache);
  // What is known of another version of the driver or the runtime says nothing about this one.
  const here = known[`${gpu.adapter}, Deno ${Deno.version.deno}`] ??= {};
  let isNew = false;
  for (const [key, product] of missing) {
    const candidates = candidateTiles(gpu, product.precision);
    if (!candidates.includes(here[key])) {
      here[key] = candidates.length === 1 ? candidates[0] : await fastest(gpu, candidates, product);
      isNew = true;
    }
    gpu.shared.tiles.set(key, here[key]);
  }
  if (isNew && cache !== null) await writeCache(cache, known);
}

async function fastest(gpu: Gpu, candidates: readonly TileName[], product: NeededProduct): Promise<TileName> {
  const most = gpu.isCpu ? MOST.cpu : MOST.gpu;
  const size = {
    rows: Math.min(product.rows, most.rows),
    columns: Math.min(product.columns, most.columns),
    depth: Math.min(product.depth, most.depth),
  };
  const { rows, columns, depth } = size, { weight: format, epilogue } = product;
  using scratch = openScope(gpu);
  const tensor = (name: string, ...shape: number[]) => createTensor(scratch, `tuning ${name}`, shape);
  const x = tensor("x", rows, depth), y = tensor("y", rows, columns), bias = tensor("bias", rows);
  const weight = tensor("W", depth, paddedColumns(columns) / (format === "bf16" ? 2 : 1));
  const clock = await WallClock.start(gpu), pass = new Pass(gpu);
  const record = (tile: TileName) =>
    epilogue === "bias_relu"
      ? pass.run(matmulBiasRelu(tile), { x, weight, bias, y }, size)
      : pass.run(matmul(tile, format, epilogue), { x, weight, y }, size);
  const seconds = (tile: TileName, count: number) =>
    clock.seconds(() => {
      for (let i = 0; i < count; i++) record(tile);
      pass.submit();
    });
  const best = new Map<TileName, number>(), counts = new Map<TileName, number>();
  for (const tile of candidates) {
    // The first time also compiles.
    await seconds(tile, 1);
    counts.set(tile, Math.ceil(ROUND_S / await seconds(tile, 1)));
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const tile of candidates) {
      const count = counts.get(tile)!;
      best.set(tile, Math.min(best.get(tile) ?? Infinity, await seconds(tile, count) / count));
    }
  }
  return candidates.reduce((a, b) => best.get(b)! < best.get(a)! ? b : a);
}

type Choices = Record<string, Record<string, TileName>>;

/** The cache is a convenience: whatever is wrong with it, tiles are measured again. */
async function readCache(path: string): Promise<Choices> {
  try {
    const read = JSON.parse(await Deno.readTextFile(path)) as Choices;
    const isSound = typeof read === "object" && !Array.isArray(read) &&
      Object.values(read).every((choices) => Object.values(choices).every((tile) => tile in TILES));
    return isSound ? read : {};
  } catch {
    return {};
  }
}

async function writeCache(path: string, known: Choices): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFileAtomic(path, JSON.stringify(known, null, 2) + "\n");
  } catch {
    // A home that cannot be written costs a second at the next start.
  }
}

/** Where choices are remembered; null without a home. */
function cacheFile(): string | null {
  const home = Deno.env.get("HOME") ?? Deno.env.get("USERPROFILE");
  const caches = Deno.env.get("XDG_CACHE_HOME") || (home && join(home, ".cache"));
  return caches ? join(caches, "mtc", "tiles.json") : null;
}
