/**
 * The text of a record.
 * @module
 */

import type { NoText } from "./reading.ts";

/** The most columns that a message names. */
const MOST_NAMED = 8;

/**
 * Takes the text out of a record.
 *
 * @param record What a line or an entry holds.
 * @param where The file, and the line or entry, for messages.
 * @param column The key that the text is under.
 * @returns The text, "" for `null`; or why there is none, which names what is there.
 */
export function textOf(record: unknown, where: string, column: string): string | NoText {
  const isObject = record !== null && typeof record === "object" && !Array.isArray(record);
  const fields = isObject ? record as Readonly<Record<string, unknown>> : {}, keys = Object.keys(fields);
  const isThere = keys.includes(column), text = isThere ? fields[column] : undefined;
  if (typeof text === "string") return text;
  if (text === null) return "";
  const requirement = `it must have a string under "${column}"`, remedy = "mend or remove the record";
  if (isThere) return { where, requirement, found: `this one has ${JSON.stringify(text).slice(0, 40)}`, remedy };
  if (keys.length === 0) return { where, requirement, found: "this one has none", remedy };
  const likely = keys.toSorted((a, b) => lengthOf(fields[b]) - lengthOf(fields[a]))[0];
  const found = `this one has none, but ${namedColumns(keys)}`;
  return { where, requirement, found, remedy, ...lengthOf(fields[likely]) > 0 && { column: likely } };
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
  return typeof value === "string" ? value.length : 0;
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
