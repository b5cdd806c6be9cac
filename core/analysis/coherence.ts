/**
 * Semantic coherence: whether what the model has at a feature's strongest tokens is alike beyond what the tokens themselves explain.
 *
 * The examples of a feature are its strongest firings, one from each of {@link EXAMPLES} contexts. Let u be a token's source activation, each
 * column centred and scaled as for training, so that a few massive ones do not drown all others, and then brought to length 1. The mean of <u, u'> over pairs of examples is held against what the same token ids give: for each pair the
 * mean of <u, u'> over all pairs of different tokens of the reading set with these two ids, which sums of u by id tell exactly. A feature that fires on one
 * token wherever it stands, or on tokens drawn at random, comes to 0 then.
 *
 * What lies far out along any direction is alike, whether or not the direction means anything. So the same is done for random directions with the second
 * moment of the encoder: their strongest tokens, one from each of as many contexts.
 * @module
 */

import { drawResamples, type Interval, interval95, LEAST_RESAMPLED } from "./bootstrap.ts";
import { featureCounter, type FeatureProgress } from "./coactivation.ts";
import { columnsOf, type FeatureRecord } from "./record.ts";
import { quantile } from "./statistics.ts";
import { tokenProfiles } from "./token_profile.ts";

/** Contexts that a feature or a direction must have an example in; features that fire in fewer are not judged. */
export const EXAMPLES = 16;

/** The most features that are judged, those that fire most: of each all pairs of examples are looked at. */
const MOST_JUDGED = 8192;

/** The percentile of random directions that a feature must beat. */
const PERCENTILE = 0.99;

/** How alike the source is at some examples. */
export interface Likeness {
  /** Mean cosine of the source, as training prepares it, over pairs of examples. */
  readonly cosine: number;
  /** What it would be for tokens of the reading set with the same ids. */
  readonly by_token: number;
  /** `cosine` less `by_token`. */
  readonly coherence: number;
}

/** One feature. */
export interface FeatureCoherence extends Likeness {
  /** Index in the dictionary. */
  readonly feature: number;
  /** Tokens that it fires on. */
  readonly fires: number;
  /** Documents that its examples are of. */
  readonly documents: number;
  /** 95 % interval of `coherence`. */
  readonly ci95: Interval;
  /** Entropy in bits of the tokens that it fires on. */
  readonly token_entropy: number;
  /** The places in the record of its examples, the strongest first. */
  readonly examples: readonly number[];
}

/** The features of a transcoder. */
export interface Coherence {
  /** Tokens of the reading set. */
  readonly tokens: number;
  /** Features that fire in too few contexts, */
  readonly rare: number;
  /** and those that there was no room for, which fire least. */
  readonly left_out: number;
  /** Random directions: how many, the median and the 99th percentile of their coherence. */
  readonly random: { readonly directions: number; readonly median: number; readonly limit: number };
  /** Judged features whose coherence is above that percentile; one in a hundred would be by chance. */
  readonly beyond: number;
  /** The judged features, in the order of the dictionary. */
  readonly features: readonly FeatureCoherence[];
}

/** The exact definition of every figure. */
export const COHERENCE_DEFINITIONS: Readonly<Record<string, string>> = {
  examples:
    `A feature's strongest firings on the reading set, one from each of ${EXAMPLES} contexts; features that fire in fewer contexts are not judged.`,
  cosine:
    "Mean over pairs of examples of the cosine of the model's own activations at the transcoder's source, each column less its mean and scaled as for " +
    "training: as the model has them, a few massive columns would decide alone.",
  by_token:
    "The same mean with each pair replaced by all pairs of different tokens of the reading set that have the same two ids: what the tokens alone explain.",
  coherence:
    "cosine - by_token: 0 for a feature that detects a token, whatever surrounds it. 95 % interval: percentiles 2.5 and 97.5 over 1,000 bootstrap " +
    "resamples of the examples' documents, or of the examples where they are of fewer than five.",
  random:
    "Directions with the second moment of the encoder's, each with the tokens that lie furthest along it, one from each of as many contexts: what " +
    "lies far out along any direction is alike. A feature is coherent beyond chance above the 99th percentile of theirs.",
  token_entropy:
    "Entropy in bits of the token ids in all of a feature's firings on the reading set; 0 where it fires on one alone.",
};

