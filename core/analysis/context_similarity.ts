/**
 * How alike the texts are in which features fire most strongly: TF-IDF cosines of the words around, beside those of random places.
 * @module
 */

import { permutation, randomGenerator } from "../random.ts";
import { type Excerpt, excerptAround, strongestExcerpts, wordsOf } from "./excerpts.ts";
import { type ActivationColumns, contextStarts, type RecordedTokens } from "./record.ts";

/** Random excerpts that those of features are held against. */
const ANYWHERE = 100;

/** Separates the random places from other draws. */
const PLACE_STREAM = 0x706c6163;

/** A text as its words' weights, in order of the words' numbers, of length 1 unless it has no word. */
export interface WeighedWords {
  /** Numbers of its words, ascending. */
  readonly word: readonly number[];
  /** Their weights. */
  readonly weight: readonly number[];
}

/**
 * Weighs the words of texts as scikit-learn's TfidfVectorizer does by default: lower case, how often a word is in the text, times 1 + log of texts
 * (plus one) by texts that have it (plus one), scaled to length 1.
 *
 * @param texts All texts that there are.
 * @returns One for each.
 */
export function weighWords(texts: readonly string[]): WeighedWords[] {
  const numbers = new Map<string, number>(), textsWith: number[] = [];
  const counted = texts.map((text) => {
    const counts = new Map<number, number>();
    for (const { word } of wordsOf(text)) {
      const number = numbers.get(word) ?? numbers.size;
      numbers.set(word, number);
      counts.set(number, (counts.get(number) ?? 0) + 1);
    }
    for (const number of counts.keys()) textsWith[number] = (textsWith[number] ?? 0) + 1;
    return [...counts].sort(([a], [b]) => a - b);
  });
  return counted.map((counts) => {
    const weights = counts.map(([number, count]) =>
      count * (1 + Math.log((1 + texts.length) / (1 + textsWith[number])))
    );
    const length = Math.hypot(...weights);
    return { word: counts.map(([number]) => number), weight: weights.map((weight) => weight / length) };
  });
}

/**
 * The cosine of two texts.
 *
 * @param a One, of length 1.
 * @param b The other, weighed together with it.
 * @returns From 0 to 1.
 */
export function wordCosine(a: WeighedWords, b: WeighedWords): number {
  let sum = 0;
  for (let i = 0, j = 0; i < a.word.length && j < b.word.length;) {
    if (a.word[i] === b.word[j]) sum += a.weight[i++] * b.weight[j++];
    else if (a.word[i] < b.word[j]) i++;
    else j++;
  }
  return sum;
}

/** The contexts of features, ready to be compared. */
export interface ComparableContexts {
  /**
   * How alike the words are around the strongest firings of two features.
   *
   * @param a A feature.
   * @param b Another one.
   * @returns The mean cosine of an excerpt of the one and an excerpt of the other that are of different contexts; NaN where there are none.
   */
  between(a: number, b: number): number;
  /** The mean of the same between the features' excerpts and excerpts around random tokens. */
  readonly by_chance: number;
}

/**
 * Makes the contexts of features comparable: ten excerpts of each, around its strongest firings, of ten different contexts. Words are weighed over
 * all excerpts of these features, and a hundred around random tokens.
 *
 * @param record The tokens.
 * @param columns Activations by feature.
 * @param features The features that are to be compared.
 * @returns What compares them.
 */
export function comparableContexts(
  record: RecordedTokens,
  columns: ActivationColumns,
  features: Iterable<number>,
): ComparableContexts {
  const starts = contextStarts(record), random = randomGenerator(0, PLACE_STREAM);
  const anywhere = [...permutation(starts.length - 1, random).slice(0, ANYWHERE)].map((c) =>
    excerptAround(record, starts[c] + random.below(starts[c + 1] - starts[c]))
  );
  const each = new Map(
    [...new Set(features)].map((feature) => [feature, strongestExcerpts(record, columns, feature)]),
  );
  const all = [...each.values(), anywhere].flat(), weighed = weighWords(all.map(({ text }) => text));
  const words = new Map(all.map((excerpt, i) => [excerpt, weighed[i]]));
  const mean = (these: readonly Excerpt[], those: readonly Excerpt[]) => {
    const cosines = these.flatMap((a) =>
      those.filter((b) => b.context !== a.context).map((b) => wordCosine(words.get(a)!, words.get(b)!))
    );
    return cosines.reduce((a, b) => a + b, 0) / cosines.length;
  };
  const by_chance = [...each.values()].map((excerpts) => mean(excerpts, anywhere)).filter(Number.isFinite);
  return {
    between: (a, b) => mean(each.get(a)!, each.get(b)!),
    by_chance: by_chance.reduce((a, b) => a + b, 0) / by_chance.length,
  };
}
