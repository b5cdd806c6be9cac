/**
 * A map of features in two dimensions: their decoder rows, of unit length and about their mean, along the two directions in which these differ
 * most (principal components). It is a shadow: two features are at least as far apart as it shows them, and may be much further.
 * @module
 */

import { randomGenerator } from "../random.ts";
import type { Directions } from "./directions.ts";

/** Where each feature lies. */
export interface FeatureMap {
  /** [features] along the first component. */
  readonly x: Float32Array;
  /** [features] along the second. */
  readonly y: Float32Array;
  /** The shares of the rows' variance that both have, the larger first; NaN where the rows do not vary. */
  readonly shares: readonly [number, number];
  /**
   * What both together would have of as many directions drawn at random: 2 (1 + sqrt(width / features))^2 / width, the edge of Marchenko and
   * Pastur's law.
   */
  readonly share_by_chance: number;
}

/** Vectors that are turned together: more than two, so that the second settles soon. */
const BLOCK = 8;

/** Turns at most, and the relative change of both eigenvalues at which they are settled. */
const MOST_TURNS = 100, SETTLED = 1e-8;

/** Separates the first vectors from other draws. */
const START_STREAM = 0x6d617073;

/**
 * Draws the map.
 *
 * @param directions The rows.
 * @param moment [width, width] the mean of d d^T over them.
 * @returns The map; each component points to where its largest element is positive.
 */
export function featureMap({ rows, width }: Directions, moment: Float64Array): FeatureMap {
  const count = rows.length / width, mean = new Float64Array(width);
  for (let at = 0; at < rows.length; at++) mean[at % width] += rows[at] / count;
  const covariance = moment.map((value, at) => value - mean[Math.floor(at / width)] * mean[at % width]);
  let trace = 0;
  for (let i = 0; i < width; i++) trace += covariance[i * width + i];
  const { vectors: [first, second], values } = principal(covariance, width);
  const along = (vector: Float64Array) => {
    const offset = dot(mean, 0, vector, width);
    return Float32Array.from({ length: count }, (_, i) => dot(rows, i * width, vector, width) - offset);
  };
  return {
    ...{ x: along(first), y: along(second) },
    shares: [values[0] / trace, values[1] / trace],
    share_by_chance: Math.min(1, 2 * (1 + Math.sqrt(width / count)) ** 2 / width),
  };
}

function dot(a: ArrayLike<number>, first: number, b: ArrayLike<number>, width: number): number {
  let sum = 0;
  for (let c = 0; c < width; c++) sum += a[first + c] * b[c];
  return sum;
}

/** The eigenvectors of the two largest eigenvalues of a covariance, by subspace iteration with Rayleigh and Ritz's step. */
function principal(matrix: Float64Array, width: number): { vectors: Float64Array[]; values: number[] } {
  const size = Math.min(BLOCK, width), random = randomGenerator(0, START_STREAM);
  let vectors = Array.from({ length: size }, () => Float64Array.from({ length: width }, () => random.gaussian()));
  let values = new Array<number>(size).fill(NaN);
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    orthonormalize(vectors);
    const turned = product(matrix, vectors, width);
    const small = Float64Array.from(
      { length: size * size },
      (_, at) => dot(vectors[Math.floor(at / size)], 0, turned[at % size], width),
    );
    const found = eigenvectors(small, size);
    const mixed = (by: readonly Float64Array[], column: number) =>
      Float64Array.from(
        { length: width },
        (_, i) => by.reduce((sum, vector, n) => sum + vector[i] * found.vectors[n * size + column], 0),
      );
    const order = found.values.map((_, n) => n).sort((a, b) => found.values[b] - found.values[a]);
    const last = values;
    values = order.map((n) => found.values[n]);
    const isSettled = [0, 1].every((n) =>
      n >= size || Math.abs(values[n] - last[n]) <= SETTLED * Math.max(values[0], Number.MIN_VALUE)
    );
    if (isSettled || turn === MOST_TURNS - 1) {
      vectors = order.map((n) => mixed(vectors, n));
      break;
    }
    vectors = order.map((n) => mixed(turned, n));
  }
  const none = new Float64Array(width);
  return { vectors: [0, 1].map((n) => pointed(vectors[n] ?? none)), values: [0, 1].map((n) => values[n] ?? 0) };
}

/** The products of a symmetric matrix with some vectors, in one walk through it. */
function product(matrix: Float64Array, vectors: readonly Float64Array[], width: number): Float64Array[] {
  const n = vectors.length, side = new Float64Array(width * n), sums = new Float64Array(n);
  vectors.forEach((vector, v) => vector.forEach((value, i) => side[i * n + v] = value));
  const all = vectors.map(() => new Float64Array(width));
  for (let i = 0; i < width; i++) {
    sums.fill(0);
    for (let j = 0; j < width; j++) {
      const value = matrix[i * width + j];
      for (let v = 0, at = j * n; v < n; v++, at++) sums[v] += value * side[at];
    }
    for (let v = 0; v < n; v++) all[v][i] = sums[v];
  }
  return all;
}

/** The vector or its opposite. */
function pointed(vector: Float64Array): Float64Array {
  const largest = vector.reduce((most, value) => Math.abs(value) > Math.abs(most) ? value : most, 0);
  return largest < 0 ? vector.map((value) => -value) : vector;
}

/** Gram and Schmidt, twice over, which is enough for float64; a vector that others span becomes zeros. */
function orthonormalize(vectors: Float64Array[]): void {
  for (const [n, vector] of vectors.entries()) {
    const before = Math.sqrt(dot(vector, 0, vector, vector.length));
    for (let pass = 0; pass < 2; pass++) {
      for (const other of vectors.slice(0, n)) {
        const along = dot(vector, 0, other, vector.length);
        for (let i = 0; i < vector.length; i++) vector[i] -= along * other[i];
      }
    }
    const length = Math.sqrt(dot(vector, 0, vector, vector.length)), isOwn = length > 1e-12 * before;
    for (let i = 0; i < vector.length; i++) vector[i] = isOwn ? vector[i] / length : 0;
  }
}

/** All eigenvalues and eigenvectors (by columns) of a small symmetric matrix, by Jacobi's rotations. */
function eigenvectors(matrix: Float64Array, n: number): { values: number[]; vectors: Float64Array } {
  const a = matrix.slice(), vectors = new Float64Array(n * n);
  for (let i = 0; i < n; i++) vectors[i * n + i] = 1;
  for (let sweep = 0; sweep < 30; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (a[p * n + q] === 0) continue;
        const theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const c = 1 / Math.sqrt(t * t + 1), s = t * c;
        for (let k = 0; k < n; k++) rotate(a, k * n + p, k * n + q, c, s);
        for (let k = 0; k < n; k++) rotate(a, p * n + k, q * n + k, c, s);
        for (let k = 0; k < n; k++) rotate(vectors, k * n + p, k * n + q, c, s);
      }
    }
  }
  return { values: Array.from({ length: n }, (_, i) => a[i * n + i]), vectors };
}

function rotate(a: Float64Array, i: number, j: number, c: number, s: number): void {
  const first = a[i], second = a[j];
  a[i] = c * first - s * second;
  a[j] = s * first + c * second;
}
