/**
 * NumPy's .npz: a zip archive with a .npy file for each array, stored or deflated. Nothing is extracted and nothing is unpickled; arrays of
 * Python objects are refused. What the archive claims is checked before room is made for it.
 * @module
 */

import { crc32, createInflateRaw } from "node:zlib";
import { UserError } from "../errors.ts";
import { type LocalByteSource, openFile } from "./byte_source.ts";
import { decompressed } from "./decompressed.ts";
import { float16ToFloat32 } from "./floats.ts";
import { transposed } from "./transposed.ts";
import { readDirectory, type ZipEntry } from "./zip_directory.ts";

/** What the header of an array says. */
export interface NpyInfo {
  /** The type of its elements. */
  readonly dtype: "F32" | "F16";
  /** Extents, outermost first; empty for a scalar. */
  readonly shape: readonly number[];
}

interface Member extends NpyInfo {
  readonly entry: ZipEntry;
  /** Bytes in front of the elements. */
  readonly headerLength: number;
  /** Whether the first axis is the innermost one. */
  readonly isFortran: boolean;
}

/** Bytes of an element, by NumPy's name of its type. */
const DTYPES: Readonly<Record<string, { dtype: NpyInfo["dtype"]; bytes: number }>> = {
  "<f4": { dtype: "F32", bytes: 4 },
  "<f2": { dtype: "F16", bytes: 2 },
};

const MAGIC = [0x93, ...new TextEncoder().encode("NUMPY")];
/** NumPy pads headers to a multiple of 64 bytes; those of plain arrays take 128. */
const LARGEST_HEADER = 4096;

/** An open archive whose arrays have been checked. */
export class NpzFile {
  /** Where it came from, for messages. */
  readonly path: string;
  /** The arrays by name, without `.npy`, in the order of the archive. */
  readonly tensors: ReadonlyMap<string, NpyInfo>;
  readonly #source: LocalByteSource;
  readonly #members: ReadonlyMap<string, Member>;

  /**
   * Use {@link openNpz}.
   *
   * @param source Its bytes.
   * @param members What was found in it.
   */
  constructor(source: LocalByteSource, members: ReadonlyMap<string, Member>) {
    this.path = source.name;
    this.tensors = members;
    this.#source = source;
    this.#members = members;
  }

