/** All records of a file at once, where none may be bad. */

import type { ByteSource } from "../../core/files/byte_source.ts";
import type { TextFormat } from "../../core/files/text_formats.ts";
import type { TextRecord } from "../../core/text/documents.ts";
import { PLAIN_READING, tooManyBad } from "../../core/text/reading.ts";
import { FILE_START, readRecords } from "../../core/text/records.ts";

/** Reads a file's records; the first that holds no text is an error, as it is where no such record may pass. */
export async function everyRecord(file: ByteSource, format: TextFormat): Promise<TextRecord[]> {
  const records = (await Array.fromAsync(readRecords(file, format, FILE_START))).flat();
  const bad = records.find(({ bad }) => bad)?.bad;
  if (bad) throw tooManyBad(bad, 1, PLAIN_READING);
  return records;
}
