/**
 * How each feature fires: how its activations are distributed, whether it fires in bursts, where in a context, and in which documents.
 * @module
 */

import { permutation, randomGenerator } from "../random.ts";
import { featureCounter, type FeatureProgress, shuffledContexts } from "./coactivation.ts";
import { contextBins, placeProfiles, POSITION_BINS } from "./places.ts";
import { type ActivationColumns, columnsOf, contextStarts, type FeatureRecord } from "./record.ts";
import { moments } from "./statistics.ts";

/** Tokens before one in which a feature may have fired. */
const RECENT = 8;

/** The share of the largest activations that the tail is measured on, and the fewest of them. */
const TAIL_SHARE = 0.1, LEAST_TAIL = 10;

/** Separates the draws from other uses of the generator. */
const SHUFFLE_STREAM = 0x70617474, DRAW_STREAM = 0x64726177;

/** How one feature fires. Figures of features that fire too rarely for them are NaN. */
export interface FeaturePattern {
  /** The feature. */
  readonly feature: number;
  /** Tokens that it fires on. */
  readonly fires: number;
  /** Mean of its activations where it fires. */
  readonly mean: number;
  /** Their standard deviation. */
  readonly std: number;
  /** Their skewness, the third central moment by the cube of the standard deviation: 0 where they are symmetric, 2 where exponential. */
  readonly skewness: number;
  /**
   * Hill's estimate of the exponent of their tail, from the largest tenth: P(a > x) falls as x^-exponent. Small exponents mean that a few
   * activations are far larger than all others.
   */
  readonly tail_exponent: number;
  /** How much likelier it fires within 8 tokens behind a firing in the same context than anywhere; 1 where firings come singly. */
  readonly burstiness: number;
  /** The same of as many tokens drawn at random. */
  readonly burstiness_by_chance: number;
  /** [{@link POSITION_BINS}] how likely it fires in each eighth of a context, as a multiple of how likely it fires anywhere. */
  readonly position_profile: readonly number[];
  /** How many bits a firing tells of the eighth of the context that it is in, less what so many firings tell by chance. */
  readonly position_bits: number;
  /** The same of as many tokens drawn at random. */
  readonly position_bits_by_chance: number;
  /** Gini coefficient of its firings over documents: 0 where it fires as often per token in each, near 1 where all are in few. */
  readonly document_gini: number;
  /** The same once contexts are shuffled among documents. */
  readonly document_gini_by_chance: number;
}

/**
 * Measures how features fire.
 *
 * @param record What a dictionary does on a reading set.
 * @param features Features of the dictionary.
 * @param onProgress Hears of the features measured.
 * @returns One pattern per feature.
 */
export function featurePatterns(
  record: FeatureRecord,
  features: number,
  onProgress?: FeatureProgress,
): FeaturePattern[] {
  const columns = columnsOf(record, features), tokens = record.place.length;
  const bin = contextBins(record), profileOf = placeProfiles(bin);
  const inBin = new Float64Array(POSITION_BINS);
  for (const one of bin) inBin[one]++;
  const documents = new DocumentRates(record), beside = shuffledContexts(record, randomGenerator(0, SHUFFLE_STREAM));
  const order = permutation(tokens, randomGenerator(0, DRAW_STREAM)), ends = contextEnds(record);
  const onFeature = featureCounter(features, onProgress);
  return Array.from({ length: features }, (_, feature) => {
    const from = columns.start[feature], end = columns.start[feature + 1], fires = end - from;
    const token = columns.token.subarray(from, end);
    const drawn = token.map((_, n) => order[(from + n) % tokens]).sort();
    const binned = (token: Uint32Array) => {
      const counts = new Float64Array(POSITION_BINS);
      for (const t of token) counts[bin[t]]++;
      return counts;
    };
    const counts = binned(token);
    onFeature();
    return {
      ...{ feature, fires, ...distribution(columns, feature) },
      burstiness: burstiness(token, ends, tokens),
      burstiness_by_chance: burstiness(drawn, ends, tokens),
      position_profile: profileOf(token),
      position_bits: positionBits(counts, inBin, fires, tokens),
      position_bits_by_chance: positionBits(binned(drawn), inBin, fires, tokens),
      document_gini: documents.gini(token),
      document_gini_by_chance: documents.gini(token.map((t) => beside[t])),
    };
  });
}

