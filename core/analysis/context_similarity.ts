/**
 * How alike the texts are in which features fire most strongly: TF-IDF cosines of the words around, beside those of random places.
 * @module
 */

import { permutation, randomGenerator } from "../random.ts";
import { Largest } from "./largest.ts";
import { type ActivationColumns, contextStarts, type RecordedTokens } from "./record.ts";
import { CONTEXT_RADIUS } from "./samples.ts";

/** Contexts of a feature that are compared, and random ones that they are held against. */
const CONTEXTS = 10, ANYWHERE = 100;

/** Separates the random places from other draws. */
const PLACE_STREAM = 0x706c6163;

/** Words of two letters, digits or underscores and more, as scikit-learn's vectorizer takes them. */
const WORDS = /[\p{L}\p{N}_]{2,}/gu;

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
  const numbers = new Map<string, number>(), texts_with: number[] = [];
  const counted = texts.map((text) => {
    const counts = new Map<number, number>();
    for (const [word] of text.toLowerCase().matchAll(WORDS)) {
      const number = numbers.get(word) ?? numbers.size;
      numbers.set(word, number);
      counts.set(number, (counts.get(number) ?? 0) + 1);
    }
    for (const number of counts.keys()) texts_with[number] = (texts_with[number] ?? 0) + 1;
    return [...counts].sort(([a], [b]) => a - b);
  });
  return counted.map((counts) => {
    const weights = counts.map(([number, count]) =>
      count * (1 + Math.log((1 + texts.length) / (1 + texts_with[number])))
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

/** A place in a text. */
interface Excerpt {
  /** The context that it is in. */
  readonly context: number;
  /** The text around. */
  readonly text: string;
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
 * Makes the contexts of features comparable: ten excerpts of each, around its strongest firings, of ten different contexts, each of the token and
 * ten tokens on either side. Words are weighed over all excerpts of these features, and a hundred around random tokens.
 *
 * @param record The tokens.
 * @param columns Activations by feature.
 * @param features The features that are to be compared.
 * @returns What compares them.
 */
export function comparableContexts(
  record: RecordedTokens,
  { start, token, value }: ActivationColumns,
  features: Iterable<number>,
): ComparableContexts {
  const { context, place, id, tokenTexts } = record, contextOf = (at: number) => Math.floor(place[at] / context);
  const excerpt = (at: number): Excerpt => {
    const around: number[] = [];
    for (let near = at - CONTEXT_RADIUS; near <= at + CONTEXT_RADIUS; near++) {
      if (near >= 0 && near < place.length && contextOf(near) === contextOf(at)) around.push(near);
    }
    return { context: contextOf(at), text: around.map((near) => tokenTexts.get(id[near])!).join("") };
  };
  const strongest = (feature: number): Excerpt[] => {
    const best = new Map<number, { at: number; value: number }>();
    for (let e = start[feature]; e < start[feature + 1]; e++) {
      const here = contextOf(token[e]), found = best.get(here);
      if (!found || value[e] > found.value) best.set(here, { at: token[e], value: value[e] });
    }
    const largest = new Largest<number>(CONTEXTS);
    for (const { at, value } of best.values()) largest.add(at, value);
    return largest.items.map(excerpt);
  };
  const starts = contextStarts(record), random = randomGenerator(0, PLACE_STREAM);
  const anywhere = [...permutation(starts.length - 1, random).slice(0, ANYWHERE)].map((c) =>
    excerpt(starts[c] + random.below(starts[c + 1] - starts[c]))
  );
  const each = new Map([...new Set(features)].map((feature) => [feature, strongest(feature)]));
  const all = [...each.values(), anywhere].flat(), words = weighWords(all.map(({ text }) => text));
  const wordsOf = new Map(all.map((excerpt, i) => [excerpt, words[i]]));
  const mean = (these: readonly Excerpt[], those: readonly Excerpt[]) => {
    const cosines = these.flatMap((a) =>
      those.filter((b) => b.context !== a.context).map((b) => wordCosine(wordsOf.get(a)!, wordsOf.get(b)!))
    );
    return cosines.reduce((a, b) => a + b, 0) / cosines.length;
  };
  const by_chance = [...each.values()].map((excerpts) => mean(excerpts, anywhere)).filter(Number.isFinite);
  return {
    between: (a, b) => mean(each.get(a)!, each.get(b)!),
    by_chance: by_chance.reduce((a, b) => a + b, 0) / by_chance.length,
  };
}
