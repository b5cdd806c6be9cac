/**
 * The texts of files that must be read whole to be read at all: tables with a header line, and lists in JSON.
 * @module
 */

import { dsvFormat } from "d3-dsv";
import { UserError } from "../errors.ts";
import type { RecordPlace, TextRecord } from "./documents.ts";
import { textOf } from "./text_of.ts";

/**
 * Lists the texts from a record on; records without text are left out.
 *
 * @param format How the file holds them: `csv` and `tsv` with a header line, of which one column is "text"; `json` as a list of strings or
 * of objects with a "text".
 * @param content The file's content.
 * @param from The first record.
 * @param path The file, for messages.
 * @throws {UserError} When it is malformed or holds no text where text must be.
 */
export function* listedTexts(
  format: "csv" | "tsv" | "json",
  content: string,
  from: RecordPlace,
  path: string,
): Generator<TextRecord[]> {
  const records = format === "json" ? entriesOf(content, path) : rowsOf(content, format === "csv" ? "," : "\t", path);
  const what = format === "json" ? "entry" : "row", texts: TextRecord[] = [];
  for (let i = from.record; i < records.length; i++) {
    const text = textOf(records[i], `${path} ${what} ${i + 1}`);
    if (text !== "") texts.push({ record: i + 1, byte: 0, text });
  }
  if (texts.length > 0) yield texts;
}

function entriesOf(content: string, path: string): unknown[] {
  const fail = (found: string) =>
    new UserError({
      action: `read ${path}`,
      requirement: 'it must be a JSON list of strings or of objects with a "text"',
      found,
      remedy: "write a line for each text into a .jsonl file",
    });
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (error) {
    throw fail((error as Error).message);
  }
  if (!Array.isArray(value)) throw fail("it is no list");
  return value.map((entry) => typeof entry === "string" ? { text: entry } : entry);
}

function rowsOf(content: string, delimiter: string, path: string): Record<string, unknown>[] {
  const [header = [], ...rows]: string[][] = dsvFormat(delimiter).parseRows(content), column = header.indexOf("text");
  if (column < 0) {
    throw new UserError({
      action: `read ${path}`,
      requirement: 'its header line must name a column "text"',
      found: header.length === 0 ? "it is empty" : `it names ${header.join(", ")}`,
      remedy: "rename the one with the text",
    });
  }
  const torn = rows.findIndex((row) => row.length !== header.length && !(row.length === 1 && row[0] === ""));
  if (torn < 0) return rows.map((row) => ({ text: row[column] ?? "" }));
  throw new UserError({
    action: `read ${path}`,
    requirement: `each row must have the ${header.length} cells of the header line`,
    found: `row ${torn + 1} has ${rows[torn].length}`,
    remedy: "mend it, or quote cells that hold the delimiter",
  });
}
