/**
 * Bytes to text.
 * @module
 */
import { UserError } from "../errors.ts";
import type { NoText } from "./no_text.ts";

/** A text as long as V8's longest string cannot be decoded. */
export const MAX_TEXT_BYTES = 2 ** 29 - 25;

/**
 * Makes sure that a text can be decoded, before it takes memory.
 *
 * @param bytes How many it has, or has so far.
 * @param where The file, and the line or row where there is one, for messages.
 * @throws {UserError} when they are too many.
 */
export function checkTextBytes(bytes: number, where: string): void {
  if (bytes <= MAX_TEXT_BYTES) return;
  throw new UserError({
    action: `read ${where}`,
    requirement: `one document holds at most ${MAX_TEXT_BYTES} bytes`,
    found: `this one has ${bytes} or more`,
    remedy: "cut it into several files",
  });
}

const strict = new TextDecoder("utf-8", { fatal: true });

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

/**
 * Decodes a whole file: UTF-8, or UTF-16 with a byte-order mark, as Windows writes it.
 *
 * @param bytes The file's content.
 * @param path The file, for messages.
 * @throws {UserError} When it is in another encoding, is too long, or has characters that no text has.
 */
export function decodeFile(bytes: Uint8Array, path: string): string {
  const wide = wideEncodingOf(bytes);
  if (wide === null) return checkCharacters(decodeText(bytes, path), path);
  if (!wide.isMarked || wide.name.startsWith("UTF-32")) throw wrongEncoding(path, wide.name);
  try {
    return checkCharacters(new TextDecoder(wide.name.toLowerCase(), { fatal: true }).decode(bytes), path);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw wrongEncoding(path, wide.name);
  }
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
 * Makes sure that a text has no NUL: where there is one, what was read is something else, or was cut or joined badly.
 *
 * @param text The text.
 * @param where The file, and the line or row where there is one, for messages.
 * @returns The text.
 * @throws {UserError} When it has one.
 */
export function checkCharacters(text: string, where: string): string {
  const place = text.indexOf("\0");
  if (place < 0) return text;
  throw new UserError({
    action: `read ${where}`,
    requirement: "text must have no NUL characters",
    found: `character ${place + 1} of this one is one`,
    remedy: "it may be no text; else remove them, for example with tr -d '\\000'",
  });
}

/**
 * Decodes UTF-8, without its byte-order mark.
 *
 * @param bytes The text.
 * @param where The file, and the line or row where there is one, for messages.
 * @throws {UserError} when the bytes are not UTF-8 or too many.
 */
export function decodeText(bytes: Uint8Array, where: string): string {
  const text = decodedOrNot(bytes, where);
  if (typeof text === "string") return text;
  const { requirement, found, remedy } = text;
  throw new UserError({ action: `read ${where}`, requirement, found, remedy });
}

/**
 * Decodes UTF-8 as {@link decodeText} does, where what cannot be decoded is no failure of the whole.
 *
 * @param bytes The text.
 * @param where The file, and the line or row, for messages.
 * @returns The text, or why there is none.
 * @throws {UserError} when the bytes are too many.
 */
export function decodedOrNot(bytes: Uint8Array, where: string): string | NoText {
  checkTextBytes(bytes.length, where);
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
