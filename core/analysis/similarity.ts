/**
 * How alike features are: by what they write and read (cosines of decoder and encoder rows) and by when they fire (correlation of activations,
 * Jaccard index of firing). Each stands beside what chance gives: random directions of the same second moment, and the same activations with
 * shuffled contexts.
 * @module
 */

import { type RandomGenerator, randomGenerator } from "../random.ts";
import {
  activationSums,
  correlation,
  eachWithPartners,
  featureCounter,
  type FeatureProgress,
  shuffledContexts,
} from "./coactivation.ts";
import { comparableContexts } from "./context_similarity.ts";
import { cosine, type Directions } from "./directions.ts";
import { factorize } from "./least_squares.ts";
import { type Neighbour, Neighbours } from "./neighbours.ts";
import { columnsOf, type FeatureRecord } from "./record.ts";
import { type Histogram, histogram, summarize, type Summary } from "./statistics.ts";

/** Neighbours kept of each feature. */
export const NEIGHBOURS = 10;

/** The bands that pairs are counted in, as the original project counted them. */
const BANDS = [0.95, 0.9, 0.8];

/** Pairs above this, by cosine and by correlation, are duplicates. */
const DUPLICATE = 0.9;

/** A feature that fires on fewer tokens is absorbed by anything. */
const LEAST_FIRES = 10;

/** Pairs that are listed; all are counted. */
const LISTED = 1000;

/** Bins of cosines from -1 to 1, and of the largest that features have. */
const BINS = 200, LARGEST_BINS = 100;

/** Separates the draws from other uses of the generator. */
const SHUFFLE_STREAM = 0x73696d69, DIRECTION_STREAM = 0x64697265;

/** A part of the matrix of all cosines. */
export interface CosineBlock {
  /** The feature of its first row, and how many it has. */
  readonly firstRow: number;
  /** Rows. */
  readonly rows: number;
  /** The feature of its first column, and how many it has. */
  readonly firstColumn: number;
  /** Columns. */
  readonly columns: number;
  /** [rows, columns] */
  readonly values: Float32Array;
}

/** Pairs of features whose cosine is at least so large. */
export interface Band {
  /** The least cosine. */
  readonly least: number;
  /** Pairs. */
  readonly pairs: number;
  /** Features that are in at least one of them. */
  readonly features: number;
}

/** The cosines of all pairs of rows. */
export interface Cosines {
  /** Summary over features of the largest cosine with another. */
  readonly largest: Summary;
  /** Features by that, in 100 bins from -1 to 1. */
  readonly largest_histogram: Histogram;
  /** Pairs in bands. */
  readonly bands: readonly Band[];
  /** All pairs. */
  readonly histogram: Histogram;
  /** [groups][groups] mean |cosine| of a feature of the one and another feature of the other; NaN where there are none. */
  readonly absolute: readonly (readonly number[])[];
  /** [features] the nearest of each, nearest first. */
  readonly neighbours: readonly (readonly Neighbour[])[];
}

/** Takes in the upper triangle of the matrix of cosines, block by block. */
export class CosineTally {
  readonly #features: number;
  readonly #neighbours: Neighbours;
  readonly #counts = new Array<number>(BINS).fill(0);
  readonly #pairs = BANDS.map(() => 0);
  readonly #groups: readonly number[];
  /** [features] */
  readonly #groupOf: Uint32Array;
  /** [groups, groups] sums of |cosine|, of the row's group and the column's. */
  readonly #absolute: Float64Array;

  /**
   * Begins with no pair.
   *
   * @param groups Features per Matryoshka group.
   */
  constructor(groups: readonly number[]) {
    this.#groups = groups;
    this.#groupOf = Uint32Array.from(groups.flatMap((size, group) => new Array<number>(size).fill(group)));
    this.#absolute = new Float64Array(groups.length ** 2);
    this.#features = this.#groupOf.length;
    this.#neighbours = new Neighbours(this.#features, NEIGHBOURS);
  }

