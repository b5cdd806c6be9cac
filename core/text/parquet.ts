/**
 * The texts of a parquet file: one of its columns, some rows at a time.
 * @module
 */
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync, parquetRead, parquetSchema } from "hyparquet";
import { UserError } from "../errors.ts";
import type { ByteSource } from "../files/byte_source.ts";
import type { TextRecord } from "./documents.ts";
import { PAGE_CODECS } from "./parquet_codecs.ts";
import { guardPages, type PageGuard } from "./parquet_pages.ts";
import type { NoText } from "./reading.ts";
import { namedColumns } from "./text_of.ts";
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
 * @param name The column that holds the text.
 * @throws {UserError} while it is read, when it is no parquet file or is damaged.
 */
export async function* parquetRecords(file: ByteSource, from: number, name: string): AsyncGenerator<TextRecord[]> {
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
    const column = group.columns.find(({ meta_data }) => meta_data?.path_in_schema[0] === name)?.meta_data;
    const bytesPerRow = Number(column?.total_uncompressed_size ?? 0) / Math.max(1, rows);
    const step = Math.max(1, Math.floor(STEP_BYTES / Math.max(1, bytesPerRow)));
    for (let row = Math.max(first, from); row < end; row += step) {
      const records = await readRows(file, buffer, metadata, name, row, Math.min(row + step, end));
      if (records.length > 0) yield records;
    }
    first = end;
  }
}

async function readRows(
  file: ByteSource,
  buffer: AsyncBuffer,
  metadata: FileMetaData,
  name: string,
  rowStart: number,
  rowEnd: number,
): Promise<TextRecord[]> {
  let texts: unknown[] = [];
  const stringFromBytes = (bytes: Uint8Array | undefined) => bytes && decodedOrNot(bytes, file.name);
  await explained(file, () =>
    parquetRead({
      file: buffer,
      metadata,
      columns: [name],
      rowStart,
      rowEnd,
      compressors: PAGE_CODECS,
      useOffsetIndex: true,
      parsers: { stringFromBytes },
      onComplete: (rows) => texts = rows.map(([text]) => text),
    }));
  if (texts.length !== rowEnd - rowStart) {
    throw damaged(file.name, `rows ${rowStart + 1} to ${rowEnd} hold ${texts.length} values`);
  }
  return texts.flatMap((text, i) => {
    if (typeof text === "string") return text === "" ? [] : { record: rowStart + i + 1, byte: 0, text };
    if (text === null) return [];
    if (text === undefined) throw damaged(file.name, `row ${rowStart + i + 1} is missing`);
    // The parser of strings knows no rows.
    const bad: NoText = { ...text as NoText, where: `${file.name} row ${rowStart + i + 1}` };
    return { record: rowStart + i + 1, byte: 0, text: "", bad };
  });
}

/** Why a file has no texts in a column; null when it may have. */
function lacksText(path: string, metadata: FileMetaData, name: string): NoText | null {
  const columns = parquetSchema(metadata).children.map(({ element, children }) => ({
    name: element.name,
    isText: children.length === 0 && element.type === "BYTE_ARRAY" && element.repetition_type !== "REPEATED",
  }));
  const column = columns.find((column) => column.name === name), where = path;
  if (column?.isText) return null;
  const others = columns.filter(({ isText }) => isText), other = others.length === 1 ? others[0].name : "NAME";
  const choice = others.length > 0 && { column: other };
  if (column) {
    const requirement = `its column "${name}" must hold strings`;
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

function damaged(path: string, found: string): UserError {
  return new UserError({
    action: `read ${path}`,
    requirement: "it must be a whole parquet file",
    found,
    remedy: "download or write it again",
  });
}
