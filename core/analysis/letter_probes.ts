/**
 * Probes for the first letters of words, as SAEBench fits them (version 0.6.0): on activations, and on few features of a dictionary.
 *
 * SAEBench fits by Adam and stops after 50 epochs. Here each probe is at its optimum, so that nothing depends on the draw of first weights, on the
 * order of the words or on how many they are.
 * @module
 */

import { denseRows, type Design, fitLogistic, scoresOf, type SparseRows, sparseRows } from "./logistic.ts";

/** A letter is split among one feature more where F1 rises by more than this. */
export const SPLIT_JUMP = 0.03;

/** The most features that a letter is split among. */
const MOST_SPLIT = 10;

/** A column whose variance is no larger, beside its squared mean, never changes: float32 has no finer steps. */
const ROUNDING = 1e-14;

/**
 * What squares of a probe's weights cost beside the sum over all words, in columns of variance 1: 1 / C with scikit-learn's C = 0.1. On 2,400 words at layer
 * 12 of Gemma 3 270M, a tenth and ten times as much made probes worse.
 */
const PROBE_L2 = 10;

/** What magnitudes of the weights on features cost, and their squares. */
const FEATURES_L1 = 0.01, FEATURES_L2 = 1e-6;

/** What squares of the weights on few features cost beside the sum over all words: scikit-learn's default. */
const SPLIT_L2 = 1;

/** Words, what was read at each and what fired there. */
export interface ProbedWords {
  /** Each word's text. */
  readonly texts: readonly string[];
  /** What each begins with, from a to z. */
  readonly letters: readonly string[];
  /** How many of them, from the first, probes are fitted to; the others judge. */
  readonly train: number;
  /** [words, width] */
  readonly source: Float32Array;
  /** The width of the source. */
  readonly width: number;
  /** What fires at each word. */
  readonly features: SparseRows;
  /** Features of the dictionary. */
  readonly featureCount: number;
}

/** A probe of a letter. */
export interface LetterProbe {
  /** F1 on the words that judge; 0 where none begins with the letter. */
  readonly f1: number;
  /** [width] its weights on the source as it is, scaled to length 1; null where no word that it could be fitted to begins with the letter. */
  readonly direction: Float64Array | null;
  /** Words that judge, begin with the letter and are known to. */
  readonly truePositives: readonly number[];
}

/** The features that a letter is split among. */
export interface LetterFeatures {
  /** They, the strongest first. */
  readonly features: readonly number[];
  /** F1 of a regression on them, on the words that judge. */
  readonly f1: number;
}

/**
 * F1 of what is said.
 *
 * @param said Whether each is said to be positive.
 * @param isPositive Whether it is.
 * @returns 2 TP / (2 TP + FP + FN); 0 where nothing is positive.
 */
export function f1Of(said: readonly boolean[], isPositive: (row: number) => boolean): number {
  let both = 0, either = 0;
  said.forEach((one, row) => {
    const is = isPositive(row);
    both += one && is ? 2 : 0;
    either += Number(one) + Number(is);
  });
  return both === 0 ? 0 : both / either;
}

/** Fits probes to words. */
export class LetterProbes {
  /** [width] the source's mean over the words that probes are fitted to. */
  readonly mean: Float64Array;
  readonly #words: ProbedWords;
  /** [width] 1 / standard deviation; 0 where there is none. */
  readonly #scale: Float64Array;
  /** The source in columns of mean 0 and variance 1. */
  readonly #train: Design;
  readonly #test: Design;
  /** Likewise features, in units of the root mean square of all that fires. */
  readonly #features: Design;
  readonly #unit: number;