/** A feature and its examples. */
export interface FeatureExamples {
  /** The feature. */
  readonly feature: number;
  /** Tokens that it fires on. */
  readonly fires: number;
  /** Places in the record, the strongest first. */
  readonly tokens: readonly number[];
}

/**
 * The examples of every feature that has enough of them.
 *
 * @param record What a dictionary does on a reading set.
 * @param features Features of the dictionary.
 * @param most The most different tokens that all of them together may name.
 * @returns The judged features, those that fire most first, as many as there is room for; how many there was none for, and how many are too rare.
 */
export function featureExamples(
  record: FeatureRecord,
  features: number,
  most: number,
): { judged: FeatureExamples[]; left_out: number; rare: number } {
  const { start, token, value } = columnsOf(record, features), alive: FeatureExamples[] = [];
  let rare = 0;
  for (let feature = 0; feature < features; feature++) {
    const strongest = new StrongestOfContexts(1);
    for (let at = start[feature]; at < start[feature + 1]; at++) {
      strongest.offer(0, Math.floor(record.place[token[at]] / record.context), token[at], value[at]);
    }
    const tokens = strongest.of(0), fires = start[feature + 1] - start[feature];
    if (tokens.length < EXAMPLES) rare++;
    else alive.push({ feature, fires, tokens });
  }
  alive.sort((a, b) => b.fires - a.fires || a.feature - b.feature);
  const named = new Set<number>(), judged: FeatureExamples[] = [];
  for (const one of alive) {
    for (const t of one.tokens) named.add(t);
    if (named.size > most || judged.length === MOST_JUDGED) break;
    judged.push(one);
  }
  return { judged, left_out: alive.length - judged.length, rare };
}

/** For each of several directions the contexts with the largest values, and where in each. Tokens are offered context by context. */
class StrongestOfContexts {
  readonly #kept: { context: number; token: number; value: number }[][];
  /** The value that a further context must beat. */
  readonly #least: Float64Array;

  constructor(directions: number) {
    this.#kept = Array.from({ length: directions }, () => []);
    this.#least = new Float64Array(directions).fill(-Infinity);
  }

