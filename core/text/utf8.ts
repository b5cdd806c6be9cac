/**
 * Bytes to text.
 * @module
 */
import { UserError } from "../errors.ts";

/** A text as long as V8's longest string cannot be decoded. */
const MAX_TEXT_BYTES = 2 ** 29 - 25;

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

/**
 * Decodes UTF-8, without its byte-order mark.
 *
 * @param bytes The text.
 * @param where The file, and the line or row where there is one, for messages.
 * @throws {UserError} when the bytes are not UTF-8 or too many.
 */
export function decodeText(bytes: Uint8Array, where: string): string {
  checkTextBytes(bytes.length, where);
  try {
    return strict.decode(bytes);
  } catch {
    throw new UserError({
      action: `read ${where}`,
      requirement: "text must be valid UTF-8",
      found: "this is not",
      remedy: "convert it, for example with iconv",
    });
  }
}
