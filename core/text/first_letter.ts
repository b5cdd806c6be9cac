/**
 * The first-letter task of SAEBench's absorption (as of its version 0.6.0): the words of a vocabulary, and a prompt for each that asks what it
 * begins with.
 *
 *     BOS \n cat has the first letter: C \n ... \n tree
 *            `------- an example ------'          `-- the word, where activations are read
 *
 * SAEBench's prompts go on with ` has the first letter:`, which no token before it sees: they end with the word here.
 * @module
 */

import { permutation, type RandomGenerator, randomGenerator } from "../random.ts";
import { NO_DOCUMENT, type TokenBatch } from "./contexts.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Separates this draw from other uses of the generator. */
const WORDS_STREAM = 0x776f7264;

/** The share of the words that probes are fitted to; the others judge them. */
const TRAIN_SHARE = 0.8;

/** A word that is one token. */
export interface Word {
  /** Its token. */
  readonly id: number;
  /** Its text, with the space in front where it has one. */
  readonly text: string;
  /** What it begins with, from a to z. */
  readonly letter: string;
}

/** The words that are read. */
export interface FirstLetterTask {
  /** In the order of the draw: those that probes are fitted to come first. */
  readonly words: readonly Word[];
  /** How many those are. */
  readonly train: number;
  /** The words of the vocabulary that these were drawn from. */
  readonly vocabulary: number;
  /** A context per word, filled up behind it. The word alone counts: nothing else belongs to a document. */
  readonly prompts: TokenBatch;
}

/** How the words are drawn. */
export interface FirstLetterOptions {
  /** The most words. */
  readonly words: number;
  /** Examples in front of each word, of the same part; fewer where that holds fewer words. */
  readonly examples: number;
  /** Names the draw. */
  readonly seed: number;
}

/**
 * Lists the words of a vocabulary: tokens of Latin letters without accents, with or without one space in front.
 *
 * @param tokenizer The vocabulary.
 * @returns Them, by token id.
 */
export function wordsOf(tokenizer: Pick<Tokenizer, "vocabSize" | "tokenText" | "idOf">): Word[] {
  const words: Word[] = [];
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    const text = tokenizer.tokenText(id);
    // A byte token is spelled like a letter's own.
    if (/^ ?[a-z]+$/i.test(text) && tokenizer.idOf(text) === id) {
      words.push({ id, text, letter: text.trim()[0].toLowerCase() });
    }
  }
  return words;
}

/**
 * Draws words at random and puts a prompt around each.
 *
 * @param tokenizer The vocabulary.
 * @param options How many words, behind how many examples.
 * @returns The prompts; none where the vocabulary has no word.
 */
export function firstLetterTask(
  tokenizer: Pick<Tokenizer, "vocabSize" | "tokenText" | "idOf" | "bosId" | "eosId" | "encode">,
  { words: most, examples, seed }: FirstLetterOptions,
): FirstLetterTask {
  const all = wordsOf(tokenizer), random = randomGenerator(seed, WORDS_STREAM);
  const words = Array.from(permutation(all.length, random).subarray(0, most), (n) => all[n]);
  const train = Math.floor(words.length * TRAIN_SHARE);
  const newline = tokenizer.encode("\n");
  const answers = new Map(Array.from(new Set(words.map(({ letter }) => letter)), (letter) => {
    return [letter, tokenizer.encode(` has the first letter: ${letter.toUpperCase()}\n`)];
  }));
  const parts = [words.slice(0, train), words.slice(train)];
  const rows = words.map((word, n) => {
    const shown = n < train ? drawn(parts[0], examples, n, random) : drawn(parts[1], examples, n - train, random);
    return [tokenizer.bosId, ...newline, ...shown.flatMap(({ id, letter }) => [id, ...answers.get(letter)!]), word.id];
  });
  const context = rows.reduce((longest, { length }) => Math.max(longest, length), 0), places = words.length * context;
  const ids = new Uint32Array(places).fill(tokenizer.eosId);
  const document = new Uint32Array(places).fill(NO_DOCUMENT);
  rows.forEach((row, n) => {
    ids.set(row, n * context);
    document[n * context + row.length - 1] = n;
  });
  return {
    words,
    train,
    vocabulary: all.length,
    prompts: { contexts: words.length, context, ids, document, position: new Uint32Array(places) },
  };
}

/** Some of a list without the one at `except`, no place twice. */
function drawn<T>(list: readonly T[], count: number, except: number, random: RandomGenerator): T[] {
  const places = new Set<number>();
  while (places.size < Math.min(count, list.length - 1)) {
    const place = random.below(list.length);
    if (place !== except) places.add(place);
  }
  return Array.from(places, (place) => list[place]);
}
