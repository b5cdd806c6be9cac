/**
 * The texts of tables with a header line, and of lists in JSON: cut into rows and entries as the bytes come, each of which is read alone.
 * @module
 */

import { dsvFormat } from "d3-dsv";
import { UserError } from "../errors.ts";
import type { Bytes } from "./decompress.ts";
import type { TextRecord } from "./documents.ts";
import { Gathered } from "./gathered.ts";
import type { NoText } from "./no_text.ts";
import { type ColumnReading, namedColumns, parseLooseJson, textOf } from "./text_of.ts";
import { decodedOrNot, decodedText } from "./utf8.ts";

/**
 * Reads the records from one on; those that are empty are left out.
 *
 * @param format How the file holds them: `csv` and `tsv` with a header line that names the columns; `json` as a list of strings or of
 * objects.
 * @param bytes The file in UTF-8, from its beginning.
 * @param from The first record.
 * @param path The file, for messages.
 * @param reading The column, or the key, that holds the text, and what writes chats.
 * @throws {UserError} While it is read, when it is malformed as a whole, or a record does not end.
 */
export async function* listedTexts(
  format: "csv" | "tsv" | "json",
  bytes: Bytes,
  from: number,
  path: string,
  reading: ColumnReading,
): AsyncGenerator<TextRecord[]> {
  const listed = format === "json"
    ? entryTexts(bytes, from, path, reading)
    : rowTexts(bytes, format === "csv" ? "," : "\t", from, path, reading.column);
  let record = 0;
  for await (const texts of listed) {
    const records: TextRecord[] = [];
    for (const text of texts) {
      if (record++ < from) continue;
      if (typeof text !== "string") records.push({ record, byte: 0, text: "", bad: text });
      else if (text !== "") records.push({ record, byte: 0, text });
    }
    if (records.length > 0) yield records;
  }
}

/** Bytes that a table and JSON are made with. */
const [LINE_FEED, RETURN, QUOTE, BACKSLASH, COMMA, OPEN, CLOSE, OPEN_OBJECT, CLOSE_OBJECT] = [...'\n\r"\\,[]{}']
  .map((character) => character.charCodeAt(0));
const isBlank = (byte: number) => byte === 0x20 || byte === LINE_FEED || byte === RETURN || byte === 0x09;

type Cut = Uint8Array | NoText;
/** What a record gives; those in front of the first that is wanted give nothing. */
type Listed = string | NoText;

async function* entryTexts(
  bytes: Bytes,
  from: number,
  path: string,
  reading: ColumnReading,
): AsyncGenerator<Listed[]> {
  const fail = (found: string) =>
    new UserError({
      action: `read ${path}`,
      requirement: `it must be a JSON list of strings or of objects with a "${reading.column}"`,
      found,
      remedy: "write a line for each text into a .jsonl file",
    });
  let entries = 0;
  const textOfEntry = (entry: Cut): Listed => {
    if (entries++ < from) return "";
    const where = `${path} entry ${entries}`, json = entry instanceof Uint8Array ? decodedOrNot(entry, where) : entry;
    if (typeof json !== "string") return json;
    try {
      const value = parseLooseJson(json);
      return typeof value === "string" ? value : textOf(value, where, reading);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw fail(`entry ${entries} is none: ${error.message}`);
    }
  };
  for await (const cut of entriesOf(bytes, path, fail)) yield cut.map(textOfEntry);
}

/** Cuts a list in JSON into its entries; what is between its brackets and commas is checked by whoever reads it. */
async function* entriesOf(bytes: Bytes, path: string, fail: (found: string) => UserError): AsyncGenerator<Cut[]> {
  const begun = new Gathered(), where = () => `${path} entry ${entries + 1}`;
  let entries = 0, stage = "before" as "before" | "inside" | "behind";
  /** Of the entry that is being read: whether it has begun, and where in it we are. */
  let isBegun = false, depth = 0, isText = false, isEscaped = false;
  for await (const piece of bytes) {
    const cut: Cut[] = [];
    let start = 0;
    const end = (at: number) => {
      cut.push(begun.take(piece.subarray(start, at), where));
      entries++;
      start = at + 1;
      isBegun = false;
    };
    for (let i = 0; i < piece.length; i++) {
      const byte = piece[i];
      if (isEscaped) isEscaped = false;
      else if (isText && byte === BACKSLASH) isEscaped = true;
      else if (isText) isText = byte !== QUOTE;
      else if (isBlank(byte)) continue;
      else if (stage === "behind") throw fail("something follows behind it");
      else if (stage === "before") {
        if (byte !== OPEN) throw fail("it is no list");
        stage = "inside";
        start = i + 1;
      } else if (depth === 0 && byte === COMMA) end(i);
      else if (depth === 0 && byte === CLOSE) {
        if (entries > 0 || isBegun) end(i);
        stage = "behind";
      } else {
        isBegun = true;
        isText = byte === QUOTE;
        if (byte === OPEN || byte === OPEN_OBJECT) depth++;
        else if ((byte === CLOSE || byte === CLOSE_OBJECT) && --depth < 0) throw fail(`entry ${entries + 1} is none`);
      }
    }
    if (stage === "inside") begun.add(piece.subarray(start), where);
    if (cut.length > 0) yield cut;
  }
  if (stage !== "behind") throw fail(stage === "before" ? "it is empty" : "it does not end");
}

