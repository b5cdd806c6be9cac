/**
 * Pieces of a record's text: a token among those around it, and the words in it.
 * @module
 */

import { Largest } from "./largest.ts";
import type { ActivationColumns, RecordedTokens } from "./record.ts";
import { CONTEXT_RADIUS } from "./samples.ts";

/** Excerpts of a feature that are looked at. */
export const EXCERPTS = 10;

/** Words of two letters, digits or underscores and more, as scikit-learn's vectorizers take them. */
const WORDS = /[\p{L}\p{N}_]{2,}/gu;

/** A token of a record among those around it. */
export interface Excerpt {
  /** The context that it is in. */
  readonly context: number;
  /** The text, ten tokens on either side as far as the context goes. */
  readonly text: string;
  /** Where the token begins in it. */
  readonly start: number;
  /** Where the token ends. */
  readonly end: number;
}

/**
 * Reads a token with those around it.
 *
 * @param record The tokens.
 * @param at An index of them.
 * @returns The excerpt.
 */
export function excerptAround({ context, place, id, tokenTexts }: RecordedTokens, at: number): Excerpt {
  const contextOf = (token: number) => Math.floor(place[token] / context), here = contextOf(at);
  const textOf = (first: number, end: number) => {
    let text = "";
    for (let token = Math.max(0, first); token < Math.min(end, place.length); token++) {
      if (contextOf(token) === here) text += tokenTexts.get(id[token])!;
    }
    return text;
  };
  const before = textOf(at - CONTEXT_RADIUS, at), token = textOf(at, at + 1);
  const text = before + token + textOf(at + 1, at + 1 + CONTEXT_RADIUS);
  return { context: here, text, start: before.length, end: before.length + token.length };
}

/**
 * The excerpts around a feature's strongest firings, each of another context.
 *
 * @param record The tokens.
 * @param columns Activations by feature.
 * @param feature The feature.
 * @returns At most {@link EXCERPTS}, the strongest first.
 */
export function strongestExcerpts(
  record: RecordedTokens,
  { start, token, value }: ActivationColumns,
  feature: number,
): Excerpt[] {
  const best = new Map<number, { at: number; value: number }>();
  for (let e = start[feature]; e < start[feature + 1]; e++) {
    const here = Math.floor(record.place[token[e]] / record.context), found = best.get(here);
    if (!found || value[e] > found.value) best.set(here, { at: token[e], value: value[e] });
  }
  const largest = new Largest<number>(EXCERPTS);
  for (const { at, value } of best.values()) largest.add(at, value);
  return largest.items.map((at) => excerptAround(record, at));
}

/**
 * The words of a text, in lower case.
 *
 * @param text Any text.
 * @returns Each word as often as it is there, and where it begins and ends.
 */
export function wordsOf(text: string): { readonly word: string; readonly start: number; readonly end: number }[] {
  return [...text.matchAll(WORDS)].map(({ 0: word, index }) => {
    return { word: word.toLowerCase(), start: index, end: index + word.length };
  });
}
