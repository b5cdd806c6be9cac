/**
 * A text that is one file: one document, or where it is long its parts.
 *
 * A part ends behind a line end or in front of a space, where tokens end too; so the parts have the tokens that the text has. Only in a line of
 * which half a part has no space may a token be cut.
 * @module
 */

import type { Bytes } from "./decompress.ts";
import type { TextRecord } from "./documents.ts";
import { UserError } from "../errors.ts";
import { decodedText, joined, MOST_RECORD_BYTES } from "./utf8.ts";

/** A longer text is cut into parts of at most so many bytes. */
const PART_BYTES = 2 ** 20;
const LINE_FEED = 0x0a, SPACE = 0x20;

/**
 * Reads the parts of a text from one on.
 *
 * @param bytes The text in UTF-8, from its beginning.
 * @param from How many parts to pass over.
 * @param path The file, for messages.
 * @returns The whole text, or its parts one after the other; those that are no text are bad.
 * @throws {UserError} While it is read, when the whole is no text.
 */
export async function* textParts(bytes: Bytes, from: number, path: string): AsyncGenerator<TextRecord[]> {
  let record = 0, byte = 0;
  for await (const { part, isWhole } of cutText(bytes)) {
    byte += part.length;
    if (record++ < from) continue;
    const text = decodedText(part, isWhole ? path : `${path} part ${record}`),
      place = { record, byte, isPart: !isWhole };
    if (typeof text === "string") {
      if (text !== "") yield [{ ...place, text }];
    } else if (isWhole) {
      const { requirement, found, remedy } = text;
      throw new UserError({ action: `read ${path}`, requirement, found, remedy });
    } else yield [{ ...place, text: "", bad: text }];
  }
}

/**
 * Cuts a text where it is long.
 *
 * @param bytes The text in UTF-8.
 * @param most Up to so many bytes it stays whole.
 * @param partBytes Its parts have at most so many.
 * @returns The parts in order, the same whatever the pieces that the bytes come in; joined they are the text.
 */
export async function* cutText(
  bytes: Bytes,
  most: number = MOST_RECORD_BYTES,
  partBytes: number = PART_BYTES,
): AsyncGenerator<{ part: Uint8Array; isWhole: boolean }> {
  let held: Uint8Array[] = [], length = 0, isWhole = true;
  for await (const piece of bytes) {
    held.push(piece);
    length += piece.length;
    if (length <= (isWhole ? most : partBytes)) continue;
    isWhole = false;
    let rest = joined(held);
    while (rest.length > partBytes) {
      const end = cutPlace(rest, partBytes);
      yield { part: rest.subarray(0, end), isWhole };
      rest = rest.subarray(end);
    }
    held = [rest];
    length = rest.length;
  }
  if (length > 0) yield { part: joined(held), isWhole };
}

/** Where a part of at most so many bytes ends in a text that has more: in its second half, if that has such a place. */
function cutPlace(text: Uint8Array, most: number): number {
  const least = Math.floor(most / 2), half = text.subarray(least, most + 1);
  let line = half.lastIndexOf(LINE_FEED, -2);
  while (line >= 0 && half[line + 1] === LINE_FEED) line = half.subarray(0, line).lastIndexOf(LINE_FEED);
  if (line >= 0) return least + line + 1;
  let space = half.lastIndexOf(SPACE);
  while (space > 0 && half[space - 1] === SPACE) space--;
  if (space > 0) return least + space;
  for (let back = 0; back < 4; back++) if ((text[most - back] & 0xc0) !== 0x80) return most - back;
  return most;
}