/** So many rows tell which column holds text, where the one that is wanted is not there. */
const PROBED_ROWS = 20;

async function* rowTexts(
  bytes: Bytes,
  delimiter: string,
  from: number,
  path: string,
  name: string,
): AsyncGenerator<Listed[]> {
  const { parseRows } = dsvFormat(delimiter);
  let header: string[] | undefined, column = -1, bad: NoText | undefined, rows = 0;
  const cellsOf = (row: Cut, where: string): string[] | NoText => {
    const text = row instanceof Uint8Array ? decodedText(row, where) : row;
    return typeof text === "string" ? parseRows(text)[0] ?? [""] : text;
  };
  const textOfRow = (row: Cut): Listed => {
    if (rows++ < from) return "";
    if (bad) return bad;
    const where = `${path} row ${rows}`, cells = cellsOf(row, where);
    if (!Array.isArray(cells)) return cells;
    if (cells.length === header!.length) return cells[column];
    if (cells.length === 1 && cells[0] === "") return "";
    return {
      where,
      requirement: `each row must have the ${header!.length} cells of the header line`,
      found: `this one has ${cells.length}`,
      remedy: "mend it, or quote cells that hold the delimiter",
    };
  };
  for await (const cut of rowsOf(bytes, delimiter, path)) {
    if (header === undefined) {
      const named = cellsOf(cut.shift()!, `${path} header line`);
      header = Array.isArray(named) ? named : [];
      column = header.indexOf(name);
      const probed = cut.slice(0, PROBED_ROWS).map((row) => cellsOf(row, path)).filter((cells) => Array.isArray(cells));
      if (column < 0) bad = Array.isArray(named) ? lacksColumn(header, probed, path, name) : named;
    }
    if (cut.length > 0) yield cut.map(textOfRow);
  }
  // A table without rows holds no text all the same.
  bad ??= header === undefined ? lacksColumn([], [], path, name) : undefined;
  if (bad && rows === 0) yield [bad];
}

function lacksColumn(header: readonly string[], rows: readonly string[][], where: string, name: string): NoText {
  const requirement = `its header line must name a column "${name}"`, [other] = longestFirst(header, rows);
  const found = header.length === 0 ? "it is empty" : `it names ${namedColumns(header)}`;
  return { where, requirement, found, remedy: "name the column so", ...other && { column: other } };
}

/** Cuts a table into its rows. A cell that begins with a quote ends with one, and line ends inside of it end no row. */
async function* rowsOf(bytes: Bytes, delimiter: string, path: string): AsyncGenerator<Cut[]> {
  const begun = new Gathered(), between = delimiter.charCodeAt(0);
  let rows = 0, isCellStart = true, isQuoted = false, isBehindQuote = false, isBehindReturn = false;
  const where = () => `${path} row ${rows}`;
  for await (const piece of bytes) {
    const cut: Cut[] = [];
    let start = 0;
    for (let i = 0; i < piece.length; i++) {
      const byte = piece[i], isRest = isBehindReturn && byte === LINE_FEED;
      isBehindReturn = false;
      if (isRest) {
        start = i + 1;
        continue;
      }
      if (isQuoted && byte === QUOTE) [isQuoted, isBehindQuote] = [false, true];
      else if (isQuoted) continue;
      else if (byte === LINE_FEED || byte === RETURN) {
        cut.push(begun.take(piece.subarray(start, i), where));
        rows++;
        start = i + 1;
        [isCellStart, isBehindQuote, isBehindReturn] = [true, false, byte === RETURN];
      } else if (byte === QUOTE && (isCellStart || isBehindQuote)) {
        [isQuoted, isCellStart, isBehindQuote] = [true, false, false];
      } // Whatever follows a closing quote stands for a delimiter.
      else [isCellStart, isBehindQuote] = [isBehindQuote || byte === between, false];
    }
    begun.add(piece.subarray(start), where);
    if (cut.length > 0) yield cut;
  }
  if (begun.bytes > 0) yield [begun.take(new Uint8Array(), where)];
}

/** The columns of some rows, those that hold most first; numbers are nothing. */
function longestFirst(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const lengthIn = (row: readonly string[], name: string) =>
    (row[header.indexOf(name)] ?? "").replace(/^[-+\d.]*$/, "").length;
  const lengthOf = (name: string) => rows.reduce((sum, row) => sum + lengthIn(row, name), 0);
  return header.toSorted((a, b) => lengthOf(b) - lengthOf(a));
}
