/**
 * Bytes to text.
 * @module
 */
import { UserError } from "../errors.ts";
import type { Bytes } from "./decompress.ts";
import type { NoText } from "./no_text.ts";

/** A record that is longer holds no text: what is in memory of a text would go with its longest record. */
export const MOST_RECORD_BYTES: number = 2 ** 25;
/** One that is still longer ends the reading, as it may have no end. */
const MOST_AWAITED_BYTES = 2 ** 29 - 25;

/**
 * Makes sure that a record, or a page of them, comes to an end before it takes memory or time without limit.
 *
 * @param bytes How many it has, or has so far.
 * @param where The file, and the line or row where there is one, for messages.
 * @throws {UserError} when they are too many.
 */
export function checkTextBytes(bytes: number, where: string): void {
  if (bytes <= MOST_AWAITED_BYTES) return;
  throw new UserError({
    action: `read ${where}`,
    requirement: `one document holds at most ${MOST_RECORD_BYTES} bytes`,
    found: `this one has ${bytes} or more`,
    remedy: "cut it into several",
  });
}

/** Marks are no text, and those of a file are left out before. */
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Encodings with two or four bytes to a character, by their byte-order marks; those of four begin as those of two do. */
const MARKED: readonly (readonly [name: string, mark: readonly number[]])[] = [
  ["UTF-32LE", [0xff, 0xfe, 0, 0]],
  ["UTF-32BE", [0, 0, 0xfe, 0xff]],
  ["UTF-16LE", [0xff, 0xfe]],
  ["UTF-16BE", [0xfe, 0xff]],
];

/** Which of four bytes are NUL in them where most characters are Latin. */
const UNMARKED: readonly (readonly [name: string, nuls: readonly number[]])[] = [
  ["UTF-32LE", [1, 2, 3]],
  ["UTF-32BE", [0, 1, 2]],
  ["UTF-16LE", [1, 3]],
  ["UTF-16BE", [0, 2]],
];

/** Bytes from which an encoding without a byte-order mark is told. */
const PROBED_BYTES = 4096;

/**
 * Tells UTF-16 and UTF-32 from UTF-8: by a byte-order mark, or by every other byte (of two or four) being NUL, as they are for most
 * languages; in UTF-8 a byte that is NUL is a character that no text has.
 *
 * @param bytes The beginning of a file.
 * @returns The encoding's name for iconv and whether it is marked; null for anything else.
 */
export function wideEncodingOf(bytes: Uint8Array): { readonly name: string; readonly isMarked: boolean } | null {
  const marked = MARKED.find(([, mark]) => mark.every((byte, i) => bytes[i] === byte));
  if (marked) return { name: marked[0], isMarked: true };
  const probed = bytes.subarray(0, PROBED_BYTES), nuls = [0, 0, 0, 0];
  for (let i = 0; i < probed.length; i++) if (probed[i] === 0) nuls[i % 4]++;
  const isWide = (places: readonly number[]) =>
    nuls.every((count, place) => places.includes(place) ? count > probed.length / 16 : count <= probed.length / 64);
  const name = UNMARKED.find(([, places]) => isWide(places))?.[0] ?? null;
  return name === null ? null : { name, isMarked: false };
}

const MARK_8 = [0xef, 0xbb, 0xbf];

/**
 * A file's bytes as UTF-8 without a byte-order mark. UTF-16 is turned into it where a mark tells it, as Windows writes it.
 *
 * @param bytes The file's content from its beginning.
 * @param path The file, for messages.
 * @throws {UserError} While it is read, when it is in another encoding.
 */
export async function* utf8Of(bytes: Bytes, path: string): AsyncGenerator<Uint8Array> {
  const pieces = begunWith(bytes, PROBED_BYTES), { value: beginning = new Uint8Array() } = await pieces.next();
  const wide = wideEncodingOf(beginning);
  if (wide === null) {
    yield MARK_8.every((byte, i) => beginning[i] === byte) ? beginning.subarray(MARK_8.length) : beginning;
    return yield* pieces;
  }
  if (!wide.isMarked || wide.name.startsWith("UTF-32")) throw wrongEncoding(path, wide.name);
  const decoder = new TextDecoder(wide.name.toLowerCase(), { fatal: true }), encoder = new TextEncoder();
  const turned = (piece?: Uint8Array) => {
    try {
      return encoder.encode(decoder.decode(piece, { stream: piece !== undefined }));
    } catch {
      throw wrongEncoding(path, wide.name);
    }
  };
  yield turned(beginning);
  for await (const piece of pieces) yield turned(piece);
  turned();
}

/** The same bytes, of which the first piece has so many at least where there are as many. */
async function* begunWith(bytes: Bytes, least: number): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = [], length = 0, isBegun = false;
  for await (const piece of bytes) {
    if (!isBegun) {
      held.push(piece);
      length += piece.length;
      if (length < least) continue;
      isBegun = true;
      yield joined(held);
      held = [];
    } else yield piece;
  }
  if (!isBegun && length > 0) yield joined(held);
}

/**
 * Joins pieces of bytes.
 *
 * @param pieces The pieces; one alone is not copied.
 * @returns All of them, one after the other.
 */
export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0];
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/**
 * The error for a file in another encoding than mtc reads.
 *
 * @param path The file.
 * @param name The encoding's name for iconv.
 */
export function wrongEncoding(path: string, name: string): UserError {
  return new UserError({
    action: `read ${path}`,
    requirement: "text must be UTF-8",
    found: `this looks like ${name}`,
    remedy: `convert it: iconv -f ${name} -t UTF-8 in > out`,
  });
}

/**
 * Decodes a text that must have no NUL: where there is one, what was read is something else, or was cut or joined badly.
 *
 * @param bytes The text, in UTF-8.
 * @param where The file, and the part of it where it is one, for messages.
 * @returns The text, or why there is none.
 */
export function decodedText(bytes: Uint8Array, where: string): string | NoText {
  const text = decodedOrNot(bytes, where), place = typeof text === "string" ? text.indexOf("\0") : -1;
  if (place < 0) return text;
  return {
    where,
    requirement: "text must have no NUL characters",
    found: `character ${place + 1} of this one is one`,
    remedy: "it may be no text; else remove them, for example with tr -d '\\000'",
  };
}

/**
 * Decodes a record.
 *
 * @param bytes The record, in UTF-8.
 * @param where The file, and the line or row, for messages.
 * @returns The text, or why there is none.
 */
export function decodedOrNot(bytes: Uint8Array, where: string): string | NoText {
  if (bytes.length > MOST_RECORD_BYTES) return tooLong(bytes.length, where);
  try {
    return strict.decode(bytes);
  } catch {
    return {
      where,
      requirement: "text must be valid UTF-8",
      found: "this is not",
      remedy: "convert it, for example from Latin-1: iconv -f ISO-8859-1 -t UTF-8 in > out",
    };
  }
}

/**
 * What is said of a record that is too long.
 *
 * @param bytes How many it has.
 * @param where The file, and the line or row.
 */
export function tooLong(bytes: number, where: string): NoText {
  const requirement = `one document holds at most ${MOST_RECORD_BYTES} bytes`;
  return { where, requirement, found: `this one has ${bytes}`, remedy: "cut it into several" };
}
