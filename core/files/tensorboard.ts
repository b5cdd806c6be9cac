/**
 * TensorBoard's event files: records of a length (u64, little-endian), its checksum, an Event as a protocol buffer, and that one's checksum.
 * Checksums are CRC-32C, rotated and shifted as TensorFlow's records have them, so that one that covers another is no fixed point.
 * @module
 */

/** A scalar at a step. */
export interface Scalar {
  /** What it is called; what stands before a slash is a group. */
  readonly tag: string;
  /** Its value, kept as f32. */
  readonly value: number;
}

/** The scalars of a step. */
export interface ScalarEvent {
  /** When, in seconds since 1970. */
  readonly wallTime: number;
  /** The step. */
  readonly step: number;
  /** The scalars. */
  readonly scalars: readonly Scalar[];
}

/** What a name must hold to be read as an event file; files are read in the order of their names. */
const PREFIX = "events.out.tfevents.";

/**
 * Names an event file.
 *
 * @param time Milliseconds since 1970; a later file is read behind earlier ones.
 * @returns Its name.
 */
export function eventFileName(time: number): string {
  return `${PREFIX}${String(Math.round(time)).padStart(13, "0")}.mtc`;
}

/**
 * Reads the name of an event file.
 *
 * @param name A file's name.
 * @returns Its time, as {@link eventFileName} took it; null for another file's name.
 */
export function eventFileTime(name: string): number | null {
  const digits = name.startsWith(PREFIX) ? /^(\d{13})\.mtc$/.exec(name.slice(PREFIX.length))?.[1] : undefined;
  return digits === undefined ? null : Number(digits);
}

/**
 * The beginning of a file: its version, and that a session starts at step 0, so that whoever has read an earlier file of the directory forgets it.
 *
 * @param wallTime When, in seconds since 1970.
 * @returns The bytes.
 */
export function eventFileStart(wallTime: number): Uint8Array<ArrayBuffer> {
  const version = [...double(1, wallTime), ...bytes(3, new TextEncoder().encode("brain.Event:2"))];
  const session = [...double(1, wallTime), ...bytes(7, varint(1, 1))];
  return joined([record(version), record(session)]);
}

/**
 * Encodes events.
 *
 * @param events In the order of their steps.
 * @returns The bytes, to be appended to a file that begins as {@link eventFileStart} says.
 */
export function encodeEvents(events: readonly ScalarEvent[]): Uint8Array<ArrayBuffer> {
  return joined(events.map(({ wallTime, step, scalars }) => {
    const summary = scalars.flatMap(({ tag, value }) =>
      bytes(1, [...bytes(1, new TextEncoder().encode(tag)), ...float(2, value)])
    );
    return record([...double(1, wallTime), ...varint(2, step), ...bytes(5, summary)]);
  }));
}

function record(event: readonly number[]): Uint8Array<ArrayBuffer> {
  const framed = new Uint8Array(16 + event.length), view = new DataView(framed.buffer);
  view.setBigUint64(0, BigInt(event.length), true);
  view.setUint32(8, maskedCrc(framed.subarray(0, 8)), true);
  framed.set(event, 12);
  view.setUint32(12 + event.length, maskedCrc(framed.subarray(12, 12 + event.length)), true);
  return framed;
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Wire types of protocol buffers. */
const VARINT = 0, EIGHT_BYTES = 1, LENGTH = 2, FOUR_BYTES = 5;

function varint(field: number, value: number): number[] {
  return [field << 3 | VARINT, ...digits(value)];
}

/** Seven bits a byte, the least first; the value is whole and not negative. */
function digits(value: number): number[] {
  const found: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) found.push(value % 0x80 | 0x80);
  return [...found, value];
}

function bytes(field: number, content: ArrayLike<number>): number[] {
  return [field << 3 | LENGTH, ...digits(content.length), ...Array.from(content)];
}

function double(field: number, value: number): number[] {
  return [field << 3 | EIGHT_BYTES, ...new Uint8Array(Float64Array.of(value).buffer)];
}

function float(field: number, value: number): number[] {
  return [field << 3 | FOUR_BYTES, ...new Uint8Array(Float32Array.of(value).buffer)];
}

/** CRC-32C (Castagnoli) of each byte, the polynomial's bits reversed. */
const CASTAGNOLI = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >>> 1 ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

function maskedCrc(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = CASTAGNOLI[(crc ^ byte) & 0xff] ^ crc >>> 8;
  crc = ~crc >>> 0;
  return ((crc >>> 15 | crc << 17) >>> 0) + 0xa282ead8 >>> 0;
}
