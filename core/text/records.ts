/**
 * Records: the texts of a file, one after the other from any place on. A `.txt` file is one record; a line of a `.jsonl` file,
 * a row of a parquet or `.csv` file and an entry of a `.json` file's list are one each.
 * @module
 */
import type { ByteSource } from "../files/byte_source.ts";
import type { TextFormat } from "../files/text_formats.ts";
import { type Bytes, type Compression, decompress } from "./decompress.ts";
import type { RecordPlace, TextRecord } from "./documents.ts";
import { listedTexts } from "./listed.ts";
import { parquetRecords } from "./parquet.ts";
import { DamagedFile, type NoText } from "./no_text.ts";
import { DAMAGED_RECORDS, PLAIN_READING, type TextReading, tooManyBad } from "./reading.ts";
import { type ColumnReading, parseLooseJson, textOf } from "./text_of.ts";
import { checkTextBytes, decodedOrNot, decodeFile, wideEncodingOf, wrongEncoding } from "./utf8.ts";
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
    if (!(error instanceof DamagedFile) || reading.damage === "refuse") throw error;
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
  switch (format) {
    case "txt":
      return yield* oneText(file, "none", from);
    case "txt.gz":
      return yield* oneText(file, "gzip", from);
    case "txt.zst":
      return yield* oneText(file, "zstd", from);
    case "jsonl":
      return yield* lines(file.stream(from.byte), from, file.name, reading);
    case "jsonl.gz":
      return yield* compressedLines(file, "gzip", from, reading);
    case "jsonl.zst":
      return yield* compressedLines(file, "zstd", from, reading);
    case "parquet":
      return yield* parquetRecords(file, from.record, reading);
    case "csv":
    case "tsv":
    case "json":
      return yield* listedTexts(format, await wholeText(file, "none"), from, file.name, reading);
  }
}

async function* oneText(
  file: ByteSource,
  compression: Compression,
  { record }: RecordPlace,
): AsyncGenerator<TextRecord[]> {
  if (record > 0) return;
  const text = await wholeText(file, compression);
  if (text !== "") yield [{ record: 1, byte: file.size, text }];
}

/** A file's content, however it is compressed; it must be no longer than one document may be. */
async function wholeText(file: ByteSource, compression: Compression): Promise<string> {
  checkTextBytes(file.size, file.name);
  if (compression === "none") return decodeFile(await file.read(0, file.size), file.name);
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of decompress(file.stream(0), compression, file.name)) {
    pieces.push(piece);
    countRead(piece.length);
    checkTextBytes(bytes += piece.length, file.name);
  }
  return decodeFile(joined(pieces), file.name);
}

function compressedLines(
  file: ByteSource,
  compression: Compression,
  from: RecordPlace,
  reading: ColumnReading,
): AsyncGenerator<TextRecord[]> {
  return lines(skip(decompress(file.stream(0), compression, file.name), from.byte), from, file.name, reading);
}

async function* skip(bytes: Bytes, count: number): AsyncGenerator<Uint8Array> {
  let left = count;
  for await (const piece of bytes) {
    if (piece.length > left) yield piece.subarray(left);
    left -= Math.min(left, piece.length);
  }
}

const LINE_FEED = 0x0a;

/** Lines of JSON; the last one needs no line end. */
async function* lines(
  bytes: Bytes,
  from: RecordPlace,
  path: string,
  reading: ColumnReading,
): AsyncGenerator<TextRecord[]> {
  let { record, byte } = from;
  /** The beginning of a line whose end has not come yet. */
  let begun: Uint8Array[] = [], begunBytes = 0;
  const finish = (end: Uint8Array, lineEnd: number, into: TextRecord[]) => {
    const line = begun.length === 0 ? end : joined([...begun, end]);
    begun = [];
    begunBytes = 0;
    record++;
    byte += line.length + lineEnd;
    const text = textOfLine(line, `${path} line ${record}`, reading);
    if (typeof text !== "string") into.push({ record, byte, text: "", bad: text });
    else if (text !== "") into.push({ record, byte, text });
  };
  for await (const piece of bytes) {
    const records: TextRecord[] = [];
    let start = 0;
    countRead(piece.length);
    const wide = byte === 0 && begunBytes === 0 ? wideEncodingOf(piece) : null;
    if (wide) throw wrongEncoding(path, wide.name);
    for (let end; (end = piece.indexOf(LINE_FEED, start)) !== -1; start = end + 1) {
      finish(piece.subarray(start, end), 1, records);
      // Gigabytes of nothing are passed over as fast as they come.
      for (; piece[end + 1] === LINE_FEED; end++, byte++) record++;
    }
    if (start < piece.length) {
      begun.push(piece.subarray(start));
      begunBytes += piece.length - start;
      // What a small file undoes to may have no end, and no line either.
      checkTextBytes(begunBytes, `${path} line ${record + 1}`);
    }
    if (records.length > 0) yield records;
  }
  const last: TextRecord[] = [];
  if (begun.length > 0) finish(new Uint8Array(), 0, last);
  if (last.length > 0) yield last;
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** The text of a line; "" for a blank one. */
function textOfLine(line: Uint8Array, where: string, reading: ColumnReading): string | NoText {
  const json = decodedOrNot(line, where);
  if (typeof json !== "string") return json;
  if (json.trim() === "") return "";
  try {
    return textOf(parseLooseJson(json), where, reading);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return {
      where,
      requirement: "each line must be one JSON object",
      found: "this one is not valid JSON",
      remedy: "mend or remove the line",
    };
  }
}
