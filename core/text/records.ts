/**
 * Records: the texts of a file, one after the other from any place on. A `.txt` file is one record, or where it is long its parts are; a line
 * of a `.jsonl` file, a row of a parquet or `.csv` file and an entry of a `.json` file's list are one each. None needs the whole file in memory.
 * @module
 */
import type { ByteSource } from "../files/byte_source.ts";
import type { TextFormat } from "../files/text_formats.ts";
import { type Bytes, type Compression, decompress } from "./decompress.ts";
import type { RecordPlace, TextRecord } from "./documents.ts";
import { lineTexts } from "./lines.ts";
import { listedTexts } from "./listed.ts";
import { parquetRecords } from "./parquet.ts";
import { DamagedFile } from "./no_text.ts";
import { textParts } from "./parts.ts";
import { DAMAGED_RECORDS, PLAIN_READING, type TextReading, tooManyBad } from "./reading.ts";
import type { ColumnReading } from "./text_of.ts";
import { utf8Of } from "./utf8.ts";
import { countRead } from "./watched.ts";

/** The first record of every file. */
export const FILE_START: RecordPlace = { record: 0, byte: 0 };

/** Where a damaged file is left: no file has so many bytes. */
const LEFT = Number.MAX_SAFE_INTEGER;

/**
 * Reads a file's records from a place on, some at a time. Empty ones are left out; those that hold something else than text are bad. What
 * follows the damage of a compressed file or of a parquet file is {@link DAMAGED_RECORDS} bad records at once.
 *
 * @param file The file's bytes, which are left open.
 * @param format How it holds its text.
 * @param from Where to begin: the start, or a place that a record before ended at.
 * @param reading How its records are read.
 * @throws {UserError} while it is read, when the file is damaged in another way, or damage is not to be left out.
 */
export async function* readRecords(
  file: ByteSource,
  format: TextFormat,
  from: RecordPlace,
  reading: ColumnReading & Pick<TextReading, "damage"> = PLAIN_READING,
): AsyncGenerator<TextRecord[]> {
  if (from.byte === LEFT) return;
  let { record } = from;
  try {
    for await (const records of undamagedRecords(file, format, from, reading)) {
      ({ record } = records[records.length - 1]);
      yield records;
    }
  } catch (error) {
    if (!(error instanceof DamagedFile)) throw error;
    const { requirement = "", found = "", remedy = "" } = error.parts;
    const what = record === 0 ? found : `${found}, behind record ${record}`;
    const counted = `${what}; what follows counts as ${DAMAGED_RECORDS} records`;
    const bad = { where: file.name, requirement, found: counted, remedy };
    if (reading.damage === "ask") throw tooManyBad(bad, DAMAGED_RECORDS, PLAIN_READING);
    yield [{ record: record + 1, byte: LEFT, text: "", bad, records: DAMAGED_RECORDS }];
  }
}

async function* undamagedRecords(
  file: ByteSource,
  format: TextFormat,
  from: RecordPlace,
  reading: ColumnReading,
): AsyncGenerator<TextRecord[]> {
  const { name } = file, { record } = from;
  const text = (compression: Compression) => textParts(utf8Of(undone(file, compression), name), record, name);
  switch (format) {
    case "txt":
      return yield* text("none");
    case "txt.gz":
      return yield* text("gzip");
    case "txt.zst":
      return yield* text("zstd");
    case "jsonl":
      return yield* lineTexts(undone(file, "none", from.byte), from, name, reading);
    case "jsonl.gz":
      return yield* lineTexts(skip(undone(file, "gzip"), from.byte), from, name, reading);
    case "jsonl.zst":
      return yield* lineTexts(skip(undone(file, "zstd"), from.byte), from, name, reading);
    case "parquet":
      return yield* parquetRecords(file, record, reading);
    case "csv":
    case "tsv":
    case "json":
      return yield* listedTexts(format, utf8Of(undone(file, "none"), name), record, name, reading);
  }
}

/** A file's bytes without its compression, counted as they come. */
async function* undone(file: ByteSource, compression: Compression, from = 0): AsyncGenerator<Uint8Array> {
  for await (const piece of decompress(file.stream(from), compression, file.name)) {
    countRead(piece.length);
    yield piece;
  }
}

async function* skip(bytes: Bytes, count: number): AsyncGenerator<Uint8Array> {
  let left = count;
  for await (const piece of bytes) {
    if (piece.length > left) yield piece.subarray(left);
    left -= Math.min(left, piece.length);
  }
}
