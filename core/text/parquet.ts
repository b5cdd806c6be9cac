/**
 * The texts of a parquet file: one of its columns, some rows at a time.
 * @module
 */
import {
  type AsyncBuffer,
  type FileMetaData,
  parquetMetadataAsync,
  parquetRead,
  parquetSchema,
  type SchemaTree,
} from "hyparquet";
import { UserError } from "../errors.ts";
import type { ByteSource } from "../files/byte_source.ts";
import type { TextRecord } from "./documents.ts";
import { isChat } from "./chat.ts";
import { DamagedFile, type NoText } from "./no_text.ts";
import { PAGE_CODECS } from "./parquet_codecs.ts";
import { guardPages, type PageGuard } from "./parquet_pages.ts";
import { type ColumnReading, namedColumns, textIn } from "./text_of.ts";
import { decodedOrNot } from "./utf8.ts";

/**
 * Rows are decoded about this many bytes of text at a time. Where the file tells its pages, those of the rows are fetched; else all
 * the text of a row group, compressed, which is kept until the group is done.
 */
const STEP_BYTES = 2 ** 25;

/**
 * Reads the texts from a row on; empty rows are left out. Where there is no such column, or none of strings, all rows are bad at once.
 *
 * @param file The file's bytes.
 * @param from The first row.
 * @param reading The column that holds the text, and what writes chats.
 * @throws {UserError} while it is read, when it is no parquet file or is damaged.
 */
export async function* parquetRecords(
  file: ByteSource,
  from: number,
  reading: ColumnReading,
): AsyncGenerator<TextRecord[]> {
  const { column: name } = reading;
  const metadata = await explained(file, () => parquetMetadataAsync(rememberingLast(file)));
  const bad = await explained(file, () => lacksText(file.name, metadata, name)), all = Number(metadata.num_rows);
  if (bad) {
    if (from < all || all === 0) {
      yield [{ record: Math.max(1, all), byte: 0, text: "", bad, records: Math.max(1, all - from) }];
    }
    return;
  }
  const guard = await explained(file, () => guardPages(metadata, file.name)), buffer = rememberingLast(file, guard);
  let first = 0;
  for (const group of metadata.row_groups) {
    const rows = Number(group.num_rows), end = first + rows;
    // A chat's roles and contents are columns of their own.
    const columns = group.columns.filter(({ meta_data }) => meta_data?.path_in_schema[0] === name);
    const bytes = columns.reduce((sum, { meta_data }) => sum + Number(meta_data!.total_uncompressed_size), 0);
    const bytesPerRow = bytes / Math.max(1, rows);
    const step = Math.max(1, Math.floor(STEP_BYTES / Math.max(1, bytesPerRow)));
    for (let row = Math.max(first, from); row < end; row += step) {
      const records = await readRows(file, buffer, metadata, reading, row, Math.min(row + step, end));
      if (records.length > 0) yield records;
    }
    first = end;
  }
}

async function readRows(
  file: ByteSource,
  buffer: AsyncBuffer,
  metadata: FileMetaData,
  reading: ColumnReading,
  rowStart: number,
  rowEnd: number,
): Promise<TextRecord[]> {
  let cells: unknown[] = [];
  /** What stands in cells for strings that are no UTF-8: the parser of strings knows no rows. */
  const undecoded = new Map<unknown, NoText>();
  const stringFromBytes = (bytes: Uint8Array | undefined) => {
    const text = bytes && decodedOrNot(bytes, file.name);
    if (typeof text === "object") undecoded.set(text, text);
    return text;
  };
  await explained(file, () =>
    parquetRead({
      file: buffer,
      metadata,
      columns: [reading.column],
      rowStart,
      rowEnd,
      compressors: PAGE_CODECS,
      useOffsetIndex: true,
      parsers: { stringFromBytes },
      onComplete: (rows) => cells = rows.map(([cell]) => cell),
    }));
  if (cells.length !== rowEnd - rowStart) {
    throw damaged(file.name, `rows ${rowStart + 1} to ${rowEnd} hold ${cells.length} values`);
  }
  return cells.flatMap((cell, i) => {
    const place = { record: rowStart + i + 1, byte: 0 }, where = `${file.name} row ${place.record}`;
    if (cell === undefined) throw damaged(file.name, `row ${place.record} is missing`);
    const parts = isChat(cell) ? cell.flatMap((message) => Object.values(message)) : [cell];
    const spoilt = undecoded.size === 0 ? undefined : undecoded.get(parts.find((part) => undecoded.has(part)));
    const text = spoilt ? { ...spoilt, where } : textIn(cell, where, reading);
    if (typeof text !== "string") return { ...place, text: "", bad: text };
    return text === "" ? [] : { ...place, text };
  });
}

/** Why a file has no texts in a column; null when it may have. */
function lacksText(path: string, metadata: FileMetaData, name: string): NoText | null {
  const columns = parquetSchema(metadata).children.map(({ element, children }) => ({
    name: element.name,
    isText: children.length === 0 && element.type === "BYTE_ARRAY" && element.repetition_type !== "REPEATED" ||
      isListOfMessages(children),
  }));
  const column = columns.find((column) => column.name === name), where = path;
  if (column?.isText) return null;
  const others = columns.filter(({ isText }) => isText), other = others.length === 1 ? others[0].name : "NAME";
  const choice = others.length > 0 && { column: other };
  if (column) {
    const requirement = `its column "${name}" must hold strings or lists of messages`;
    return { where, requirement, found: "it holds something else", remedy: "convert the column", ...choice };
  }
  const found = columns.length === 0
    ? "it has none"
    : `its columns are ${namedColumns(columns.map(({ name }) => name))}`;
  return {
    where,
    requirement: `it must have a column "${name}"`,
    found,
    remedy: "name the one with the text so",
    ...choice,
  };
}

/** Whether a column holds lists of structs that have what a message has. */
function isListOfMessages([list]: readonly SchemaTree[]): boolean {
  const keys = list?.children[0]?.children.map(({ element }) => element.name) ?? [];
  return isChat([Object.fromEntries(keys.map((key) => [key, ""]))]);
}

/** hyparquet asks for the same column of a row group at each step where pages are not told; it is fetched and checked once. */
function rememberingLast(file: ByteSource, guard?: PageGuard): AsyncBuffer {
  let last: { start: number; end: number; bytes: Promise<ArrayBuffer> } | undefined;
  return {
    byteLength: file.size,
    slice(start, end = file.size) {
      if (last?.start !== start || last.end !== end) {
        requireInside(file, start, end);
        const bytes = file.read(start, end - start).then((bytes) => {
          guard?.check(start, bytes);
          const { buffer, byteOffset, byteLength } = bytes;
          return byteLength === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength);
        });
        last = { start, end, bytes };
      }
      return last.bytes;
    },
  };
}

function requireInside({ size }: ByteSource, start: number, end: number): void {
  if (start >= 0 && start <= end && end <= size) return;
  throw new RangeError(`a part is said to lie from byte ${start} to ${end} of ${size}`);
}

async function explained<T>({ name }: ByteSource, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw damaged(name, (error as Error).message);
  }
}

function damaged(path: string, found: string): DamagedFile {
  return new DamagedFile({
    action: `read ${path}`,
    requirement: "it must be a whole parquet file",
    found,
    remedy: "download or write it again",
  });
}
