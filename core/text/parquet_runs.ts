/**
 * The encodings of parquet's pages, read with every count checked against what is there. Nothing is made of them but what shows whether
 * they are sound.
 * @module
 */

/** A part of a page that is read from its beginning on. */
export class PageReader {
  readonly #bytes: Uint8Array;
  #at: number;
  readonly #end: number;

  /**
   * A reader at the beginning of its part.
   *
   * @param bytes The page.
   * @param at The part's first byte.
   * @param length Its bytes; to the page's end if left out.
   * @throws {RangeError} When the part does not lie inside of the page.
   */
  constructor(bytes: Uint8Array, at = 0, length = bytes.length - at) {
    if (!(at >= 0 && length >= 0 && at + length <= bytes.length)) throw damage("a part lies outside of its page");
    this.#bytes = bytes;
    this.#at = at;
    this.#end = at + length;
  }

  /** Bytes that are left. */
  get left(): number {
    return this.#end - this.#at;
  }

  /** The next byte. */
  byte(): number {
    if (this.#at >= this.#end) throw damage("a page ends too soon");
    return this.#bytes[this.#at++];
  }

  /** The next four bytes as a whole number. */
  u32(): number {
    return this.byte() + this.byte() * 2 ** 8 + this.byte() * 2 ** 16 + this.byte() * 2 ** 24;
  }

  /** Passes over bytes. */
  skip(count: number): void {
    if (!(count >= 0 && count <= this.left)) throw damage("a page ends too soon");
    this.#at += count;
  }

  /** The next bytes as a reader of their own. */
  part(length: number): PageReader {
    const part = new PageReader(this.#bytes, this.#at, length);
    this.skip(length);
    return part;
  }

  /** A whole number that takes as many bytes as it needs; those beyond 2^53 lose their last digits. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw damage("a number has too many bytes");
  }

  /** A whole number of either sign. */
  zigzag(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}

/**
 * What is wrong with a page.
 *
 * @param found It, in words.
 * @returns The error to throw.
 */
export function damage(found: string): RangeError {
  return new RangeError(found);
}

/**
 * Reads runs of numbers: repeated ones and packed ones taking turns.
 *
 * @param reader Where they begin; it ends where they do.
 * @param width Bits of a number, at most 32.
 * @param count How many there are to be.
 * @param take Told each number, and how many times it stands there.
 * @throws {RangeError} When there are fewer or more.
 */
export function readRuns(
  reader: PageReader,
  width: number,
  count: number,
  take: (value: number, times: number) => void,
): void {
  if (width > 32) throw damage(`numbers have ${width} bits`);
  for (let seen = 0; seen < count;) {
    const header = reader.varint(), left = count - seen;
    if (header % 2 === 0) {
      const times = header / 2;
      if (times > left) throw damage(`a run has ${times} numbers where ${left} are left`);
      let value = 0;
      for (let i = 0; i < width; i += 8) value += reader.byte() * 2 ** i;
      take(value, times);
      seen += times;
    } else {
      // Packed numbers come in eights; what fills the last one up does not count.
      const eights = (header - 1) / 2, times = Math.min(8 * eights, left);
      if (eights > Math.ceil(left / 8)) throw damage(`a run has ${8 * eights} numbers where ${left} are left`);
      readPacked(reader, width, times, take);
      reader.skip(Math.min(reader.left, eights * width - Math.ceil(times * width / 8)));
      seen += times;
    }
  }
}

/** Reads packed numbers, the lowest bits first, to the end of the last one's byte. */
function readPacked(
  reader: PageReader,
  width: number,
  count: number,
  take: (value: number, times: number) => void,
): void {
  let bits = 0, held = 0;
  for (let i = 0; i < count; i++) {
    for (; held < width; held += 8) bits += reader.byte() * 2 ** held;
    const value = bits % 2 ** width;
    bits = (bits - value) / 2 ** width;
    held -= width;
    take(value, 1);
  }
}

/** Bits of a number in a block of differences that are read: with eight of the next one they stay exact. */
const MOST_BITS = 44;

/**
 * Reads whole numbers that are stored as differences (DELTA_BINARY_PACKED).
 *
 * @param reader Where they begin; it is left where they end.
 * @param count How many there are to be.
 * @returns The numbers.
 * @throws {RangeError} When there are fewer, or they cannot be.
 */
export function readDifferences(reader: PageReader, count: number): Float64Array {
  const values = new Float64Array(count), block = reader.varint(), parts = reader.varint(), told = reader.varint();
  let value = reader.zigzag();
  if (told !== count) throw damage(`a page tells of ${told} differences where ${count} values are`);
  const perPart = block / parts;
  if (!(block > 0 && Number.isInteger(perPart) && perPart % 8 === 0)) {
    throw damage(`differences come in ${parts} parts of ${block}`);
  }
  if (count > 0) values[0] = value;
  for (let filled = 1; filled < count;) {
    const least = reader.zigzag(), widths = Array.from({ length: parts }, () => filled < count ? reader.byte() : 0);
    for (let part = 0; part < parts && filled < count; part++) {
      const width = widths[part], bytes = perPart * width / 8;
      if (width > MOST_BITS) throw damage(`a difference has ${width} bits`);
      // The last part may be cut off behind its last value.
      const packed = reader.part(Math.min(bytes, reader.left));
      readPacked(packed, width, Math.min(perPart, count - filled), (difference) => {
        values[filled++] = value += least + difference;
      });
    }
  }
  return values;
}