  /** Takes a token; returns its slot where it is kept, else -1. Equal values stay in the order in which they came. */
  offer(direction: number, context: number, token: number, value: number): number {
    if (!(value > this.#least[direction])) return -1;
    const kept = this.#kept[direction];
    let slot = kept.findIndex((other) => other.context === context);
    if (slot >= 0 && !(value > kept[slot].value)) return -1;
    if (slot < 0 && kept.length < EXAMPLES) slot = kept.length;
    if (slot < 0) slot = kept.findIndex((other) => other.value === this.#least[direction]);
    kept[slot] = { context, token, value };
    if (kept.length === EXAMPLES) this.#least[direction] = Math.min(...kept.map((one) => one.value));
    return slot;
  }

  /** The tokens of a direction, the strongest first. */
  of(direction: number): number[] {
    return this.#kept[direction].toSorted((a, b) => b.value - a.value || a.token - b.token).map(({ token }) => token);
  }
}

/** What becomes of the columns of the source: (x - mean) * scale. */
export interface SourceColumns {
  /** [width] */
  readonly mean: Float64Array;
  /** [width], above 0. */
  readonly scale: Float64Array;
}

/** What is to be held against what. */
export interface CoherenceSetup {
  /** What the dictionary does on the reading set. */
  readonly record: FeatureRecord;
  /** From {@link featureExamples}. */
  readonly judged: readonly FeatureExamples[];
  /** How the source is prepared. */
  readonly columns: SourceColumns;
  /** How many random directions there are. */
  readonly directions: number;
}

/** Takes in the source of a reading set, token by token. */
export class CoherenceTally {
  readonly #setup: CoherenceSetup;
  readonly #width: number;
  /** By token of the record: where its unit vector is kept, -1 where it is no example. */
  readonly #slot: Int32Array;
  readonly #rows: Float32Array;
  /** By id: its number among those that occur. */
  readonly #number: Map<number, number>;
  /** [ids, width] sums of unit vectors, and how many have a length. */
  readonly #sums: Float32Array;
  readonly #counts: Float64Array;
  readonly #strongest: StrongestOfContexts;
  /** [directions, EXAMPLES, width] */
  readonly #far: Float32Array;
  /** [directions, EXAMPLES] tokens of these rows. */
  readonly #farTokens: Int32Array;

  /**
   * Begins with nothing.
   *
   * @param setup Whose examples, and how many directions.
   */
  constructor(setup: CoherenceSetup) {
    const { record: { id }, judged, columns: { mean: { length: width } }, directions } = setup;
    this.#setup = setup;
    this.#width = width;
    this.#slot = new Int32Array(id.length).fill(-1);
    let slots = 0;
    for (const { tokens } of judged) for (const t of tokens) if (this.#slot[t] < 0) this.#slot[t] = slots++;
    this.#rows = new Float32Array(slots * width);
    this.#number = new Map([...new Set(id)].map((one, n) => [one, n]));
    this.#sums = new Float32Array(this.#number.size * width);
    this.#counts = new Float64Array(this.#number.size);
    this.#strongest = new StrongestOfContexts(directions);
    this.#far = new Float32Array(directions * EXAMPLES * width);
    this.#farTokens = new Int32Array(directions * EXAMPLES).fill(-1);
  }

  /**
   * Takes in some tokens; each comes once, in the order of the record.
   *
   * @param tokens Their places in the record.
   * @param source f32 [tokens, width] as the model has it.
   * @param products f32 [tokens, directions] of the source with each random direction.
   */
  add(tokens: readonly number[], source: Float32Array, products: Float32Array): void {
    const { record: { id, place, context }, columns: { mean, scale: factor }, directions } = this.#setup;
    const width = this.#width;
    const unit = new Float32Array(width);
    tokens.forEach((token, row) => {
      let squares = 0;
      for (let d = 0; d < width; d++) squares += ((source[row * width + d] - mean[d]) * factor[d]) ** 2;
      const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0, number = this.#number.get(id[token])!;
      for (let d = 0; d < width; d++) {
        unit[d] = (source[row * width + d] - mean[d]) * factor[d] * scale;
        this.#sums[number * width + d] += unit[d];
      }
      if (scale > 0) this.#counts[number]++;
      if (this.#slot[token] >= 0) this.#rows.set(unit, this.#slot[token] * width);
      const here = Math.floor(place[token] / context);
      for (let direction = 0; direction < directions; direction++) {
        const slot = this.#strongest.offer(direction, here, token, products[row * directions + direction]);
        if (slot < 0) continue;
        this.#far.set(unit, (direction * EXAMPLES + slot) * width);
        this.#farTokens[direction * EXAMPLES + slot] = token;
      }
    });
  }

  /**
   * Makes the figures.
   *
   * @param missed Features that {@link featureExamples} did not judge.
   * @param onProgress Hears of the features measured.
   * @returns Every judged feature, and the random directions.
   */
  figures(missed: Pick<Coherence, "rare" | "left_out">, onProgress?: FeatureProgress): Coherence {
    const { record, judged, directions } = this.#setup, width = this.#width;
    const columns = columnsOf(record, record.groups.reduce((sum, size) => sum + size, 0));
    const onFeature = featureCounter(judged.length + directions, onProgress), resamplesOf = memo(drawResamples);
    const random: number[] = [];
    for (let direction = 0; direction < directions; direction++) {
      const tokens = [...this.#farTokens.subarray(direction * EXAMPLES, (direction + 1) * EXAMPLES)];
      onFeature();
      if (tokens.includes(-1)) continue;
      random.push(mean(this.#pairs(tokens, this.#far, (n) => (direction * EXAMPLES + n) * width).beyond));
    }
    random.sort((a, b) => a - b);
    const limit = quantile(random, PERCENTILE);
    const entropies = new Map(
      tokenProfiles(columns, record, 0, judged.map(({ feature }) => feature)).map(({ entropy }, n) => [n, entropy]),
    );
    const features = judged.map(({ feature, fires, tokens }, n): FeatureCoherence => {
      const { cosines, byToken, beyond } = this.#pairs(tokens, this.#rows, (n) => this.#slot[tokens[n]] * width);
      const documents = tokens.map((token) => record.document[token]), coherence = mean(beyond);
      onFeature();
      return {
        ...{ feature, fires, documents: new Set(documents).size, cosine: mean(cosines), by_token: mean(byToken) },
        ...{ coherence, ci95: pairInterval(beyond, documents, resamplesOf), token_entropy: entropies.get(n)! },
        examples: tokens,
      };
    }).sort((a, b) => a.feature - b.feature);
    return {
      ...{ tokens: record.place.length, ...missed },
      random: { directions: random.length, median: quantile(random, 0.5), limit },
      beyond: features.filter(({ coherence }) => coherence > limit).length,
      features,
    };
  }

  /** Of each pair of examples, in the order of their numbers: its cosine, what its ids explain, and the difference. */
  #pairs(tokens: readonly number[], rows: Float32Array, offset: (n: number) => number) {
    const { record: { id } } = this.#setup, width = this.#width, sums = this.#sums, counts = this.#counts;
    const numbers = tokens.map((token) => this.#number.get(id[token])!);
    const cosines: number[] = [], byToken: number[] = [], beyond: number[] = [];
    for (let i = 1; i < tokens.length; i++) {
      for (let j = 0; j < i; j++) {
        const cosine = product(rows, offset(i), rows, offset(j), width), [v, w] = [numbers[i], numbers[j]];
        const together = product(sums, v * width, sums, w * width, width);
        // Pairs of a token with itself are none.
        const pairs = v === w ? counts[v] * (counts[v] - 1) : counts[v] * counts[w];
        const expected = pairs > 0 ? (v === w ? together - counts[v] : together) / pairs : 0;
        cosines.push(cosine);
        byToken.push(expected);
        beyond.push(cosine - expected);
      }
    }
    return { cosines, byToken, beyond };
  }
}

/** The interval of a mean over pairs when their ends are resampled; an example drawn twice makes no pair with itself. */
function pairInterval(
  pairs: readonly number[],
  documents: readonly number[],
  resamplesOf: (items: number) => readonly Uint16Array[],
): Interval {
  const distinct = [...new Set(documents)], isByDocument = distinct.length >= LEAST_RESAMPLED;
  const unit = documents.map((document, n) => isByDocument ? distinct.indexOf(document) : n);
  return interval95(Float64Array.from(resamplesOf(isByDocument ? distinct.length : documents.length), (counts) => {
    let sum = 0, weight = 0;
    for (let i = 1, at = 0; i < documents.length; i++) {
      for (let j = 0; j < i; j++, at++) {
        const drawn = counts[unit[i]] * counts[unit[j]];
        sum += drawn * pairs[at];
        weight += drawn;
      }
    }
    // A resample of one example alone says that nothing differs.
    return weight > 0 ? sum / weight : 0;
  }));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function product(a: Float32Array, from: number, b: Float32Array, to: number, width: number): number {
  // Two sums need not wait for each other.
  let even = 0, odd = 0, d = 0;
  for (; d + 1 < width; d += 2) {
    even += a[from + d] * b[to + d];
    odd += a[from + d + 1] * b[to + d + 1];
  }
  return d < width ? even + odd + a[from + d] * b[to + d] : even + odd;
}

function memo<T>(make: (key: number) => T): (key: number) => T {
  const made = new Map<number, T>();
  return (key) => {
    if (!made.has(key)) made.set(key, make(key));
    return made.get(key)!;
  };
}
