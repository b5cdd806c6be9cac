/**
 * Tables of a run as CSV: one list of columns, from which a file is both written and read.
 * @module
 */

import { csvFormatRows, csvParseRows } from "d3-dsv";
import { UserError } from "../errors.ts";

/** What the numbers of a column may be: any, those from 0 on, whole ones from 0 on, or those from 0 to 1. */
export type Range = "any" | "amount" | "count" | "share";

const RANGES: Readonly<Record<Range, (value: number) => boolean>> = {
  any: () => true,
  amount: (value) => value >= 0,
  count: (value) => value >= 0 && Number.isSafeInteger(value),
  share: (value) => value >= 0 && value <= 1,
};

const WHAT: Readonly<Record<Range, string>> = {
  any: "a number",
  amount: "a number from 0",
  count: "a whole number from 0",
  share: "a number from 0 to 1",
};

/** A column of a table whose rows are of this type. */
export interface Column<Row> {
  /** Its name in the header line. */
  readonly name: string;
  /** The cell of a row. */
  readonly write: (row: Row) => string;
  /** Takes a cell into a row; false where it cannot be. */
  readonly read: (cell: string, row: Row) => boolean;
  /** What its cells say where a file is older than the column; without it, the column must be there. */
  readonly since?: string;
  /** What a cell must be, for messages; a number if left out. */
  readonly what?: string;
}

/**
 * Reads a cell that holds a number.
 *
 * @param cell Its text.
 * @param mayBeEmpty Whether an empty cell is NaN, as `NaN` is anywhere.
 * @param range What it may be.
 * @returns The number; null when there is none.
 */
export function numberIn(cell: string, mayBeEmpty: boolean = false, range: Range = "any"): number | null {
  const text = cell.trim();
  if (text === "NaN" || (text === "" && mayBeEmpty)) return NaN;
  const value = /^-?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text) ? Number(text) : NaN;
  return Number.isFinite(value) && RANGES[range](value) ? value : null;
}

/**
 * A column of numbers.
 *
 * @param name Its name, which is also the row's key.
 * @param range What its numbers may be.
 * @param write A number's text.
 * @param mayBeEmpty Whether an empty cell is NaN; else it is an error.
 * @returns The column.
 */
export function numberColumn<Key extends string, Row extends Record<Key, number>>(
  name: Key,
  range: Range,
  write: (value: number) => string = String,
  mayBeEmpty: boolean = false,
): Column<Row> {
  return {
    name,
    what: WHAT[range],
    write: (row) => write(row[name]),
    read(cell, row) {
      const value = numberIn(cell, mayBeEmpty, range);
      if (value !== null) (row as Record<Key, number>)[name] = value;
      return value !== null;
    },
  };
}

/**
 * The header line of a table.
 *
 * @param columns Its columns.
 * @returns Their names.
 */
export function headerLine<Row>(columns: readonly Column<Row>[]): string {
  return csvFormatRows([columns.map(({ name }) => name)]) + "\n";
}

/**
 * Lines of a table.
 *
 * @param columns Its columns.
 * @param rows Any number of rows.
 * @returns A line for each.
 */
export function rowLines<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  if (rows.length === 0) return "";
  return csvFormatRows(rows.map((row) => columns.map(({ write }) => write(row)))) + "\n";
}

/**
 * Parses a table. Columns that are not asked for are passed over.
 *
 * @param text The file's text.
 * @param path The file, for messages.
 * @param columns What is to be read.
 * @param start Makes a row that its columns are read into.
 * @returns Its rows.
 * @throws {UserError} When a column is missing, a row is cut off, or a cell is not what it must be.
 */
export function parseTable<Row>(
  text: string,
  path: string,
  columns: readonly Column<Row>[],
  start: () => Row,
): Row[] {
  const [header = [], ...body] = csvParseRows(text) as string[][];
  const missing = columns.find(({ name, since }) => since === undefined && !header.includes(name));
  if (missing) {
    throw new UserError({
      action: `read ${path}`,
      requirement: `its first line must name the column ${missing.name}`,
      found: `it reads "${header.join(",").slice(0, 100)}"`,
      remedy: "restore it or train the run again",
    });
  }
  const places = columns.map((column) => ({ ...column, at: header.indexOf(column.name) }));
  return body.map((cells, index) => {
    const line = index + 2;
    if (cells.length !== header.length) {
      throw new UserError({
        action: `read ${path}`,
        requirement: `row ${line} must hold ${header.length} values`,
        found: `it holds ${cells.length}`,
        remedy: "the file is cut off or damaged, restore it or train the run again",
      });
    }
    const row = start();
    for (const { name, at, read, since, what = WHAT.any } of places) {
      if (read(at < 0 ? since! : cells[at], row)) continue;
      throw new UserError({
        action: `read ${path}`,
        requirement: `${name} in row ${line} must be ${what}`,
        found: `it is "${cells[at]}"`,
        remedy: "restore it or train the run again",
      });
    }
    return row;
  });
}
