/**
 * The text of a record.
 * @module
 */

import { type ChatWriter, isChat } from "./chat.ts";
import type { NoText } from "./no_text.ts";

/** The most columns that a message names. */
const MOST_NAMED = 8;

/**
 * Takes the text out of a record.
 *
 * @param record What a line or an entry holds.
 * @param where The file, and the line or entry, for messages.
 * @param reading The key that the text or the chat is under, and what writes chats.
 * @returns The text, "" for `null`; or why there is none, which names what is there.
 */
export function textOf(record: unknown, where: string, reading: ColumnReading): string | NoText {
  const { column } = reading;
  const isObject = record !== null && typeof record === "object" && !Array.isArray(record);
  const fields = isObject ? record as Readonly<Record<string, unknown>> : {}, keys = Object.keys(fields);
  if (keys.includes(column)) return textIn(fields[column], where, reading);
  const requirement = `it must have ${TEXT} under "${column}"`, remedy = "mend or remove the record";
  if (keys.length === 0) return { where, requirement, found: "this one has none", remedy };
  const likely = keys.toSorted((a, b) => lengthOf(fields[b]) - lengthOf(fields[a]))[0];
  const found = `this one has none, but ${namedColumns(keys)}`;
  return { where, requirement, found, remedy, ...lengthOf(fields[likely]) > 0 && { column: likely } };
}

/** What a record must hold, for messages. */
const TEXT = "a string or a list of messages";

/** Which column is read, and what writes the chats in it; without a writer they are no text. */
export interface ColumnReading {
  /** Its name. */
  readonly column: string;
  /** The writer. */
  readonly chats?: ChatWriter;
}

/**
 * The text that a cell holds.
 *
 * @param value What stands in the column.
 * @param where The file, and the record, for messages.
 * @param reading The column's name, and what writes chats.
 * @returns The text, that of a chat, "" for nothing; or why there is none.
 */
export function textIn(value: unknown, where: string, { column, chats }: ColumnReading): string | NoText {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "";
  if (chats && isChat(value)) return chats.write(value, where);
  return {
    where,
    requirement: `it must have ${TEXT} under "${column}"`,
    found: `this one has ${JSON.stringify(value).slice(0, 40)}`,
    remedy: "mend or remove the record",
  };
}

/**
 * Names columns, for messages.
 *
 * @param columns All of them.
 * @returns `id, body`; of many the first.
 */
export function namedColumns(columns: readonly string[]): string {
  return `${columns.slice(0, MOST_NAMED).join(", ")}${columns.length > MOST_NAMED ? ", ..." : ""}`;
}

/** How much text a value holds. */
function lengthOf(value: unknown): number {
  return typeof value === "string" ? value.length : isChat(value) ? JSON.stringify(value).length : 0;
}

/**
 * Reads JSON as Python writes it: with NaN and Infinity, which are read as `null`.
 *
 * @param json The JSON.
 * @returns Its value.
 * @throws {SyntaxError} When it is something else.
 */
export function parseLooseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    if (!/\b(NaN|Infinity)\b/.test(json)) throw error;
    const strict = json.replace(
      /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/gs,
      (part) => part[0] === '"' ? part : "null",
    );
    return JSON.parse(strict);
  }
}
