/**
 * The text of a record.
 * @module
 */

import { UserError } from "../errors.ts";

/**
 * Takes the text out of a record.
 *
 * @param record What a line or an entry holds.
 * @param where The file, and the line or entry, for messages.
 * @returns The string under "text".
 * @throws {UserError} When there is none; the message names what is there.
 */
export function textOf(record: unknown, where: string): string {
  const keys = record !== null && typeof record === "object" && !Array.isArray(record) ? Object.keys(record) : [];
  const text = keys.includes("text") ? (record as { text: unknown }).text : undefined;
  if (typeof text === "string") return text;
  const others = keys.slice(0, 8).join(", ");
  throw new UserError({
    action: `read ${where}`,
    requirement: 'it must have a string under "text"',
    found: text !== undefined
      ? `this one has ${JSON.stringify(text).slice(0, 40)}`
      : keys.length > 0
      ? `this one has none, but ${others}${keys.length > 8 ? ", ..." : ""}`
      : "this one has none",
    remedy: keys.length > 0 && text === undefined
      ? 'rename what holds the text to "text", or mend or remove the record'
      : "mend or remove the record",
  });
}