  /**
   * Prepares columns.
   *
   * @param words The words; some for either part.
   */
  constructor(words: ProbedWords) {
    const { train, source, width, features, featureCount } = words;
    this.#words = words;
    this.mean = new Float64Array(width);
    this.#scale = new Float64Array(width);
    for (let at = 0; at < train * width; at++) this.mean[at % width] += source[at] / train;
    for (let at = 0; at < train * width; at++) {
      this.#scale[at % width] += (source[at] - this.mean[at % width]) ** 2 / train;
    }
    this.#scale.forEach((variance, c) => {
      this.#scale[c] = variance > ROUNDING * this.mean[c] ** 2 ? 1 / Math.sqrt(variance) : 0;
    });
    const columns = source.map((value, at) => (value - this.mean[at % width]) * this.#scale[at % width]);
    this.#train = denseRows(columns.subarray(0, train * width), width);
    this.#test = denseRows(columns.subarray(train * width), width);
    const fired = features.value.subarray(0, features.rowStart[train]);
    this.#unit = 1 / Math.sqrt(fired.reduce((sum, value) => sum + value * value, 0) / fired.length || 1);
    this.#features = sparseRows(features, train, featureCount, this.#unit);
  }

  /** How many words of a part begin with a letter. */
  count(letter: string, part: "train" | "test"): number {
    const { letters, train } = this.#words;
    return letters.filter((one, word) => one === letter && (part === "train") === (word < train)).length;
  }

  /** The probe on activations: positive words weigh as much as all others. */
  probe(letter: string): LetterProbe {
    const { train } = this.#words, positives = this.count(letter, "train");
    if (positives === 0 || positives === train) return { f1: 0, direction: null, truePositives: [] };
    const fit = fitLogistic(this.#train, this.#isTrain(letter), { ...this.#balanced(letter), l2: PROBE_L2 });
    const said = Array.from(scoresOf(this.#test, fit), (score) => score > 0), isPositive = this.#isTest(letter);
    const raw = fit.weights.map((weight, c) => weight * this.#scale[c]);
    const length = Math.sqrt(raw.reduce((sum, weight) => sum + weight * weight, 0));
    return {
      f1: f1Of(said, isPositive),
      direction: length > 0 ? raw.map((weight) => weight / length) : null,
      truePositives: said.flatMap((one, row) => one && isPositive(row) ? [train + row] : []),
    };
  }

  /** The features that a letter is split among; null where none speaks for it. */
  splitFeatures(letter: string): LetterFeatures | null {
    const ranked = this.#speakers(letter);
    let found: LetterFeatures | null = null;
    for (let k = 1; k <= ranked.length; k++) {
      const features = ranked.slice(0, k), f1 = this.#splitF1(letter, features);
      if (found && f1 <= found.f1 + SPLIT_JUMP) break;
      found = { features, f1 };
    }
    return found;
  }

  /** Features with the largest weights in an l1 probe, of those above 0. */
  #speakers(letter: string): number[] {
    const { train } = this.#words, positives = this.count(letter, "train");
    const negative = 1 / train, positive = negative * (train - positives) / positives;
    const penalties = { positive, negative, l1: FEATURES_L1, l2: FEATURES_L2 };
    const { weights } = fitLogistic(this.#features, this.#isTrain(letter), penalties);
    const speaking = Array.from(weights.keys()).filter((feature) => weights[feature] > 0);
    return speaking.sort((a, b) => weights[b] - weights[a] || a - b).slice(0, MOST_SPLIT);
  }

  /** F1 of a regression on some features whose classes weigh the same. */
  #splitF1(letter: string, features: readonly number[]): number {
    const all = this.#columns(features), at = this.#words.train * features.length;
    const penalties = { ...this.#balanced(letter), l2: SPLIT_L2 };
    const fit = fitLogistic(denseRows(all.subarray(0, at), features.length), this.#isTrain(letter), penalties);
    const test = denseRows(all.subarray(at), features.length);
    return f1Of(Array.from(scoresOf(test, fit), (score) => score > 0), this.#isTest(letter));
  }

  /** The weight of each word where those of a letter weigh as much as all others, and all as much as they are. */
  #balanced(letter: string): { positive: number; negative: number } {
    const { train } = this.#words, positives = this.count(letter, "train");
    return { positive: train / 2 / positives, negative: train / 2 / (train - positives) };
  }

  /** [words, features] some features' activations, in the unit of all. */
  #columns(features: readonly number[]): Float64Array {
    const { letters, features: { rowStart, index, value } } = this.#words, columns = features.length;
    const place = new Map(features.map((feature, c) => [feature, c]));
    const matrix = new Float64Array(letters.length * columns);
    for (let word = 0; word < letters.length; word++) {
      for (let at = rowStart[word]; at < rowStart[word + 1]; at++) {
        const c = place.get(index[at]);
        if (c !== undefined) matrix[word * columns + c] = value[at] * this.#unit;
      }
    }
    return matrix;
  }

  #isTrain(letter: string): (row: number) => boolean {
    return (row) => this.#words.letters[row] === letter;
  }

  #isTest(letter: string): (row: number) => boolean {
    return (row) => this.#words.letters[this.#words.train + row] === letter;
  }
}