  /**
   * Reads an array.
   *
   * @param name Its name, one of {@link tensors}.
   * @returns Its elements in row-major order, float16 widened (which is exact).
   * @throws {UserError} When its bytes are damaged.
   * @throws {RangeError} When there is none of that name.
   */
  async readF32(name: string): Promise<Float32Array<ArrayBuffer>> {
    const member = this.#members.get(name);
    if (!member) throw new RangeError(`Cannot read "${name}" of ${this.path}: there is no such array`);
    const { entry, headerLength, dtype, isFortran, shape } = member;
    const bytes = new Uint8Array(entry.size);
    let filled = 0, sum = 0;
    for await (const piece of unpacked(this.#source, entry)) {
      bytes.set(piece, filled);
      filled += piece.length;
      sum = crc32(piece, sum);
    }
    if (sum !== entry.crc32) throw damaged(this.path, `the checksum of "${entry.name}" must be right`, "it is not");
    const { buffer } = bytes.slice(headerLength);
    const values = dtype === "F16" ? float16ToFloat32(new Uint16Array(buffer)) : new Float32Array(buffer);
    return isFortran && shape.length === 2 ? transposed(values, shape[1], shape[0]) : values;
  }

  /** Closes the file; nothing can be read afterwards. */
  close(): Promise<void> {
    return this.#source.close();
  }
}

/**
 * Opens an archive and checks the header of each array.
 *
 * @param path An .npz file.
 * @returns The open archive.
 * @throws {UserError} When it cannot be opened, is no whole zip archive, holds anything but arrays of float32 and float16 right in it, or lies
 * about sizes.
 */
export async function openNpz(path: string): Promise<NpzFile> {
  const source = await openFile(path);
  try {
    const members = new Map<string, Member>();
    for (const entry of await readDirectory(source)) members.set(arrayName(path, entry), await memberOf(source, entry));
    return new NpzFile(source, members);
  } catch (error) {
    await source.close();
    throw error;
  }
}

function damaged(path: string, requirement: string, found: string): UserError {
  return new UserError({ action: `read ${path}`, requirement, found, remedy: "download or make it again" });
}

function arrayName(path: string, { name }: ZipEntry): string {
  if (name.endsWith(".npy")) return name.slice(0, -4);
  throw damaged(path, "an .npz file holds .npy files and nothing else", `it holds "${name}"`);
}

async function memberOf(source: LocalByteSource, entry: ZipEntry): Promise<Member> {
  const { name } = entry, fail = (requirement: string, found: string) => damaged(source.name, requirement, found);
  const start = await firstBytes(source, entry);
  const [major] = start.subarray(6), isNpy = MAGIC.every((byte, i) => start[i] === byte) && major >= 1 && major <= 3;
  if (!isNpy || start.length < 12) throw fail(`"${name}" must begin as a .npy file`, "it does not");
  const view = new DataView(start.buffer, start.byteOffset), isShort = major === 1;
  const prefix = isShort ? 10 : 12, length = isShort ? view.getUint16(8, true) : view.getUint32(8, true);
  const headerLength = prefix + length;
  if (headerLength > start.length) {
    throw fail(
      `the header of "${name}" must fit into ${LARGEST_HEADER} bytes and the file`,
      `it takes ${headerLength}`,
    );
  }
  const text = new TextDecoder("latin1").decode(start.subarray(prefix, headerLength));
  const { descr, isFortran, shape } = parsedHeader(text) ?? {};
  if (descr === undefined || isFortran === undefined || shape === undefined) {
    throw fail(`the header of "${name}" must give descr, fortran_order and shape`, `it reads "${text.trim()}"`);
  }
  if (/(^|')[|<>=]?O\d*($|')/.test(descr)) {
    throw new UserError({
      action: `read ${source.name}`,
      requirement: `"${name}" must hold numbers`,
      found: "it holds pickled Python objects, which can run code and are never read",
      remedy: "save it again as an array of float32",
    });
  }
  const type = Object.hasOwn(DTYPES, descr) ? DTYPES[descr] : undefined;
  if (type === undefined) {
    throw new UserError({
      action: `read ${source.name}`,
      requirement: `"${name}" must be of float32 or float16 ("<f4", "<f2")`,
      found: `it is of "${descr}"`,
      remedy: "save it again as float32",
    });
  }
  const bytes = shape.reduce((product, extent) => product * extent, type.bytes);
  if (entry.size !== headerLength + bytes) {
    const told = `"${name}" of ${type.dtype} [${shape.join(", ")}] takes ${bytes} bytes`;
    throw fail(told, `it has ${entry.size - headerLength}`);
  }
  return { entry, headerLength, dtype: type.dtype, shape, isFortran };
}

/** The dictionary of a header as NumPy writes it, and nothing else that Python would take for one. */
function parsedHeader(text: string): { descr: string; isFortran: boolean; shape: number[] } | null {
  const [, inside] = /^\s*\{(.*)\}\s*$/s.exec(text) ?? [];
  if (inside === undefined) return null;
  const descr = /(?:^|,)\s*'descr'\s*:\s*'([^']*)'/.exec(inside)?.[1];
  // A structured type is a list of fields: one of them may be objects.
  const structured = /(?:^|,)\s*'descr'\s*:\s*(\[[^\]]*\])/.exec(inside)?.[1];
  const order = /(?:^|,)\s*'fortran_order'\s*:\s*(True|False)/.exec(inside)?.[1];
  const extents = /(?:^|,)\s*'shape'\s*:\s*\(([\d\s,]*)\)/.exec(inside)?.[1];
  const type = descr ?? structured;
  if (type === undefined || order === undefined || extents === undefined) return null;
  const shape = extents.split(",").map((extent) => extent.trim()).filter((extent) => extent !== "").map(Number);
  return shape.every(Number.isSafeInteger) ? { descr: type, isFortran: order === "True", shape } : null;
}

/** As many of a member's first bytes as a header may take, fewer of a smaller one. */
async function firstBytes(source: LocalByteSource, entry: ZipEntry): Promise<Uint8Array> {
  const start = new Uint8Array(Math.min(entry.size, LARGEST_HEADER));
  let filled = 0;
  for await (const piece of unpacked(source, entry)) {
    start.set(piece.subarray(0, start.length - filled), filled);
    filled = Math.min(start.length, filled + piece.length);
    if (filled === start.length) break;
  }
  return start;
}

/** A member's bytes, exactly as many as the archive claims. */
async function* unpacked(source: LocalByteSource, entry: ZipEntry): AsyncGenerator<Uint8Array> {
  const { name, size, isDeflated } = entry, packed = packedBytes(source, entry);
  const fail = (found: string) => damaged(source.name, `"${name}" must have ${size} bytes`, found);
  let done = 0;
  try {
    for await (const piece of isDeflated ? decompressed(packed, createInflateRaw()) : packed) {
      done += piece.length;
      if (done > size) throw fail("it has more");
      yield piece;
    }
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw fail(`it cannot be inflated (${(error as Error).message})`);
  }
  if (done < size) throw fail(`it has ${done}`);
}

const AT_ONCE = 1 << 20;

async function* packedBytes(source: LocalByteSource, { begin, packedSize }: ZipEntry): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < packedSize; at += AT_ONCE) {
    yield await source.read(begin + at, Math.min(AT_ONCE, packedSize - at));
  }
}
