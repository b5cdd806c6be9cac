/**
 * Documents: the texts that contexts are made of, the records of files that they come from, and what they are called.
 * @module
 */
import { isOneText, type TextFormat } from "../files/text_formats.ts";
import type { NoText } from "./no_text.ts";

/** Where text comes from: what is embedded, or files, folders of them and `hf:owner/name` references. */
export type DataPaths = "builtin" | string[];

/** A place between two records of a file. */
export interface RecordPlace {
  /** Records before it, those without text included: lines, rows, or for a `.txt` file 0, 1 or its parts. */
  record: number;
  /** Bytes before it, decompressed; 0 in a file that is found by its rows or entries. */
  byte: number;
}

/** A text of a file, and the place behind it. */
export interface TextRecord extends RecordPlace {
  /** The text; empty only where the record is bad. */
  text: string;
  /** Whether it is a part of a long text, and no document of its own. */
  isPart?: boolean;
  /** Why the record holds no text where it must; absent where it does. */
  bad?: NoText;
  /** How many records that is true of, all those that end at this place; one if left out. */
  records?: number;
}

/** One text, or a piece of one. */
export interface Document {
  /** Which file of the corpus it comes from. */
  readonly file: number;
  /** Which record of that file: a line or row, counted from 0; 0 for a `.txt` file. */
  readonly record: number;
  /** Which piece of the record or part of a long text, counted from 1; 0 when it is whole. */
  readonly piece: number;
  /** The text; never empty. */
  readonly text: string;
}

/** What a document's name is made of besides its place. */
export interface NamedFile {
  /** The file's name, or its path where names clash. */
  readonly name: string;
  /** How it holds its text. */
  readonly format: TextFormat;
}

/**
 * The name that samples and reports call a document by: `speech.txt`, `corpus.jsonl:12` (line 12), `speech.txt#3` (its third piece or part),
 * `speech.txt#21` (what was cut off a held-out piece).
 */
export function nameDocument({ name, format }: NamedFile, { record, piece }: Omit<Document, "file" | "text">): string {
  return `${name}${isOneText(format) ? "" : `:${record + 1}`}${piece === 0 ? "" : `#${piece}`}`;
}

/**
 * From the numbers that tokens carry (`TokenBatch.document`) to names. A text in memory has its names listed; the documents of a
 * larger one are numbered by file and record, so that no list is needed.
 */
export type DocumentNames =
  | { kind: "listed"; names: readonly string[] }
  | { kind: "numbered"; files: readonly NamedFile[]; first: Float64Array };

/** Documents have numbers below this: NO_DOCUMENT is the largest u32. */
const NUMBERS = 2 ** 32 - 1;
/** Numbers that each file has at least: a `.txt` file that is short is cut into 20 pieces at most, and one of them once more. */
const LEAST_NUMBERS = 22;

/**
 * Shares the numbers among files by their sizes: even of a terabyte, each 240 bytes of a file (compressed, if it is) have one.
 *
 * @param sizes Bytes of each file.
 * @returns [files + 1] the first number of each file, and the end.
 */
export function shareNumbers(sizes: readonly number[]): Float64Array {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const free = NUMBERS - sizes.length * LEAST_NUMBERS;
  const first = new Float64Array(sizes.length + 1);
  let before = 0;
  sizes.forEach((size, file) => {
    before += size;
    first[file + 1] = (file + 1) * LEAST_NUMBERS + Math.floor(free * (before / Math.max(1, total)));
  });
  return first;
}

/**
 * The number of a document within its file.
 *
 * @param format The file's format.
 * @param document The document.
 * @returns For a `.txt` file the piece, else the record.
 */
export function numberInFile(format: TextFormat, { record, piece }: Document): number {
  return isOneText(format) ? piece : record;
}

/**
 * The name of a document.
 *
 * @param names What the token source gave.
 * @param document The number that its tokens carry.
 * @returns Its name.
 */
export function documentName(names: DocumentNames, document: number): string {
  if (names.kind === "listed") return names.names[document];
  let low = 0, high = names.files.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (names.first[middle] <= document) low = middle;
    else high = middle;
  }
  const number = document - names.first[low], file = names.files[low];
  return nameDocument(file, isOneText(file.format) ? { record: 0, piece: number } : { record: number, piece: 0 });
}
