/**
 * Rows of weights that are alike: how many pairs lie in the original project's bands of cosines, and how far apart the nearest are.
 * @module
 */

import { permutation, randomGenerator } from "../random.ts";
import type { Band, Cosines } from "./similarity.ts";
import { summarize, type Summary } from "./statistics.ts";

/** Pairs that are listed. */
const LISTED = 100;

/** Separates the random pairs from other draws. */
const PAIR_STREAM = 0x6c325f64;

/** Two features with like rows. */
export interface SimilarPair {
  /** One, the lower number. */
  readonly a: number;
  /** The other. */
  readonly b: number;
  /** Cosine of their rows. */
  readonly cosine: number;
  /** L2 distance of their rows, which differ in length too. */
  readonly l2: number;
}

/** What is alike among the rows of one matrix. */
export interface SimilarRows {
  /** Pairs with a cosine of 0.95, 0.9 and 0.8 and more. */
  readonly bands: readonly Band[];
  /** The same of as many random directions with the same second moment. */
  readonly bands_by_chance: readonly Band[];
  /** The pairs with the largest cosines. */
  readonly pairs: readonly SimilarPair[];
  /** L2 distances of as many pairs drawn at random as there are rows. */
  readonly l2_of_any: Summary;
}

/**
 * Finds the rows that are alike.
 *
 * @param rows [features, width]
 * @param width How wide they are.
 * @param compared Their cosines, and those of random directions.
 * @returns The bands, and the nearest pairs.
 */
export function similarRows(
  rows: Float32Array,
  width: number,
  { cosines, by_chance }: { readonly cosines: Cosines; readonly by_chance: Pick<Cosines, "bands"> },
): SimilarRows {
  const distance = (a: number, b: number) => {
    let squares = 0;
    for (let c = 0; c < width; c++) squares += (rows[a * width + c] - rows[b * width + c]) ** 2;
    return Math.sqrt(squares);
  };
  const near = cosines.neighbours.flatMap((others, a) =>
    others.filter(({ feature: b }) => a < b || !cosines.neighbours[b].some(({ feature }) => feature === a))
      .map(({ feature: b, value: cosine }) => ({ a: Math.min(a, b), b: Math.max(a, b), cosine }))
  );
  const pairs = near.sort((x, y) => y.cosine - x.cosine || x.a - y.a || x.b - y.b).slice(0, LISTED);
  const count = rows.length / width, order = permutation(count, randomGenerator(0, PAIR_STREAM));
  const any = Array.from(order, (other, i) => ({ other, i })).filter(({ other, i }) => other !== i);
  return {
    bands: cosines.bands,
    bands_by_chance: by_chance.bands,
    pairs: pairs.map((pair) => ({ ...pair, l2: distance(pair.a, pair.b) })),
    l2_of_any: summarize(any.map(({ other, i }) => distance(i, other))),
  };
}
