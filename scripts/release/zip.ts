/**
 * ZIP archives with the same bytes for the same files: archives for Windows, and wheels.
 * @module
 */

import { crc32, deflateRawSync } from "node:zlib";

/** A file in an archive. */
export interface Entry {
  /** Its path, with slashes. */
  readonly name: string;
  /** What it holds. */
  readonly bytes: Uint8Array;
  /** True for what is to be run. */
  readonly isExecutable?: boolean;
}

/** 1980-01-01, the first day that ZIP knows. */
const DAY = 0x21;
/** Made on Unix, whose modes stand in the upper half of the external attributes. */
const UNIX = 3 << 8 | 20;
const DEFLATED = 8;

interface Written extends Entry {
  readonly crc: number;
  readonly packed: Uint8Array;
  readonly offset: number;
}

/** A number and how many bytes it takes, little-endian. */
type Field = readonly [value: number, bytes: 2 | 4];

function fields(...parts: readonly Field[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(parts.reduce((sum, [, bytes]) => sum + bytes, 0)));
  let at = 0;
  for (const [value, bytes] of parts) {
    if (bytes === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += bytes;
  }
  return new Uint8Array(view.buffer);
}

/** What the local header and the central directory say alike. */
function common({ name, bytes, packed, crc }: Written): Field[] {
  const sizes: Field[] = [[packed.length, 4], [bytes.length, 4], [name.length, 2], [0, 2]];
  return [[20, 2], [0, 2], [DEFLATED, 2], [0, 2], [DAY, 2], [crc, 4], ...sizes];
}

/**
 * Packs files into an archive.
 *
 * @param entries The files, in the order in which they are to lie, with ASCII names; 4 GiB at most, all together.
 * @returns The archive's bytes.
 */
export function zip(entries: readonly Entry[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [], written: Written[] = [];
  let offset = 0;
  const add = (...more: Uint8Array[]) => {
    parts.push(...more);
    for (const { length } of more) offset += length;
  };
  for (const entry of entries) {
    const packed = new Uint8Array(deflateRawSync(entry.bytes, { level: 9 }));
    const file: Written = { ...entry, crc: crc32(entry.bytes), packed, offset };
    add(fields([0x04034b50, 4], ...common(file)), new TextEncoder().encode(entry.name), packed);
    written.push(file);
  }
  const start = offset;
  for (const file of written) {
    const mode = file.isExecutable ? 0o100755 : 0o100644;
    const attributes: Field[] = [[0, 2], [0, 2], [0, 2], [mode * 0x10000, 4], [file.offset, 4]];
    add(
      fields([0x02014b50, 4], [UNIX, 2], ...common(file), ...attributes),
      new TextEncoder().encode(file.name),
    );
  }
  const count = written.length, size = offset - start;
  add(fields([0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], [size, 4], [start, 4], [0, 2]));
  const bytes = new Uint8Array(offset);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
