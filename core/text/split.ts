/**
 * The one rule by which documents are for training or held out, and what is held out for which use.
 * @module
 */
import { UserError } from "../errors.ts";
import type { Document } from "./documents.ts";

/** Parts of a text that training never sees. */
export const HELD_OUT_SPLITS = ["validation", "test"] as const;

/** Whatever is chosen by looking at held-out text looks at "validation"; figures that are told to others are those of "test". */
export type HeldOutSplit = typeof HELD_OUT_SPLITS[number];

/** A part of a text. */
export type Split = "train" | HeldOutSplit;

/** Documents 0, 20, 40, ... are held out. */
const HOLD_OUT_EVERY = 20;

/** So many documents have one for validation and one for the test. */
export const LEAST_DOCUMENTS: number = HOLD_OUT_EVERY + 1;

/** The number of a piece that was cut off a held-out piece: documents are cut into 20 at most. */
const CUT_OFF_PIECE = HOLD_OUT_EVERY + 1;

/** The documents of each part, in order. */
export type SplitDocuments = Record<Split, Document[]>;

/**
 * Splits documents in their given order. Every 20th, from the first on, is held out: documents 0, 40, 80, ... for the test, 20, 60,
 * 100, ... for validation. The recipe of the embedded default was chosen on the latter (bench/training.md).
 *
 * Where there are fewer than 20 documents, each is first cut into pieces of similar size so that there are at least 20: after the line
 * end nearest to the wanted place, or before the nearest space where no line ends near by. The pieces of a document, joined, are the
 * document. Where only one document or piece is held out, it is cut in two in the same way; if that cannot be, the last one for training
 * becomes validation.
 *
 * @param documents The documents.
 * @param mayCut Which of them may be cut; all if left out.
 * @param mayLackValidation Whether these are the end of a longer text, whose training is left as it is.
 */
export function splitDocuments(
  documents: readonly Document[],
  mayCut: (document: Document) => boolean = () => true,
  mayLackValidation = false,
): SplitDocuments {
  const pieces = documents.length < HOLD_OUT_EVERY ? cutDocuments(documents, mayCut) : documents;
  const train = pieces.filter((_, i) => i % HOLD_OUT_EVERY !== 0);
  let heldOut = pieces.filter((_, i) => i % HOLD_OUT_EVERY === 0);
  if (heldOut.length === 1 && mayCut(heldOut[0])) heldOut = halves(heldOut[0]);
  if (heldOut.length === 1 && !mayLackValidation) heldOut.push(...train.splice(-1));
  return {
    train,
    validation: heldOut.filter((_, i) => i % 2 === 1),
    test: heldOut.filter((_, i) => i % 2 === 0),
  };
}

/**
 * Makes sure that a whole text could be split.
 *
 * @throws {UserError} when it was too short for each part to hold anything.
 */
export function requireAllParts({ train, validation, test }: SplitDocuments): void {
  if (train.length > 0 && validation.length > 0 && test.length > 0) return;
  throw new UserError({
    action: "split the text for training, validation and test",
    requirement: "it must have at least three documents, lines or words",
    found: `it has ${train.length + validation.length + test.length}`,
    remedy: "give more text",
  });
}

/** A document in two pieces, or whole where it cannot be cut. */
function halves(document: Document): Document[] {
  const pieces = cut(document, 2);
  if (pieces.length === 1 || document.piece === 0) return pieces;
  // The pieces of training keep their numbers.
  return [{ ...pieces[0], piece: document.piece }, { ...pieces[1], piece: CUT_OFF_PIECE }];
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
