/**
 * The words among which features fire, where they are too many for chance.
 * @module
 */

import type { FeatureProgress } from "./coactivation.ts";
import { excerptAround, strongestExcerpts, wordsOf } from "./excerpts.ts";
import { type ActivationColumns, contextStarts, type RecordedTokens } from "./record.ts";
import { CONTEXT_RADIUS } from "./samples.ts";

/** Words are told that stand in so many excerpts with less than this chance: about one in a hundred features has one all the same. */
const CHANCE = 1e-4;

/** Words that are told of a feature. */
const TOLD = 5;

/** A word around a feature's strongest firings. */
export interface SurroundingWord {
  /** The word, in lower case. */
  readonly word: string;
  /** Excerpts that have it elsewhere than at the firing itself. */
  readonly excerpts: number;
  /** Share of all pieces of the text of the same length that have it. */
  readonly share_of_text: number;
}

/** The words around one feature. */
export interface SurroundingWords {
  /** Excerpts that were looked at. */
  readonly excerpts: number;
  /** Those beyond chance, the least likely first. */
  readonly words: readonly SurroundingWord[];
}

/**
 * Finds the words that stand around the strongest firings of features, in ten contexts each, more often than so many pieces of the text have them.
 *
 * @param record The tokens.
 * @param columns Activations by feature.
 * @param features The features.
 * @param onProgress Hears of the features looked at.
 * @returns One for each, in the order asked for.
 */
export function surroundingWords(
  record: RecordedTokens,
  columns: ActivationColumns,
  features: readonly number[],
  onProgress?: FeatureProgress,
): SurroundingWords[] {
  const { pieces, piecesWith } = wordsOfPieces(record);
  return features.map((feature, n) => {
    const excerpts = strongestExcerpts(record, columns, feature), counts = new Map<string, number>();
    for (const { text, start, end } of excerpts) {
      const around = wordsOf(text).filter((word) => word.end <= start || word.start >= end);
      for (const word of new Set(around.map(({ word }) => word))) counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    const found = [...counts].map(([word, count]) => {
      // A word that no piece has is cut in two by each; once is the most that can be said of it.
      const share_of_text = Math.max(1, piecesWith.get(word) ?? 0) / pieces;
      return { word, excerpts: count, share_of_text, chance: binomialTail(excerpts.length, count, share_of_text) };
    });
    onProgress?.(n + 1, features.length);
    return {
      excerpts: excerpts.length,
      words: found.filter(({ chance }) => chance < CHANCE)
        .sort((a, b) => a.chance - b.chance || (a.word < b.word ? -1 : 1)).slice(0, TOLD)
        .map(({ chance: _, ...word }) => word),
    };
  });
}

/** In how many pieces of the text, as long as excerpts are, each word is. */
function wordsOfPieces(record: RecordedTokens): { pieces: number; piecesWith: ReadonlyMap<string, number> } {
  const starts = contextStarts(record), piecesWith = new Map<string, number>(), length = 2 * CONTEXT_RADIUS + 1;
  let pieces = 0;
  for (let c = 0; c + 1 < starts.length; c++) {
    for (let first = starts[c]; first < starts[c + 1]; first += length) {
      pieces++;
      const { text } = excerptAround(record, Math.min(first + CONTEXT_RADIUS, starts[c + 1] - 1));
      for (const word of new Set(wordsOf(text).map(({ word }) => word))) {
        piecesWith.set(word, (piecesWith.get(word) ?? 0) + 1);
      }
    }
  }
  return { pieces, piecesWith };
}

/**
 * How likely so many of some are, or more.
 *
 * @param all How many there are.
 * @param least How many are to be.
 * @param share How likely each is.
 * @returns P(X >= least) of a binomial X.
 */
export function binomialTail(all: number, least: number, share: number): number {
  let sum = 0, ways = 1;
  for (let count = 0; count <= all; count++) {
    if (count >= least) sum += ways * share ** count * (1 - share) ** (all - count);
    ways *= (all - count) / (count + 1);
  }
  return Math.min(1, sum);
}
