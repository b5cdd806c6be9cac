/**
 * First-letter absorption, as SAEBench defines it (version 0.6.0): that the features of a letter stay silent at a word which begins with it, and
 * another feature, one of that word perhaps, carries the letter in their place. {@link ABSORPTION_DEFINITIONS} says what is done otherwise.
 * @module
 */

import { permutation, type RandomGenerator, randomGenerator } from "../random.ts";
import { type LetterFeatures, type LetterProbe, LetterProbes, type ProbedWords, SPLIT_JUMP } from "./letter_probes.ts";

const LETTERS = Array.from("abcdefghijklmnopqrstuvwxyz");

/** A probe that is no better does not know its letter, and with fewer letters that are known nothing is said of a dictionary. */
export const LEAST_F1 = 0.6;
const LEAST_LETTERS = 20;

/** Full absorption: the least cosine of the feature that carries most. */
const FULL_COSINE = 0.025;

/** Absorption fraction: the least cosine of features that may carry, and the most of them. */
const PART_COSINE = 0.1, MOST_ABSORBERS = 3;

/** The least share of the probe's projection that must be carried, in both. */
const LEAST_SHARE = 0.4;

/** How often cosines are dealt out anew. */
const DEALS = 20;

/** Separates those from other uses of the generator. */
const DEAL_STREAM = 0x6465616c;

/** What is measured of some words: SAEBench's names. */
export interface AbsorptionRates {
  /** Share of the words that are absorbed in full. */
  readonly full_absorption_rate: number;
  /** Mean over the words of the part that is absorbed. */
  readonly mean_absorption_fraction: number;
}

/** A word that is absorbed in full. */
export interface AbsorbedWord {
  /** The word, with the space in front where it has one. */
  readonly word: string;
  /** What carries its letter. */
  readonly feature: number;
  /** The cosine of its encoder row with the probe. */
  readonly cosine: number;
  /** Its share of the probe's projection. */
  readonly share: number;
}

/** What a dictionary makes of a letter. */
export interface MeasuredLetter extends AbsorptionRates {
  /** The features that the letter is split among, the strongest first. */
  readonly split_features: readonly number[];
  /** F1 of these together, on the words that judge. */
  readonly split_f1: number;
  /** Words that judge and that the probe knows to begin with the letter: what the rates are of. */
  readonly num_probe_true_positives: number;
  /** How many of those are absorbed in full. */
  readonly num_full_absorption: number;
  /** The same rates once cosines are dealt out among the other features. */
  readonly by_chance: AbsorptionRates;
  /** Those that are absorbed in full, in the order of their shares. */
  readonly absorbed: readonly AbsorbedWord[];
}

/** A letter. */
export interface LetterAbsorption {
  /** The letter. */
  readonly first_letter: string;
  /** Words that begin with it, of those that the probe was fitted to, */
  readonly train_words: number;
  /** and of those that judge. */
  readonly test_words: number;
  /** F1 of the probe on these. */
  readonly probe_f1: number;
  /** Null where the probe does not know the letter, too few letters are known, or no feature speaks for it. */
  readonly measured: MeasuredLetter | null;
}

/** SAEBench's figures of a dictionary, over letters. */
export interface MeanAbsorption {
  /** Of {@link AbsorptionRates.mean_absorption_fraction}. */
  readonly mean_absorption_fraction_score: number;
  /** Of {@link AbsorptionRates.full_absorption_rate}. */
  readonly mean_full_absorption_score: number;
  /** Features that a letter is split among. */
  readonly mean_num_split_features: number;
  /** F1 of these together; SAEBench does not tell it. */
  readonly mean_split_f1: number;
  /** Standard deviations over letters of SAEBench's. */
  readonly std_dev_absorption_fraction_score: number;
  /** Likewise. */
  readonly std_dev_full_absorption_score: number;
  /** Likewise. */
  readonly std_dev_num_split_features: number;
  /** The two means by chance. */
  readonly by_chance: Pick<MeanAbsorption, "mean_absorption_fraction_score" | "mean_full_absorption_score">;
}

