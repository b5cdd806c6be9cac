/**
 * How the records of a text are read: which of their columns holds it, and what becomes of those that hold none.
 * @module
 */

import { UserError } from "../errors.ts";
import type { ChatWriter } from "./chat.ts";
import type { NoText } from "./no_text.ts";

/** How records are read. */
export interface TextReading {
  /** The column, or the key of a JSON object, that holds the text. */
  readonly column: string;
  /** The most records of the training text that are left out because they hold no text; with one more, reading ends. */
  readonly badLines: number;
  /**
   * What becomes of a damaged file: what follows the damage is {@link DAMAGED_RECORDS} records without text, or it is an error that says how
   * to leave it out. The first if left out.
   */
  readonly damage?: "leave" | "ask";
  /** Whether a run or a harvest began with it, so that it is not for this command line to choose another column. */
  readonly isRecorded?: true;
}

/** The reading of a model's text. */
export interface RecordReading extends TextReading {
  /** What makes texts of the chats among the records; without it they hold none. */
  readonly chats?: ChatWriter;
}

/**
 * As how many records without text that counts which follows the damage of a compressed file or of a parquet file. Nobody can tell how many
 * there were, and a checksum that does not fit puts those before it in doubt too: so it must not pass by the default of `--bad-lines`.
 */
export const DAMAGED_RECORDS = 1000;

/** What is read where nothing is said of it. */
export const PLAIN_READING: TextReading = { column: "text", badLines: 0 };

/**
 * The reading of what is read once more, for other figures than training's: whatever holds no text is left out, as what there was to say of
 * it has been said. Where a damaged file may still be mended or left out for good, it is an error.
 *
 * @param reading How the text was read at first.
 * @param otherwise What becomes of a damaged file then.
 * @returns The same without a limit.
 */
export function rereading(reading: TextReading = PLAIN_READING, otherwise: "leave" | "ask" = "leave"): TextReading {
  return { ...reading, badLines: Infinity, damage: reading.badLines >= DAMAGED_RECORDS ? "leave" : otherwise };
}

/**
 * The error for records without text that are too many.
 *
 * @param first The first of them.
 * @param records How many there are so far.
 * @param reading How they are read.
 * @returns What to do about them; its `option` lets more of them pass.
 */
export function tooManyBad(first: NoText, records: number, { badLines }: TextReading): UserError {
  const { where, requirement, found, remedy } = first, option = `--bad-lines ${10 ** Math.max(2, `${records}`.length)}`;
  const all = `${records} records without text are more than --bad-lines ${badLines} lets pass`;
  return new UserError({
    action: `read ${where}`,
    requirement,
    found: badLines === 0 ? found : `${found}; ${all}`,
    remedy: `leave out what holds no text with ${option}, or ${remedy}`,
    option,
  });
}

/**
 * The error for a text, or the first part of one, that has records and no text in any of them.
 *
 * @param first The first of them.
 * @param reading How they are read.
 * @returns Which column to read, where that may be it.
 */
export function nothingButBad({ where, requirement, found, remedy, column }: NoText, reading: TextReading): UserError {
  const choose = `name what holds the text: --text-column ${/^[\w.-]+$/.test(column ?? "") ? column : `"${column}"`}`;
  return new UserError({
    action: `read ${where}`,
    requirement,
    found,
    remedy: reading.isRecorded
      ? "put the text back as it was, or give its new place with --data"
      : column === undefined
      ? remedy
      : choose,
  });
}
