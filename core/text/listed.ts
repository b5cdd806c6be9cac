/**
 * The texts of files that must be read whole to be read at all: tables with a header line, and lists in JSON.
 * @module
 */

import { dsvFormat } from "d3-dsv";
import { UserError } from "../errors.ts";
import type { RecordPlace, TextRecord } from "./documents.ts";
import type { NoText } from "./no_text.ts";
import { type ColumnReading, namedColumns, parseLooseJson, textOf } from "./text_of.ts";

/**
 * Lists the records from one on; those that are empty are left out.
 *
 * @param format How the file holds them: `csv` and `tsv` with a header line that names the columns; `json` as a list of strings or of
 * objects.
 * @param content The file's content.
 * @param from The first record.
 * @param path The file, for messages.
 * @param reading The column, or the key, that holds the text, and what writes chats.
 * @throws {UserError} When it is malformed as a whole.
 */
export function* listedTexts(
  format: "csv" | "tsv" | "json",
  content: string,
  from: RecordPlace,
  path: string,
  reading: ColumnReading,
): Generator<TextRecord[]> {
  const listed = format === "json"
    ? entriesOf(content, path, reading)
    : rowsOf(content, format === "csv" ? "," : "\t", path, reading.column);
  const records: TextRecord[] = [];
  for (let i = from.record; i < listed.length; i++) {
    const text = listed[i], place = { record: i + 1, byte: 0 };
    if (typeof text !== "string") records.push({ ...place, text: "", bad: text });
    else if (text !== "") records.push({ ...place, text });
  }
  if (records.length > 0) yield records;
}

function entriesOf(content: string, path: string, reading: ColumnReading): (string | NoText)[] {
  const fail = (found: string) =>
    new UserError({
      action: `read ${path}`,
      requirement: `it must be a JSON list of strings or of objects with a "${reading.column}"`,
      found,
      remedy: "write a line for each text into a .jsonl file",
    });
  let value: unknown;
  try {
    value = parseLooseJson(content);
  } catch (error) {
    throw fail((error as Error).message);
  }
  if (!Array.isArray(value)) throw fail("it is no list");
  return value.map((entry, i) => typeof entry === "string" ? entry : textOf(entry, `${path} entry ${i + 1}`, reading));
}

function rowsOf(content: string, delimiter: string, path: string, name: string): (string | NoText)[] {
  const [header = [], ...rows]: string[][] = dsvFormat(delimiter).parseRows(content), column = header.indexOf(name);
  if (column < 0) {
    const requirement = `its header line must name a column "${name}"`,
      [other] = longestFirst(header, rows.slice(0, 20));
    const found = header.length === 0 ? "it is empty" : `it names ${namedColumns(header)}`;
    const bad = { where: path, requirement, found, remedy: "name the column so", ...other && { column: other } };
    return Array<NoText>(Math.max(1, rows.length)).fill(bad);
  }
  return rows.map((row, i) => {
    if (row.length === header.length) return row[column];
    if (row.length === 1 && row[0] === "") return "";
    return {
      where: `${path} row ${i + 1}`,
      requirement: `each row must have the ${header.length} cells of the header line`,
      found: `this one has ${row.length}`,
      remedy: "mend it, or quote cells that hold the delimiter",
    };
  });
}

/** The columns of some rows, those that hold most first; numbers are nothing. */
function longestFirst(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const lengthIn = (row: readonly string[], name: string) =>
    (row[header.indexOf(name)] ?? "").replace(/^[-+\d.]*$/, "").length;
  const lengthOf = (name: string) => rows.reduce((sum, row) => sum + lengthIn(row, name), 0);
  return header.toSorted((a, b) => lengthOf(b) - lengthOf(a));
}
