/**
 * The one rule by which documents are for training or held out.
 * @module
 */
import { UserError } from "../errors.ts";
import type { Document } from "./documents.ts";

/** Which side of the rule a document is on. */
export type Split = "train" | "held_out";

/** Documents 0, 20, 40, ... are held out. */
export const HOLD_OUT_EVERY = 20;

/** Documents on both sides of the rule. */
export type SplitDocuments = Record<Split, Document[]>;

/**
 * Splits documents in their given order: every 20th, from the first on, is held out. Where there are fewer than 20, each
 * is first cut into pieces of similar size so that there are at least 20: after the line end nearest to the wanted place,
 * or before the nearest space where no line ends near by. The pieces of a document, joined, are the document.
 *
 * @param documents The documents.
 * @param mayCut Which of them may be cut; all if left out.
 */
export function splitDocuments(
  documents: readonly Document[],
  mayCut: (document: Document) => boolean = () => true,
): SplitDocuments {
  const pieces = documents.length < HOLD_OUT_EVERY ? cutDocuments(documents, mayCut) : documents;
  return {
    held_out: pieces.filter((_, i) => i % HOLD_OUT_EVERY === 0),
    train: pieces.filter((_, i) => i % HOLD_OUT_EVERY !== 0),
  };
}

/**
 * Makes sure that a whole text could be split.
 *
 * @throws {UserError} when it was too short for both sides to hold anything.
 */
export function requireBothSides({ train, held_out }: SplitDocuments): void {
  if (train.length > 0 && held_out.length > 0) return;
  throw new UserError({
    action: "split the text for training and held-out evaluation",
    requirement: "it must have at least two documents, lines or words",
    found: `it has ${train.length + held_out.length}`,
    remedy: "give more text",
  });
}

function cutDocuments(documents: readonly Document[], mayCut: (document: Document) => boolean): Document[] {
  const characters = documents.reduce((sum, document) => sum + document.text.length, 0);
  // Rounded up for each document, the counts add up to 20 at least.
  return documents.flatMap((document) =>
    mayCut(document) ? cut(document, Math.ceil(document.text.length * HOLD_OUT_EVERY / characters)) : document
  );
}

/** Cuts into at most `count` pieces: a place without line end or space near by is passed over. */
function cut(document: Document, count: number): Document[] {
  const { text } = document;
  const ends: number[] = [];
  let start = 0;
  for (let i = 1; i < count; i++) {
    const end = cutNear(text, start, Math.round(text.length * i / count), Math.round(text.length * (i + 1) / count));
    if (end === undefined) continue;
    ends.push(end);
    start = end;
  }
  if (ends.length === 0) return [document];
  return [...ends, text.length].map((end, i) => ({
    ...document,
    piece: i + 1,
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
