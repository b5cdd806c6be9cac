/**
 * Zstandard files: frames, one after the other, each undone by the system's library, which checks its size and its checksum.
 *
 * Deno's zstd ends with a file's first frame and takes what follows for nothing. So this walks over the frames by their headers (RFC 8878,
 * section 3.1) without undoing them, and hands each to a decompressor of its own.
 * @module
 */

import { createZstdDecompress } from "node:zlib";
import { decompressed } from "../files/decompressed.ts";

const MAGIC = 0xfd2fb528;
/** Of a frame that is to be skipped: any last digit. */
const SKIPPED_MAGIC = 0x184d2a5;

/**
 * Undoes the frames of a file.
 *
 * @param stream The compressed bytes.
 * @throws {RangeError} While it is read, when a frame is cut off, or something else stands where one must begin.
 * @throws {Error} Likewise, when the library finds a frame damaged.
 */
export async function* unzstd(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const input = new Cursor(stream);
  for (let frames = 0; frames === 0 || !await input.isAtEnd(); frames++) {
    const bytes = await input.take(4), magic = uint32(bytes);
    if (magic >>> 4 === SKIPPED_MAGIC) {
      for (let left = uint32(await input.take(4)); left > 0;) left -= (await input.some(left)).length;
    } else if (magic === MAGIC) {
      yield* decompressed(frame(bytes, input), createZstdDecompress());
    } else {
      throw new RangeError(frames === 0 ? "it does not begin as one" : "something else follows its first frames");
    }
  }
}

/** The bytes of a frame, from its magic number to its checksum. */
async function* frame(magic: Uint8Array, input: Cursor): AsyncGenerator<Uint8Array> {
  yield magic;
  const [descriptor] = yield* handedOn(input.take(1));
  const isSingleSegment = (descriptor & 0x20) !== 0, hasChecksum = (descriptor & 0x04) !== 0;
  const sizeOfSize = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >>> 6];
  const rest = (isSingleSegment ? 0 : 1) + [0, 1, 2, 4][descriptor & 0x03] + sizeOfSize;
  if (rest > 0) yield* handedOn(input.take(rest));
  for (let isLast = false; !isLast;) {
    const [low, middle, high] = yield* handedOn(input.take(3)), header = low | middle << 8 | high << 16;
    isLast = (header & 1) !== 0;
    // A block of one repeated byte holds that byte alone, whatever its size.
    const isRepeated = (header >>> 1 & 3) === 1, size = isRepeated ? 1 : header >>> 3;
    if (size > 0) yield* handedOn(input.take(size));
  }
  if (hasChecksum) yield* handedOn(input.take(4));
}

async function* handedOn(taken: Promise<Uint8Array>): AsyncGenerator<Uint8Array, Uint8Array> {
  const bytes = await taken;
  yield bytes;
  return bytes;
}

/** A stream that is taken in parts of a given size. */
class Cursor {
  readonly #pieces: AsyncIterator<Uint8Array>;
  /** What has come and was not taken. */
  #left: Uint8Array = new Uint8Array();

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#pieces = stream[Symbol.asyncIterator]();
  }

  /** Whether nothing is left. */
  async isAtEnd(): Promise<boolean> {
    while (this.#left.length === 0) {
      const { value, done } = await this.#pieces.next();
      if (done) return true;
      this.#left = value;
    }
    return false;
  }

  /** At least one and at most `most` bytes. */
  async some(most: number): Promise<Uint8Array> {
    if (await this.isAtEnd()) throw new RangeError("it ends in the middle of a frame");
    const taken = this.#left.subarray(0, most);
    this.#left = this.#left.subarray(taken.length);
    return taken;
  }

  /** Exactly `count` bytes. */
  async take(count: number): Promise<Uint8Array> {
    const first = await this.some(count);
    if (first.length === count) return first;
    const bytes = new Uint8Array(count);
    bytes.set(first);
    for (let got = first.length; got < count;) {
      const more = await this.some(count - got);
      bytes.set(more, got);
      got += more.length;
    }
    return bytes;
  }
}

function uint32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}