/** What was found. */
export interface Absorption {
  /** Words that probes were fitted to, */
  readonly train_words: number;
  /** and words that judged. */
  readonly test_words: number;
  /** Letters whose probe has an F1 above 0.6. */
  readonly known_letters: number;
  /** The same over letters; null where fewer than 20 are known. */
  readonly mean: MeanAbsorption | null;
  /** From a to z. */
  readonly letters: readonly LetterAbsorption[];
  /** What each figure is. */
  readonly definitions: Readonly<Record<string, string>>;
}

/** What each figure is, and where it is not SAEBench's. */
export const ABSORPTION_DEFINITIONS: Readonly<Record<string, string>> = {
  words:
    "Single tokens of a to z, with a space in front or without, drawn at random; SAEBench takes all of a vocabulary. Four fifths of them fit the probes, " +
    "the others judge. Each stands behind examples (`cat has the first letter: C`, ten in SAEBench) of its own part and is read at its own token.",
  probe_f1:
    "F1 of a linear probe for the letter on the transcoder's source: logistic regression whose positive words weigh as much as all others, true above 0. " +
    `A letter counts above ${LEAST_F1}, and at least ${LEAST_LETTERS} letters must.`,
  split_features:
    `The features that a letter is split among: those with the largest weights in an l1 probe on features, as many as each raise the F1 of a ` +
    `logistic regression on them by more than ${SPLIT_JUMP}. Where that F1 stays low, the dictionary has no features of letters: little can then be absorbed, ` +
    "which is no merit.",
  full_absorption_rate:
    "Share of the words that judge and that the probe knows, at which every split feature is silent and the feature that carries most of the probe's projection " +
    `has a cosine of at least ${FULL_COSINE} with the probe and carries at least ${LEAST_SHARE} of it.`,
  mean_absorption_fraction:
    "Mean over the same words of what others carry in the place of the split features, as a share of what both carry: at most " +
    `${MOST_ABSORBERS} features with a cosine of at least ${PART_COSINE} that carry at least ${LEAST_SHARE} of the projection, else 0; 1 where the split features carry nothing.`,
  carries:
    "A feature carries its activation, divided by the length of its encoder row, times the cosine of that row with the probe. SAEBench has decoder rows, which lie in " +
    "the space that its probe reads; a transcoder's lie in that of its target, and what stands in for them is what the feature reads.",
  projection:
    "Of the source about its mean over the words that fit the probe, so that what all words share is nobody's. SAEBench leaves the mean in.",
  by_chance:
    `The same rates where the cosines of all features but the split ones are dealt out among these at random, the mean of ${DEALS} deals: what features that have ` +
    "nothing to do with the letter carry in its place.",
  mean: "Mean over the letters that count, and the standard deviation over them.",
};

/** What is measured of a word. */
export interface WordAbsorption {
  /** The part that others carry. */
  readonly fraction: number;
  /** What carries in full, in the place of the letter's features; null where none does. */
  readonly absorber: { readonly feature: number; readonly share: number } | null;
}

/**
 * Measures one word.
 *
 * @param projection The source's, on the probe's direction.
 * @param active The features that fire there, and how far each: its activation in the source's unit.
 * @param cosines [features]: their encoder rows' with the probe.
 * @param isMain Whether a feature is one of the letter's own.
 * @returns What is absorbed there.
 */
export function absorptionAt(
  projection: number,
  active: readonly { readonly feature: number; readonly length: number }[],
  cosines: ArrayLike<number>,
  isMain: (feature: number) => boolean,
): WordAbsorption {
  const carried = active.map(({ feature, length }) => ({ feature, part: length * cosines[feature] }));
  const others = carried.filter(({ feature }) => !isMain(feature)), isSilent = others.length === carried.length;
  const own = carried.reduce((sum, { feature, part }) => isMain(feature) ? sum + part : sum, 0);
  const strongest = others.toSorted((a, b) => b.part - a.part || a.feature - b.feature);
  const absorbing = strongest.filter(({ feature, part }) => part > 0 && cosines[feature] >= PART_COSINE)
    .slice(0, MOST_ABSORBERS).reduce((sum, { part }) => sum + part, 0);
  return {
    fraction: fractionOf(projection, own, absorbing),
    absorber: isSilent ? absorberOf(projection, strongest[0], cosines) : null,
  };
}