  /**
   * Takes in those pairs of a block whose row comes before its column.
   *
   * @param block Any part of the matrix, no pair twice.
   */
  take({ firstRow, rows, firstColumn, columns, values }: CosineBlock): void {
    const groupOf = this.#groupOf, absolute = this.#absolute;
    for (let r = 0; r < rows; r++) {
      const i = firstRow + r, group = groupOf[i] * this.#groups.length;
      for (let c = Math.max(0, i + 1 - firstColumn), at = r * columns + c; c < columns; c++, at++) {
        const value = values[at], j = firstColumn + c;
        absolute[group + groupOf[j]] += Math.abs(value);
        this.#neighbours.offer(i, j, value);
        this.#neighbours.offer(j, i, value);
        this.#counts[Math.max(0, Math.min(BINS - 1, Math.floor((value + 1) * BINS / 2)))]++;
        for (let band = BANDS.length - 1; band >= 0 && value >= BANDS[band]; band--) this.#pairs[band]++;
      }
    }
  }

  /**
   * What was taken in.
   *
   * @returns The cosines of all pairs.
   */
  result(): Cosines {
    const all = Array.from({ length: this.#features }, (_, i) => i);
    const largest = all.map((i) => this.#neighbours.largest(i));
    return {
      largest: summarize(largest.filter(Number.isFinite)),
      largest_histogram: histogram(largest, LARGEST_BINS, -1, 1),
      bands: BANDS.map((least, band) => ({
        least,
        pairs: this.#pairs[band],
        features: largest.filter((value) => value >= least).length,
      })),
      histogram: { edges: Array.from({ length: BINS + 1 }, (_, i) => -1 + 2 * i / BINS), counts: this.#counts },
      absolute: this.#groups.map((_, a) =>
        this.#groups.map((_, b) => this.#meanBetween(Math.min(a, b), Math.max(a, b)))
      ),
      neighbours: all.map((i) => this.#neighbours.of(i)),
    };
  }

  #meanBetween(a: number, b: number): number {
    const pairs = a === b ? this.#groups[a] * (this.#groups[a] - 1) / 2 : this.#groups[a] * this.#groups[b];
    return this.#absolute[a * this.#groups.length + b] / pairs;
  }
}

/** Directions drawn at random: the rows of z U have the second moment that was asked for, and are otherwise without structure. */
export interface RandomDirections {
  /** U, [width, width], upper triangular. */
  readonly u: Float32Array<ArrayBuffer>;
  /** Draws the next rows of z, [rows, width]: all of them would be as large as the dictionary. */
  readonly draw: (rows: number) => Float32Array<ArrayBuffer>;
}

/**
 * Random numbers and what to multiply them with to have random directions of the same second moment as a dictionary's: rows of z U have
 * the mean of d d^T over its rows d, and are otherwise without structure.
 *
 * @param moment [width, width] that mean; overwritten.
 * @param width How wide they are.
 * @param count How many are going to be drawn.
 * @returns What draws z, and U.
 */
export function randomDirections(moment: Float64Array, width: number, count: number): RandomDirections {
  let trace = 0;
  for (let c = 0; c < width; c++) trace += moment[c * width + c];
  factorizeAnyway(moment, width, trace / width);
  const random: RandomGenerator = randomGenerator(0, DIRECTION_STREAM, count, width);
  const u = new Float32Array(width * width);
  for (let r = 0; r < width; r++) for (let at = r * width + r; at < (r + 1) * width; at++) u[at] = moment[at];
  return {
    u,
    draw(rows) {
      const z = new Float32Array(rows * width);
      for (let at = 0; at < z.length; at++) z[at] = random.gaussian();
      return z;
    },
  };
}

/**
 * Factorizes a matrix that is positive definite but for rounding. Fewer rows than dimensions span less than all; a millionth of the mean
 * makes the matrix one that can be factorised, and more does where all rows are nearly one, so that float32's rounding outweighs that.
 */
function factorizeAnyway(matrix: Float64Array, width: number, mean: number): void {
  const diagonal = Float64Array.from({ length: width }, (_, c) => matrix[c * width + c]);
  for (let share = 1e-6;; share *= 10) {
    for (let c = 0; c < width; c++) matrix[c * width + c] = diagonal[c] + share * mean + Number.MIN_VALUE;
    try {
      return factorize(matrix, width);
    } catch (error) {
      if (!(error instanceof RangeError) || share > width) throw error;
    }
    // The upper triangle is as it was until all is done.
    for (let r = 0; r < width; r++) for (let c = 0; c < r; c++) matrix[r * width + c] = matrix[c * width + r];
  }
}

/** Two features that are alike. */
export interface AlikePair {
  /** One, the lower number. */
  readonly a: number;
  /** The other. */
  readonly b: number;
  /** Cosine of their decoder rows. */
  readonly cosine: number;
  /** Correlation of their activations. */
  readonly correlation: number;
  /** Share of the tokens on which at least one fires on which both do. */
  readonly jaccard: number;
  /** Mean TF-IDF cosine of the words around their strongest firings, in different contexts; NaN where there are none. */
  readonly context_cosine: number;
}

/** A feature that fires only where another does. */
export interface AbsorbedPair {
  /** The one that fires nowhere else. */
  readonly inner: number;
  /** The one that fires everywhere there. */
  readonly outer: number;
  /** Tokens on which the inner one fires. */
  readonly fires: number;
  /** Share of the outer one's firings that these are. */
  readonly share: number;
  /** As of {@link AlikePair}. */
  readonly context_cosine: number;
}

/** A measure of firing together over all features. */
export interface FiringSimilarity {
  /** Summary over features that fire of the largest value with another. */
  readonly largest: Summary;
  /** The same once the contexts of the other are shuffled. */
  readonly by_chance: Summary;
  /** Features by the largest value, in 100 bins from -1 to 1. */
  readonly largest_histogram: Histogram;
  /** The same by chance. */
  readonly by_chance_histogram: Histogram;
  /** [features] the nearest of each, nearest first. */
  readonly neighbours: readonly (readonly Neighbour[])[];
}

/** A feature and the other one that it fires most alike. */
export type NearestPair = Omit<AlikePair, "jaccard">;

/** When features fire together. */
export interface FiringSimilarities {
  /** Tokens of the record. */
  readonly tokens: number;
  /** Pearson's correlation of activations over all tokens. */
  readonly correlation: FiringSimilarity;
  /** Tokens on which both fire by those on which at least one does. */
  readonly jaccard: FiringSimilarity;
  /** The pairs of a feature that fires ten times or more and the other such one with the largest correlation, the nearest first. */
  readonly nearest: readonly NearestPair[];
  /** How many pairs are duplicates: decoder cosine and correlation above 0.9. */
  readonly duplicate_pairs: number;
  /** The nearest of them, by correlation. */
  readonly duplicates: readonly AlikePair[];
  /** How many ordered pairs have one that fires only where the other does, of those that fire ten times or more. */
  readonly absorbed_pairs: number;
  /** How many there are once contexts are shuffled. */
  readonly absorbed_by_chance: number;
  /** Those whose inner feature fires most. */
  readonly absorbed: readonly AbsorbedPair[];
  /** The mean of `context_cosine` between the features of all pairs listed and excerpts around random tokens; NaN where none is listed. */
  readonly context_cosine_by_chance: number;
}

/**
 * Compares the firing of all pairs of features.
 *
 * @param record What the dictionary does on a reading set.
 * @param decoder Its decoder rows.
 * @param onProgress Hears of the features looked at.
 * @returns What is alike, and what would be by chance.
 */
export function firingSimilarities(
  record: FeatureRecord,
  decoder: Directions,
  onProgress?: FeatureProgress,
): FiringSimilarities {
  const tokens = record.place.length, features = decoder.rows.length / decoder.width;
  const columns = columnsOf(record, features), sums = activationSums(columns, tokens), { fires } = sums;
  const beside = shuffledContexts(record, randomGenerator(0, SHUFFLE_STREAM));
  const onFeature = featureCounter(2 * features, onProgress);
  const compared = (beside?: Uint32Array) => {
    const correlations = new Neighbours(features, NEIGHBOURS), jaccards = new Neighbours(features, NEIGHBOURS);
    const duplicates = new Listed<Omit<AlikePair, "context_cosine">>((a, b) =>
      b.correlation - a.correlation || a.a - b.a || a.b - b.b
    );
    const absorbed = new Listed<Omit<AbsorbedPair, "context_cosine">>((a, b) =>
      b.fires - a.fires || b.share - a.share || a.inner - b.inner
    );
    eachWithPartners(columns, record, features, ({ feature, partners, together, products }) => {
      for (let at = 0; at < partners.length; at++) {
        const other = partners[at];
        if (other === feature) continue;
        const both = together[other], jaccard = both / (fires[feature] + fires[other] - both);
        const alike = correlation(products[other], sums, feature, sums, other);
        correlations.offer(feature, other, alike);
        jaccards.offer(feature, other, jaccard);
        if (feature < other && alike > DUPLICATE) {
          const near = cosine(decoder, feature, other);
          if (near > DUPLICATE) duplicates.add({ a: feature, b: other, cosine: near, correlation: alike, jaccard });
        }
        if (both === fires[feature] && both >= LEAST_FIRES) {
          absorbed.add({ inner: feature, outer: other, fires: both, share: both / fires[other] });
        }
      }
    }, { beside, onFeature });
    return { correlations, jaccards, duplicates, absorbed };
  };
  const found = compared(), chance = compared(beside), all = Array.from(fires, (_, i) => i);
  const largest = (of: Neighbours) => all.map((i) => of.largest(i)).filter(Number.isFinite);
  const counted = (values: readonly number[]) => histogram(values, LARGEST_BINS, -1, 1);
  const similarity = (of: "correlations" | "jaccards"): FiringSimilarity => ({
    largest: summarize(largest(found[of])),
    by_chance: summarize(largest(chance[of])),
    largest_histogram: counted(largest(found[of])),
    by_chance_histogram: counted(largest(chance[of])),
    neighbours: all.map((i) => found[of].of(i)),
  });
  const nearest = nearestPairs(found.correlations, decoder, fires);
  const duplicates = found.duplicates.first(), absorbed = found.absorbed.first();
  const alike = [...nearest, ...duplicates].flatMap(({ a, b }) => [a, b]);
  const listed = [...alike, ...absorbed.flatMap(({ inner, outer }) => [inner, outer])];
  const contexts = comparableContexts(record, columns, listed);
  const withContexts = <P extends { readonly a: number; readonly b: number }>(pair: P) => ({
    ...pair,
    context_cosine: contexts.between(pair.a, pair.b),
  });
  return {
    tokens,
    correlation: similarity("correlations"),
    jaccard: similarity("jaccards"),
    nearest: nearest.map(withContexts),
    duplicate_pairs: found.duplicates.count,
    duplicates: duplicates.map(withContexts),
    absorbed_pairs: found.absorbed.count,
    absorbed_by_chance: chance.absorbed.count,
    absorbed: absorbed.map((pair) => ({ ...pair, context_cosine: contexts.between(pair.inner, pair.outer) })),
    context_cosine_by_chance: contexts.by_chance,
  };
}

function nearestPairs(correlations: Neighbours, decoder: Directions, fires: Uint32Array) {
  const pairs = new Map<string, Omit<NearestPair, "context_cosine">>();
  fires.forEach((count, i) => {
    if (count < LEAST_FIRES) return;
    const nearest = correlations.of(i).find(({ feature }) => fires[feature] >= LEAST_FIRES);
    if (nearest === undefined) return;
    const a = Math.min(i, nearest.feature), b = Math.max(i, nearest.feature);
    pairs.set(`${a} ${b}`, { a, b, cosine: cosine(decoder, a, b), correlation: nearest.value });
  });
  return [...pairs.values()].sort((x, y) => y.correlation - x.correlation || x.a - y.a || x.b - y.b).slice(0, LISTED);
}

/** The first {@link LISTED} of any number of things in an order, in bounded memory. */
class Listed<T> {
  /** How many were added. */
  count = 0;
  #kept: T[] = [];
  readonly #compare: (a: T, b: T) => number;

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare;
  }

  add(one: T): void {
    this.count++;
    this.#kept.push(one);
    if (this.#kept.length >= 10 * LISTED) this.#kept = this.first();
  }

  first(): T[] {
    return this.#kept.toSorted(this.#compare).slice(0, LISTED);
  }
}
