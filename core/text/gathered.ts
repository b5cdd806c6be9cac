/**
 * A record's bytes, gathered out of the pieces of a file.
 * @module
 */

import type { NoText } from "./no_text.ts";
import { checkTextBytes, joined, MOST_RECORD_BYTES, tooLong } from "./utf8.ts";

/** The beginning of a record whose end has not come yet; of one that is too long only its length. */
export class Gathered {
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  /** How many bytes it has so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Adds what goes on behind the piece.
   *
   * @param piece Bytes of the record; kept, not copied.
   * @param where Names the record, for messages.
   * @throws {UserError} When it may have no end: what a small file undoes to need not have one.
   */
  add(piece: Uint8Array, where: () => string): void {
    if (piece.length === 0) return;
    this.#bytes += piece.length;
    this.#pieces.push(piece);
    if (this.#bytes <= MOST_RECORD_BYTES) return;
    this.#pieces = [];
    checkTextBytes(this.#bytes, where());
  }

  /**
   * Ends the record; the next one may begin.
   *
   * @param end Its last bytes.
   * @param where Names it, for messages.
   * @returns All of it, or that it is too long.
   */
  take(end: Uint8Array, where: () => string): Uint8Array | NoText {
    const bytes = this.#bytes + end.length, pieces = this.#pieces;
    this.#pieces = [];
    this.#bytes = 0;
    if (bytes > MOST_RECORD_BYTES) return tooLong(bytes, where());
    return joined(pieces.length === 0 ? [end] : [...pieces, end]);
  }
}
