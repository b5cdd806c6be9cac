/**
 * The directory of a zip archive: which files are in it, where their bytes lie and how they are packed. Every claim is checked against the
 * archive's size and the others before anything is unpacked.
 * @module
 */

import { UserError } from "../errors.ts";
import type { LocalByteSource } from "./byte_source.ts";

/** A file in an archive. */
export interface ZipEntry {
  /** Its name. */
  readonly name: string;
  /** The first of its packed bytes in the archive, */
  readonly begin: number;
  /** and how many they are. */
  readonly packedSize: number;
  /** Its bytes once it is unpacked, as the archive claims. */
  readonly size: number;
  /** Their checksum, likewise. */
  readonly crc32: number;
  /** Whether it is deflated; else it is stored as it is. */
  readonly isDeflated: boolean;
}

/** Signatures of the end of the directory, of an entry of the directory, and of a file. */
const END = 0x06054b50, CENTRAL = 0x02014b50, LOCAL = 0x04034b50;
/** Bytes of each without what varies. */
const END_BYTES = 22, CENTRAL_BYTES = 46, LOCAL_BYTES = 30;
/** The longest comment that an archive may end with. */
const LONGEST_COMMENT = 0xffff;
/** What stands for a size or a place that takes more than 32 bits and is told elsewhere. */
const ELSEWHERE = 0xffffffff;
/** The tag of the field that tells it. */
const ZIP64 = 1;
/** An archive of arrays has a handful of files. */
const MOST_ENTRIES = 1000;
/** Weights hardly shrink: what claims to grow beyond the size and by more than the factor is no array but a bomb. */
const BOMB_BYTES = 16 << 20, BOMB_FACTOR = 100;

/**
 * Reads the directory of an archive.
 *
 * @param source The archive.
 * @returns Its files, in their order.
 * @throws {UserError} When it is no whole zip archive, a claim cannot be, two files have one name or share bytes, a name leads out of the
 * archive's folder, or a file would grow as no array does.
 */
export async function readDirectory(source: LocalByteSource): Promise<ZipEntry[]> {
  const fail = failure(source.name),
    tail = await source.read(
      Math.max(0, source.size - END_BYTES - LONGEST_COMMENT),
      Math.min(source.size, END_BYTES + LONGEST_COMMENT),
    );
  const view = new DataView(tail.buffer, tail.byteOffset, tail.length);
  let end = tail.length - END_BYTES;
  while (end >= 0 && view.getUint32(end, true) !== END) end--;
  if (end < 0) throw fail("it must end as a zip archive does", "it does not: it is cut off or another kind of file");
  const count = view.getUint16(end + 10, true), length = view.getUint32(end + 12, true);
  const begin = view.getUint32(end + 16, true);
  if (count > MOST_ENTRIES) throw fail(`it may hold up to ${MOST_ENTRIES} files`, `it holds ${count} or more`);
  if (begin + length > source.size) {
    throw fail("its directory must lie in it", `it is to end at byte ${begin + length}`);
  }
  const entries = await parsedEntries(source, await source.read(begin, length), count);
  requireApart(entries, begin, fail);
  return entries;
}

type Fail = (requirement: string, found: string) => UserError;

function failure(path: string): Fail {
  return (requirement, found) =>
    new UserError({ action: `read ${path}`, requirement, found, remedy: "download or make it again" });
}

async function parsedEntries(source: LocalByteSource, bytes: Uint8Array, count: number): Promise<ZipEntry[]> {
  const fail = failure(source.name), view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const entries: ZipEntry[] = [], names = new Set<string>();
  for (let at = 0, n = 0; n < count; n++) {
    const isWhole = at + CENTRAL_BYTES <= bytes.length && view.getUint32(at, true) === CENTRAL;
    const [nameLength, extraLength, commentLength] = isWhole
      ? [28, 30, 32].map((o) => view.getUint16(at + o, true))
      : [];
    const next = at + CENTRAL_BYTES + nameLength + extraLength + commentLength;
    if (!isWhole || next > bytes.length) {
      throw fail(`its directory must have ${count} entries`, `entry ${n} is damaged`);
    }
    const nameEnd = at + CENTRAL_BYTES + nameLength;
    const name = new TextDecoder().decode(bytes.subarray(at + CENTRAL_BYTES, nameEnd));
    requireInside(name, fail);
    if (names.has(name)) throw fail("its files must have names of their own", `two are called "${name}"`);
    names.add(name);
    const flags = view.getUint16(at + 8, true), method = view.getUint16(at + 10, true);
    if (flags & 1) throw fail("its files must not be encrypted", `"${name}" is`);
    if (method !== 0 && method !== 8) {
      throw fail("its files must be stored or deflated", `"${name}" is packed by method ${method}`);
    }
    const large = new DataView(bytes.buffer, bytes.byteOffset + nameEnd, extraLength);
    const [size, packedSize, header] = wideNumbers(
      [24, 20, 42].map((offset) => view.getUint32(at + offset, true)),
      large,
    );
    if (header + LOCAL_BYTES > source.size) throw fail(`"${name}" must lie in it`, `it is to begin at byte ${header}`);
    const local = await source.read(header, LOCAL_BYTES), own = new DataView(local.buffer, local.byteOffset);
    if (own.getUint32(0, true) !== LOCAL) throw fail(`"${name}" must begin at byte ${header}`, "something else does");
    const begin = header + LOCAL_BYTES + own.getUint16(26, true) + own.getUint16(28, true);
    if (!(begin + packedSize <= source.size)) {
      throw fail(`"${name}" must lie in it`, `it is to end at byte ${begin + packedSize} of ${source.size}`);
    }
    if (size > BOMB_BYTES && size > BOMB_FACTOR * packedSize) {
      throw fail(
        `"${name}" must be an array of weights`,
        `its ${packedSize} bytes would become ${size}, as in a zip bomb`,
      );
    }
    if (method === 0 && size !== packedSize) {
      throw fail(`"${name}" is stored and must have ${size} bytes`, `it has ${packedSize}`);
    }
    entries.push({ name, begin, packedSize, size, crc32: view.getUint32(at + 16, true), isDeflated: method === 8 });
    at = next;
  }
  return entries;
}

/** Nothing is ever written by such a name; an archive that has one means ill. */
function requireInside(name: string, fail: Fail): void {
  const isInside = name !== "" && !/[\\/\0]/.test(name) && name !== "." && name !== "..";
  if (!isInside) throw fail("its files must lie right in it", `one is called "${name}"`);
}

/** Numbers of which those that take more than 32 bits stand in the extra field, in their order. */
function wideNumbers(numbers: readonly number[], extra: DataView): number[] {
  let at = 0;
  while (at + 4 <= extra.byteLength && extra.getUint16(at, true) !== ZIP64) at += 4 + extra.getUint16(at + 2, true);
  const end = at + 4 <= extra.byteLength ? Math.min(extra.byteLength, at + 4 + extra.getUint16(at + 2, true)) : 0;
  at += 4;
  return numbers.map((number) => {
    if (number !== ELSEWHERE || at + 8 > end) return number;
    const wide = Number(extra.getBigUint64(at, true));
    at += 8;
    return wide;
  });
}

/** Files that share bytes are how a small archive becomes a huge one. */
function requireApart(entries: readonly ZipEntry[], directory: number, fail: Fail): void {
  let end = 0;
  for (const { name, begin, packedSize } of entries.toSorted((a, b) => a.begin - b.begin)) {
    if (begin < end || begin + packedSize > directory) {
      throw fail("its files must have bytes of their own", `"${name}" begins or ends inside something else`);
    }
    end = begin + packedSize;
  }
}