function fractionOf(projection: number, own: number, absorbing: number): number {
  if (projection <= 0 || own >= projection || absorbing < LEAST_SHARE * projection) return 0;
  if (own <= 0) return 1;
  const instead = Math.min(absorbing, projection - own);
  return instead / (instead + own);
}

function absorberOf(
  projection: number,
  top: { readonly feature: number; readonly part: number } | undefined,
  cosines: ArrayLike<number>,
): WordAbsorption["absorber"] {
  if (top === undefined || projection <= 0 || cosines[top.feature] < FULL_COSINE) return null;
  const share = top.part / projection;
  return share >= LEAST_SHARE ? { feature: top.feature, share } : null;
}

/**
 * Measures absorption.
 *
 * @param words What was read at words, and what fired there.
 * @param encoder [features, width] the encoder's rows.
 * @param onProgress Hears of the letters done so far: once of their probes, and once of their features.
 * @returns The figures.
 */
export function measureAbsorption(
  words: ProbedWords,
  encoder: Float32Array,
  onProgress?: (done: number, total: number) => void,
): Absorption {
  const probes = new LetterProbes(words), advance = (done: number) => onProgress?.(done, 2 * LETTERS.length);
  const known = LETTERS.map((letter, n) => {
    const probe = probes.probe(letter);
    advance(n + 1);
    return probe;
  });
  const known_letters = known.filter(({ f1 }) => f1 > LEAST_F1).length, isEnough = known_letters >= LEAST_LETTERS;
  const rows = new EncoderRows(encoder, words.width);
  const measured = known.map((probe, n) => {
    const split = isEnough && probe.f1 > LEAST_F1 ? probes.splitFeatures(LETTERS[n]) : null;
    advance(LETTERS.length + n + 1);
    return split && measureLetter(words, probe, split, rows, probes.mean, randomGenerator(n, DEAL_STREAM));
  });
  const found = measured.filter((one) => one !== null);
  return {
    train_words: words.train,
    test_words: words.letters.length - words.train,
    known_letters,
    mean: isEnough && found.length > 0 ? meanOver(found) : null,
    letters: LETTERS.map((first_letter, n) => ({
      first_letter,
      train_words: probes.count(first_letter, "train"),
      test_words: probes.count(first_letter, "test"),
      probe_f1: known[n].f1,
      measured: measured[n],
    })),
    definitions: ABSORPTION_DEFINITIONS,
  };
}

/** An encoder's rows as directions, and their lengths. */
class EncoderRows {
  /** [features] */
  readonly lengths: Float64Array;
  readonly #rows: Float32Array;
  readonly #width: number;

  constructor(encoder: Float32Array, width: number) {
    this.#rows = encoder;
    this.#width = width;
    this.lengths = new Float64Array(encoder.length / width);
    encoder.forEach((value, at) => this.lengths[Math.floor(at / width)] += value * value);
    this.lengths.forEach((squares, feature) => this.lengths[feature] = Math.sqrt(squares));
  }

  /** [features] their cosines with a direction of length 1; 0 where a row has no length. */
  cosines(direction: Float64Array): Float64Array<ArrayBuffer> {
    const width = this.#width;
    return Float64Array.from(this.lengths, (length, feature) => {
      let sum = 0;
      for (let c = 0, at = feature * width; c < width; c++, at++) sum += this.#rows[at] * direction[c];
      return length > 0 ? sum / length : 0;
    });
  }
}

