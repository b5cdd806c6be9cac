/**
 * How the pages of a parquet file are compressed, undone with every length checked: a damaged page ends in an error, soon, and takes no
 * more memory than its header says.
 * @module
 */

import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";

/** Undoes a page that is to have so many bytes; throws a RangeError, or the library's own error, where it is damaged. */
export type PageCodec = (page: Uint8Array, bytes: number) => Uint8Array;

/** By the codec's name. */
export const PAGE_CODECS: Readonly<Record<string, PageCodec>> = {
  SNAPPY: unsnappy,
  GZIP: (page, bytes) => gunzipSync(page, { maxOutputLength: atLeastOne(bytes) }),
  BROTLI: (page, bytes) => brotliDecompressSync(page, { maxOutputLength: atLeastOne(bytes) }),
  ZSTD: (page, bytes) => zstdDecompressSync(page, { maxOutputLength: atLeastOne(bytes) }),
  LZ4_RAW: (page, bytes) => lz4Block(page, bytes),
  LZ4: (page, bytes) => hadoopLz4(page, bytes) ?? lz4Block(page, bytes),
};

/** The library takes no limit of 0; a page that should be empty and is not is found by its length. */
function atLeastOne(bytes: number): number {
  return Math.max(1, bytes);
}

/**
 * Undoes a page.
 *
 * @param page What is stored.
 * @param codec How it is compressed.
 * @param bytes How many bytes it is to have.
 * @returns The page.
 * @throws {Error} When it is damaged, has another size, or the codec is not known.
 */
export function undoPage(page: Uint8Array, codec: string, bytes: number): Uint8Array {
  const undo = Object.hasOwn(PAGE_CODECS, codec) ? PAGE_CODECS[codec] : null;
  if (codec !== "UNCOMPRESSED" && undo === null) throw new RangeError(`pages compressed as ${codec} are not read`);
  const undone = undo ? undo(page, bytes) : page;
  if (undone.length === bytes) return undone;
  throw new RangeError(`a page has ${undone.length} bytes, its header says ${bytes}`);
}

/** So few bytes are moved faster one by one. */
const SHORT = 48;

/** What both formats are made of: bytes that stand for themselves, and copies of bytes that came before. */
class Output {
  readonly bytes: Uint8Array;
  length = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }

  literal(from: Uint8Array, at: number, length: number): void {
    const { bytes, length: to } = this;
    if (at + length > from.length || to + length > bytes.length) throw cutOff();
    if (length > SHORT) bytes.set(from.subarray(at, at + length), to);
    else for (let i = 0; i < length; i++) bytes[to + i] = from[at + i];
    this.length = to + length;
  }

  /** A copy may overlap itself: what it has written so far is what it goes on with. */
  copy(offset: number, length: number): void {
    const { bytes, length: to } = this, from = to - offset;
    if (offset < 1 || from < 0 || to + length > bytes.length) throw cutOff();
    if (length > SHORT && length <= offset) bytes.copyWithin(to, from, from + length);
    else for (let i = 0; i < length; i++) bytes[to + i] = bytes[from + i];
    this.length = to + length;
  }

  whole(): Uint8Array {
    if (this.length < this.bytes.length) throw cutOff();
    return this.bytes;
  }
}

function cutOff(): RangeError {
  return new RangeError("a compressed page is damaged");
}

/** https://github.com/google/snappy/blob/main/format_description.txt */
function unsnappy(page: Uint8Array, bytes: number): Uint8Array {
  const output = new Output(bytes);
  let at = 0;
  while (at < page.length && page[at++] >= 0x80);
  const little = (count: number) => {
    if (at + count > page.length) throw cutOff();
    let value = 0;
    for (let i = 0; i < count; i++) value += page[at++] * 2 ** (8 * i);
    return value;
  };
  while (at < page.length) {
    const tag = page[at++], kind = tag & 3;
    if (kind === 0) {
      const short = tag >>> 2, length = 1 + (short < 60 ? short : little(short - 59));
      output.literal(page, at, length);
      at += length;
    } else if (kind === 1) output.copy((tag >>> 5) * 256 + little(1), 4 + (tag >>> 2 & 7));
    else output.copy(little(kind === 2 ? 2 : 4), 1 + (tag >>> 2));
  }
  return output.whole();
}

/** https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md */
function lz4Block(page: Uint8Array, bytes: number): Uint8Array {
  const output = new Output(bytes);
  let at = 0;
  const byte = () => {
    if (at >= page.length) throw cutOff();
    return page[at++];
  };
  const length = (short: number) => {
    let sum = short;
    for (let more = short === 15 ? 255 : 0; more === 255; sum += more) more = byte();
    return sum;
  };
  while (at < page.length) {
    const token = byte(), literals = length(token >>> 4);
    output.literal(page, at, literals);
    at += literals;
    // The last sequence has no copy.
    if (at === page.length) break;
    const offset = byte() + 256 * byte();
    output.copy(offset, 4 + length(token & 15));
  }
  return output.whole();
}

/** Hadoop's frames of blocks, each behind its two sizes; null where a page is none of them. */
function hadoopLz4(page: Uint8Array, bytes: number): Uint8Array | null {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength), blocks: [at: number, to: number][] = [];
  let at = 0, size = 0;
  while (at < page.length) {
    if (at + 8 > page.length) return null;
    const undone = view.getUint32(at), stored = view.getUint32(at + 4);
    if (undone === 0 || stored === 0 || at + 8 + stored > page.length) return null;
    blocks.push([at, undone]);
    size += undone;
    at += 8 + stored;
  }
  if (size !== bytes) return null;
  const whole = new Uint8Array(bytes);
  let to = 0;
  for (const [at, undone] of blocks) {
    whole.set(lz4Block(page.subarray(at + 8, at + 8 + view.getUint32(at + 4)), undone), to);
    to += undone;
  }
  return whole;
}
