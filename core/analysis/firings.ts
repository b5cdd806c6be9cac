/**
 * Where the features of a transcoder fire on a text, how strongly, and what the reconstruction would lose without them.
 * @module
 */

import type { SparseRows } from "./samples.ts";

/** A feature in one context. */
export interface Firing {
  /** The context, by number. */
  readonly context: number;
  /** The tokens of the context that it fires on, ascending. */
  readonly columns: readonly number[];
  /** Its activation on each. */
  readonly values: readonly number[];
}

/** A feature on a text. */
export interface FiredFeature {
  /** The contexts in which it fires, ascending. */
  readonly firings: readonly Firing[];
  /** The sum of its activations in each context of the text. */
  readonly mass: Float64Array;
  /** How much the squared error rises without it, in each context of the text. */
  readonly error: Float64Array;
}

/** Some tokens and what a transcoder makes of them. */
export interface ReconstructedTokens {
  /** Each token's row: its context times the length of a context, plus its column. */
  readonly rows: ArrayLike<number>;
  /** The features that fire on each. */
  readonly features: SparseRows;
  /** f32 [tokens, d_out]: y. */
  readonly target: Float32Array;
  /** f32 [tokens, d_out]: y_hat - y, of the whole dictionary. */
  readonly residual: Float32Array;
}

/** The entries of some tokens: row, feature, activation, rise of the squared error. */
interface Entries {
  readonly row: Uint32Array;
  readonly index: Uint32Array;
  readonly value: Float32Array;
  readonly error: Float64Array;
}

/** Takes in what features do, token by token, in float64. */
export class FiringTally {
  /** Tokens that each feature fires on. */
  readonly fires: Uint32Array;
  /** The sum of each feature's activations. */
  readonly mass: Float64Array;
  /**
   * How much the squared error of the reconstruction rises when each feature alone is taken out of it: the sum over tokens of
   * |r - f W_dec|^2 - |r|^2 = f (f |W_dec|^2 - 2 <r, W_dec>), where r = y_hat - y.
   */
  readonly error: Float64Array;
  /** Tokens taken in. */
  tokens = 0;
  readonly #decoder: Float32Array;
  readonly #squaredNorms: Float64Array;
  readonly #sum: Float64Array;
  readonly #squares: Float64Array;
  readonly #entries: Entries[] = [];

  /**
   * Begins with nothing.
   *
   * @param decoder f32 [features, d_out]: W_dec.
   * @param width d_out.
   */
  constructor(decoder: Float32Array, width: number) {
    const features = decoder.length / width;
    this.fires = new Uint32Array(features);
    this.mass = new Float64Array(features);
    this.error = new Float64Array(features);
    this.#decoder = decoder;
    this.#squaredNorms = Float64Array.from({ length: features }, (_, i) => product(decoder, i, decoder, i, width));
    this.#sum = new Float64Array(width);
    this.#squares = new Float64Array(width);
  }

  /**
   * Takes in some tokens.
   *
   * @param tokens Others than those before.
   */
  add({ rows, features: { rowStart, index, value }, target, residual }: ReconstructedTokens): void {
    const width = this.#sum.length, begin = rowStart[0], entries = rowStart[rows.length] - begin;
    const row = new Uint32Array(entries), error = new Float64Array(entries);
    for (let token = 0; token < rows.length; token++) {
      for (let entry = rowStart[token]; entry < rowStart[token + 1]; entry++) {
        const feature = index[entry], f = value[entry], at = entry - begin;
        row[at] = rows[token];
        error[at] = f * (f * this.#squaredNorms[feature] - 2 * product(residual, token, this.#decoder, feature, width));
        this.fires[feature]++;
        this.mass[feature] += f;
        this.error[feature] += error[at];
      }
      for (let d = 0; d < width; d++) {
        const y = target[token * width + d];
        this.#sum[d] += y;
        this.#squares[d] += y * y;
      }
    }
    this.#entries.push({
      row,
      index: index.slice(begin, begin + entries),
      value: value.slice(begin, begin + entries),
      error,
    });
    this.tokens += rows.length;
  }

  /** sum |y - mean(y)|^2 over all tokens. */
  get variance(): number {
    return this.#squares.reduce((sum, squares, d) => sum + squares - this.#sum[d] ** 2 / this.tokens, 0);
  }

  /**
   * What some features did, context by context.
   *
   * @param features Which, each once.
   * @param contexts Contexts of the text.
   * @param context Tokens of a context.
   * @returns By feature.
   */
  of(features: Iterable<number>, contexts: number, context: number): Map<number, FiredFeature> {
    const found = new Map(Array.from(features, (feature) => {
      const sums = { mass: new Float64Array(contexts), error: new Float64Array(contexts) };
      return [feature, { ...sums, firings: new Map<number, { columns: number[]; values: number[] }>() }];
    }));
    for (const { row, index, value, error } of this.#entries) {
      index.forEach((feature, entry) => {
        const one = found.get(feature);
        if (one === undefined) return;
        const place = Math.floor(row[entry] / context);
        one.mass[place] += value[entry];
        one.error[place] += error[entry];
        const { columns, values } = one.firings.get(place) ?? { columns: [], values: [] };
        columns.push(row[entry] % context);
        values.push(value[entry]);
        one.firings.set(place, { columns, values });
      });
    }
    return new Map(Array.from(found, ([feature, { mass, error, firings }]) => {
      const inOrder = [...firings].sort(([a], [b]) => a - b).map(([context, firing]) => ({ context, ...firing }));
      return [feature, { mass, error, firings: inOrder }];
    }));
  }
}

/** The scalar product of row i of one matrix with row j of another of the same width. */
function product(a: Float32Array, i: number, b: Float32Array, j: number, width: number): number {
  let sum = 0;
  for (let d = 0, at = i * width, to = j * width; d < width; d++) sum += a[at + d] * b[to + d];
  return sum;
}
