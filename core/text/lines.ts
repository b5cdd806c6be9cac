/**
 * The texts of lines of JSON.
 * @module
 */

import type { Bytes } from "./decompress.ts";
import type { RecordPlace, TextRecord } from "./documents.ts";
import { Gathered } from "./gathered.ts";
import type { NoText } from "./no_text.ts";
import { type ColumnReading, parseLooseJson, textOf } from "./text_of.ts";
import { decodedOrNot, wideEncodingOf, wrongEncoding } from "./utf8.ts";

const LINE_FEED = 0x0a;
const MARK = "\ufeff";

/**
 * Reads the texts of lines; empty ones are left out. The last line needs no line end.
 *
 * @param bytes The lines.
 * @param from Where in the file they begin.
 * @param path The file, for messages.
 * @param reading The key that the text is under, and what writes chats.
 * @throws {UserError} While it is read, when a line does not end, or the file is in another encoding.
 */
export async function* lineTexts(
  bytes: Bytes,
  from: RecordPlace,
  path: string,
  reading: ColumnReading,
): AsyncGenerator<TextRecord[]> {
  let { record, byte } = from;
  const begun = new Gathered(), where = () => `${path} line ${record + 1}`;
  const finish = (end: Uint8Array, lineEnd: number, into: TextRecord[]) => {
    byte += begun.bytes + end.length + lineEnd;
    const line = begun.take(end, where), text = textOfLine(line, where(), reading);
    record++;
    if (typeof text !== "string") into.push({ record, byte, text: "", bad: text });
    else if (text !== "") into.push({ record, byte, text });
  };
  for await (const piece of bytes) {
    const records: TextRecord[] = [];
    let start = 0;
    const wide = byte === 0 && begun.bytes === 0 ? wideEncodingOf(piece) : null;
    if (wide) throw wrongEncoding(path, wide.name);
    for (let end; (end = piece.indexOf(LINE_FEED, start)) !== -1; start = end + 1) {
      finish(piece.subarray(start, end), 1, records);
      // Gigabytes of nothing are passed over as fast as they come.
      for (; piece[end + 1] === LINE_FEED; end++, byte++) record++;
    }
    begun.add(piece.subarray(start), where);
    if (records.length > 0) yield records;
  }
  const last: TextRecord[] = [];
  if (begun.bytes > 0) finish(new Uint8Array(), 0, last);
  if (last.length > 0) yield last;
}

/** The text of a line; "" for a blank one. */
function textOfLine(line: Uint8Array | NoText, where: string, reading: ColumnReading): string | NoText {
  if (!(line instanceof Uint8Array)) return line;
  const json = decodedOrNot(line, where);
  if (typeof json !== "string") return json;
  if (json.trim() === "") return "";
  try {
    return textOf(parseLooseJson(json.startsWith(MARK) ? json.slice(1) : json), where, reading);
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