function distribution({ start, value }: ActivationColumns, feature: number) {
  const values = value.subarray(start[feature], start[feature + 1]), fires = values.length;
  if (fires === 0) return { mean: NaN, std: NaN, skewness: NaN, tail_exponent: NaN };
  const { mean, std } = moments(values);
  let cubes = 0;
  for (const one of values) cubes += (one - mean) ** 3;
  const falling = values.toSorted().reverse(), count = Math.floor(TAIL_SHARE * fires);
  let logs = 0;
  for (let i = 0; i < count; i++) logs += Math.log(falling[i] / falling[count]);
  return {
    ...{ mean, std },
    skewness: std > 0 ? cubes / fires / std ** 3 : NaN,
    tail_exponent: count >= LEAST_TAIL && logs > 0 ? count / logs : NaN,
  };
}

/** [tokens] one past the last token of each one's context. */
function contextEnds(record: FeatureRecord): Uint32Array {
  const starts = contextStarts(record), ends = new Uint32Array(record.place.length);
  for (let c = 0; c + 1 < starts.length; c++) ends.fill(starts[c + 1], starts[c], starts[c + 1]);
  return ends;
}

/** The rate on tokens that have a firing among the {@link RECENT} before them, by the rate on all. */
function burstiness(token: Uint32Array, ends: Uint32Array, tokens: number): number {
  let behind = 0, again = 0, reached = 0;
  for (const t of token) {
    if (t < reached) again++;
    const end = Math.min(ends[t], t + 1 + RECENT);
    behind += Math.max(0, end - Math.max(t + 1, reached));
    reached = Math.max(reached, end);
  }
  return behind > 0 ? again / behind / (token.length / tokens) : NaN;
}

/** Kullback-Leibler divergence of where it fires from where tokens are, less its mean for so many draws (Miller and Madow, 1955). */
function positionBits(counts: Float64Array, inBin: Float64Array, fires: number, tokens: number): number {
  if (fires === 0) return NaN;
  let bits = 0, used = 0;
  counts.forEach((count, b) => {
    if (inBin[b] > 0) used++;
    if (count > 0) bits += count / fires * Math.log2(count / fires / (inBin[b] / tokens));
  });
  return bits - (used - 1) / (2 * fires * Math.LN2);
}

/** Firings per token of each document. */
class DocumentRates {
  readonly #document: Uint32Array;
  readonly #tokens: Float64Array;
  readonly #counts: Float64Array;

  constructor({ document, documents }: Pick<FeatureRecord, "document" | "documents">) {
    this.#document = document;
    this.#tokens = new Float64Array(documents.length);
    this.#counts = new Float64Array(documents.length);
    for (const one of document) this.#tokens[one]++;
  }

  /** Twice the area between the diagonal and the curve of firings over tokens, documents by rising rate. */
  gini(token: Uint32Array): number {
    if (token.length === 0) return NaN;
    const counts = this.#counts.fill(0), sizes = this.#tokens;
    for (const t of token) counts[this.#document[t]]++;
    const order = Uint32Array.from(counts, (_, d) => d).filter((d) => sizes[d] > 0)
      .sort((a, b) => counts[a] * sizes[b] - counts[b] * sizes[a] || a - b);
    let below = 0, area = 0;
    for (const d of order) {
      area += sizes[d] * (2 * below + counts[d]);
      below += counts[d];
    }
    return 1 - area / (this.#document.length * token.length);
  }
}
