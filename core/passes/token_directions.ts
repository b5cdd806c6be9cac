/**
 * What features read and write in tokens: their encoders beside the embeddings, their decoders through the head.
 * @module
 */

import { type TokenRanking, TokenRanks } from "../analysis/token_ranks.ts";
import type { StoredMatrix } from "../files/tensor_source.ts";
import { createTensor, downloadF32, type Gpu, tensorFrom, upload } from "../gpu/device.ts";
import { tileFor } from "../gpu/products.ts";
import { Pass } from "../gpu/run.ts";
import { openScope } from "../gpu/scope.ts";
import { front } from "../gpu/tensor.ts";
import { matmul, paddedColumns } from "../../wgsl/shared/matmul.ts";

/** Rows of a vocabulary's matrix, and products with them, that are in memory at once: 32 MiB of each. */
const MOST_ELEMENTS = 2 ** 23;

/** What directions are held against. */
export interface VocabularyOptions {
  /** The device. */
  readonly gpu: Gpu;
  /** [vocabulary, width] */
  readonly matrix: StoredMatrix;
  /** f32 [directions, width], at least one. */
  readonly directions: Float32Array;
  /** The width of both. */
  readonly width: number;
  /** Whether products are divided by the lengths of both; those with a row or direction of zeros are 0 then. */
  readonly isCosine: boolean;
  /** How many tokens are kept at either end. */
  readonly most: number;
  /** Hears of the tokens done so far of all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Ranks a vocabulary's tokens by their products with directions. The matrix is read in blocks.
 *
 * @param options Of what with what.
 * @returns The ranking of each direction.
 * @throws {UserError} When the matrix cannot be read, or the device fails.
 */
export async function rankVocabulary(options: VocabularyOptions): Promise<TokenRanking[]> {
  const { gpu, matrix, directions, width, isCosine, most, onProgress } = options;
  const count = directions.length / width, padded = paddedColumns(count);
  const lengths = isCosine ? lengthsOf(directions, width) : null;
  const weight = new Float32Array(width * padded);
  directions.forEach((value, i) => {
    const direction = Math.floor(i / width);
    weight[i % width * padded + direction] = lengths ? ratio(value, lengths[direction]) : value;
  });
  using scratch = openScope(gpu);
  const atOnce = Math.max(1, Math.min(matrix.rows, Math.floor(MOST_ELEMENTS / Math.max(width, padded))));
  const turned = tensorFrom(scratch, "directions, turned", [width, padded], weight);
  const x = createTensor(scratch, "tokens of the vocabulary", [atOnce, width]);
  const y = createTensor(scratch, "products with the vocabulary", [atOnce, count]);
  const ranks = new TokenRanks(count, most);
  for (let first = 0; first < matrix.rows; first += atOnce) {
    const rows = Math.min(atOnce, matrix.rows - first), size = { rows, columns: count, depth: width };
    const block = matrix.readF32(first, rows), pass = new Pass(gpu);
    upload(gpu, x, block);
    pass.run(matmul(tileFor(gpu, size), "f32", "none"), { x, weight: turned, y }, size);
    pass.submit();
    const products = await downloadF32(gpu, front(y, rows));
    if (isCosine) {
      const sizes = lengthsOf(block, width);
      products.forEach((value, i) => products[i] = ratio(value, sizes[Math.floor(i / count)]));
    }
    ranks.add(products);
    onProgress?.(first + rows, matrix.rows);
  }
  return ranks.rankings;
}

function lengthsOf(rows: Float32Array, width: number): Float64Array {
  return Float64Array.from({ length: rows.length / width }, (_, row) => {
    let squares = 0;
    for (let at = row * width; at < (row + 1) * width; at++) squares += rows[at] * rows[at];
    return Math.sqrt(squares);
  });
}

function ratio(value: number, length: number): number {
  return length > 0 ? value / length : 0;
}