function measureLetter(
  { texts, source, width, features: { rowStart, index, value } }: ProbedWords,
  { direction, truePositives }: LetterProbe,
  { features: split_features, f1: split_f1 }: LetterFeatures,
  encoder: EncoderRows,
  middle: Float64Array,
  random: RandomGenerator,
): MeasuredLetter | null {
  if (direction === null) return null;
  const cosines = encoder.cosines(direction), main = new Set(split_features);
  const isMain = (feature: number) => main.has(feature);
  const read = truePositives.map((word) => {
    let projection = 0;
    for (let c = 0; c < width; c++) projection += (source[word * width + c] - middle[c]) * direction[c];
    const active = Array.from({ length: rowStart[word + 1] - rowStart[word] }, (_, n) => {
      const feature = index[rowStart[word] + n], length = encoder.lengths[feature];
      return { feature, length: length > 0 ? value[rowStart[word] + n] / length : 0 };
    });
    return { word, projection, active };
  });
  const at = (cosines: ArrayLike<number>) =>
    read.map(({ projection, active }) => absorptionAt(projection, active, cosines, isMain));
  const found = at(cosines), dealt = Array.from({ length: DEALS }, () => ratesOf(at(deal(cosines, isMain, random))));
  const absorbed = found.flatMap(({ absorber }, n) => {
    if (!absorber) return [];
    return [{ word: texts[read[n].word], ...absorber, cosine: cosines[absorber.feature] }];
  });
  return {
    ...{ split_features, split_f1, num_probe_true_positives: read.length, num_full_absorption: absorbed.length },
    ...ratesOf(found),
    by_chance: {
      full_absorption_rate: meanOf(dealt, "full_absorption_rate"),
      mean_absorption_fraction: meanOf(dealt, "mean_absorption_fraction"),
    },
    absorbed: absorbed.sort((a, b) => b.share - a.share),
  };
}

/** Cosines in which those of all features but a letter's own have changed places. */
function deal(cosines: Float64Array, isMain: (feature: number) => boolean, random: RandomGenerator): Float64Array {
  const others = Array.from(cosines.keys()).filter((feature) => !isMain(feature)), dealt = cosines.slice();
  permutation(others.length, random).forEach((from, to) => dealt[others[to]] = cosines[others[from]]);
  return dealt;
}

function ratesOf(words: readonly WordAbsorption[]): AbsorptionRates {
  return {
    full_absorption_rate: words.filter(({ absorber }) => absorber !== null).length / words.length,
    mean_absorption_fraction: words.reduce((sum, { fraction }) => sum + fraction, 0) / words.length,
  };
}

function meanOver(letters: readonly MeasuredLetter[]): MeanAbsorption {
  const chance = letters.map(({ by_chance }) => by_chance);
  const splits = letters.map(({ split_features }) => ({ size: split_features.length }));
  return {
    mean_absorption_fraction_score: meanOf(letters, "mean_absorption_fraction"),
    mean_full_absorption_score: meanOf(letters, "full_absorption_rate"),
    mean_num_split_features: meanOf(splits, "size"),
    mean_split_f1: meanOf(letters, "split_f1"),
    std_dev_absorption_fraction_score: deviationOf(letters, "mean_absorption_fraction"),
    std_dev_full_absorption_score: deviationOf(letters, "full_absorption_rate"),
    std_dev_num_split_features: deviationOf(splits, "size"),
    by_chance: {
      mean_absorption_fraction_score: meanOf(chance, "mean_absorption_fraction"),
      mean_full_absorption_score: meanOf(chance, "full_absorption_rate"),
    },
  };
}

function meanOf<Key extends string>(rows: readonly Readonly<Record<Key, number>>[], key: Key): number {
  return rows.reduce((sum, row) => sum + row[key], 0) / rows.length;
}

/** Of a sample: NaN where there is a single one. */
function deviationOf<Key extends string>(rows: readonly Readonly<Record<Key, number>>[], key: Key): number {
  const middle = meanOf(rows, key), squares = rows.reduce((sum, row) => sum + (row[key] - middle) ** 2, 0);
  return Math.sqrt(squares / (rows.length - 1));
}
