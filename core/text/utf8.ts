/**
 * Bytes to text.
 * @module
 */
import { UserError } from "../errors.ts";

/** A text as long as V8's longest string cannot be decoded. */
const MAX_TEXT_BYTES = 2 ** 29 - 25;

const strict = new TextDecoder("utf-8", { fatal: true });

/**
 * Decodes UTF-8, without its byte-order mark.
 *
 * @param bytes The text.
 * @param where The file, and the line or row where there is one, for messages.
 * @throws {UserError} when the bytes are not UTF-8 or too many.
 */
export function decodeText(bytes: Uint8Array, where: string): string {
  if (bytes.length > MAX_TEXT_BYTES) {
    throw new UserError({
      action: `read ${where}`,
      requirement: `one document holds at most ${MAX_TEXT_BYTES} bytes`,
      found: `this one has ${bytes.length}`,
      remedy: "cut it into several files",
    });
  }
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
