/**
 * The one rule by which documents are for training or held out.
 * @module
 */
import { UserError } from "../errors.ts";
import type { Document } from "./documents.ts";

/** Which side of the rule a document is on. */
export type Split = "train" | "held_out";

/** Documents 0, 20, 40, ... are held out. */
const HOLD_OUT_EVERY = 20;

/**
 * Splits documents in their given order: every 20th, from the first on, is held out. Where there are fewer than 20, each
 * is first cut into pieces of similar size so that there are at least 20: after the line end nearest to the wanted place,
 * or before the nearest space where no line ends near by. The pieces of a document, joined, are the document.
 *
 * @throws {UserError} when the text is too short for both sides to hold anything.
 */
export function splitDocuments(documents: Document[]): Record<Split, Document[]> {
  const pieces = documents.length < HOLD_OUT_EVERY ? cutDocuments(documents) : documents;
  const split: Record<Split, Document[]> = {
    held_out: pieces.filter((_, i) => i % HOLD_OUT_EVERY === 0),
    train: pieces.filter((_, i) => i % HOLD_OUT_EVERY !== 0),
  };
  if (split.train.length === 0 || split.held_out.length === 0) {
    throw new UserError(
      `Cannot split the text for training and held-out evaluation: it must have at least two documents, lines or words, ` +
        `it has ${pieces.length}; give more text`,
    );
  }
  return split;
}

function cutDocuments(documents: Document[]): Document[] {
  const characters = documents.reduce((sum, document) => sum + document.text.length, 0);
  // Rounded up for each document, the counts add up to 20 at least.
  return documents.flatMap((document) => cut(document, Math.ceil(document.text.length * HOLD_OUT_EVERY / characters)));
}

/** Cuts into at most `count` pieces: a place without line end or space near by is passed over. */
function cut({ name, text }: Document, count: number): Document[] {
  const ends: number[] = [];
  let start = 0;
  for (let i = 1; i < count; i++) {
    const end = cutNear(text, start, Math.round(text.length * i / count), Math.round(text.length * (i + 1) / count));
    if (end === undefined) continue;
    ends.push(end);
    start = end;
  }
  if (ends.length === 0) return [{ name, text }];
  return [...ends, text.length].map((end, i) => ({
    name: `${name}#${i + 1}`,
    text: text.slice(ends[i - 1] ?? 0, end),
  }));
}

/** The place to cut nearest to `wanted` with `low < place < high`: after a line end or, without any, before a space. */
function cutNear(text: string, low: number, wanted: number, high: number): number | undefined {
  return nearest(text, "\n", 1, low, wanted, high) ?? nearest(text, " ", 0, low, wanted, high);
}

function nearest(text: string, character: string, offset: number, low: number, wanted: number, high: number) {
  const before = text.lastIndexOf(character, wanted - offset) + offset;
  const after = text.indexOf(character, wanted) + offset;
  const places = [before, after].filter((place) => place > low && place < high);
  places.sort((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted));
  return places.at(0);
}
