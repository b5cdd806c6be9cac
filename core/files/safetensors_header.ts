/**
 * The header of a safetensors file: eight bytes of length (little-endian), then JSON that says what every byte after it is.
 * @module
 */

import * as v from "valibot";
import { UserError } from "../errors.ts";

/** Bytes per element, by the type's name in the header. */
export const DTYPE_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
} as const;

/** An element type's name in the header. */
export type Dtype = keyof typeof DTYPE_BYTES;

/** What the header says about one tensor. */
export interface TensorInfo {
  /** Element type. */
  readonly dtype: Dtype;
  /** Extents, outermost first; empty for a scalar. */
  readonly shape: readonly number[];
  /** First byte, counted from the start of the file. */
  readonly begin: number;
  /** One past the last byte. */
  readonly end: number;
}

/** The longest header that the reference implementation accepts. */
const LARGEST_HEADER = 100_000_000;

/** A checked header. */
export interface Header {
  /** The tensors by name, in the order of the header. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The free text entries of `__metadata__`. */
  readonly metadata: Readonly<Record<string, string>>;
}

const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const Entry = v.strictObject({ dtype: v.string(), shape: v.array(Count), data_offsets: v.tuple([Count, Count]) });
const Metadata = v.record(v.string(), v.string());

/**
 * Finds the header: the first eight bytes hold its length.
 *
 * @param path What to call the file in messages.
 * @param size The file's length in bytes.
 * @param prefix Its first eight bytes, fewer when it is shorter.
 * @returns One past the header's last byte; it begins at byte 8.
 * @throws {UserError} When the file is shorter than its header.
 */
export function headerEnd(path: string, size: number, prefix: Uint8Array): number {
  const fail = failure(path);
  if (prefix.length < 8) throw fail("a safetensors file has at least 8 bytes", `it has ${size}`);
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > BigInt(size - 8) || length > BigInt(LARGEST_HEADER)) {
    throw fail(`the header is to be ${length} bytes long`, `${size - 8} bytes follow`);
  }
  return 8 + Number(length);
}

/**
 * Parses a header and checks every claim in it.
 *
 * @param path What to call the file in messages.
 * @param size The file's length in bytes.
 * @param json The header's bytes.
 * @returns The tensors with their positions in the file.
 * @throws {UserError} When it is malformed or lies about sizes.
 */
export function parseHeader(path: string, size: number, json: Uint8Array): Header {
  const fail = failure(path), start = 8 + json.length;
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch (error) {
    throw fail("the header must be JSON", (error as Error).message);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw fail("the header must be a JSON object", "it is not");
  }
  const { __metadata__: free = {}, ...entries } = parsed as Record<string, unknown>;
  const metadata = v.safeParse(Metadata, free);
  if (!metadata.success) throw fail("the header's __metadata__ must map names to text", "it does not");
  const tensors = new Map<string, TensorInfo>();
  for (const [name, entry] of Object.entries(entries)) tensors.set(name, checkEntry(name, entry, start, fail));
  checkLayout(tensors, start, size, fail);
  return { tensors, metadata: metadata.output };
}

type Fail = (requirement: string, found: string) => UserError;

function failure(path: string): Fail {
  return (requirement, found) =>
    new UserError({ action: `read ${path}`, requirement, found, remedy: "download or make it again" });
}

function checkEntry(name: string, entry: unknown, start: number, fail: Fail): TensorInfo {
  const parsed = v.safeParse(Entry, entry);
  if (!parsed.success) {
    const [{ message }] = parsed.issues;
    throw fail(`the header's entry "${name}" must hold dtype, shape and data_offsets`, `it does not (${message})`);
  }
  const { dtype, shape, data_offsets: [begin, end] } = parsed.output;
  if (!Object.hasOwn(DTYPE_BYTES, dtype)) {
    throw fail(`tensor "${name}" must have a known dtype`, `it has ${JSON.stringify(dtype)}`);
  }
  const bytes = shape.reduce((product, extent) => product * extent, DTYPE_BYTES[dtype as Dtype]);
  if (end - begin !== bytes) {
    throw fail(
      `tensor "${name}" of ${dtype} [${shape.join(", ")}] takes ${bytes} bytes`,
      `the header gives it ${end - begin}`,
    );
  }
  return { dtype: dtype as Dtype, shape, begin: start + begin, end: start + end };
}

/** The tensors must tile the rest of the file: no hole, no overlap, nothing missing or left over at the end. */
function checkLayout(tensors: Map<string, TensorInfo>, start: number, size: number, fail: Fail): void {
  let reached = start;
  for (const [name, { begin, end }] of [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== reached) {
      throw fail(
        `tensor "${name}" must begin at byte ${reached}`,
        `the header ${begin < reached ? "lets it overlap" : "leaves a hole"}`,
      );
    }
    reached = end;
  }
  if (reached !== size) throw fail(`the header promises ${reached} bytes`, `the file has ${size}`);
}

/**
 * Makes the front of a file: the eight length bytes and the header, padded with spaces so that the tensors start at a
 * multiple of eight.
 *
 * @param tensors The tensors in file order.
 * @param metadata Free text entries for `__metadata__`.
 * @returns Its bytes.
 */
export function encodeHeader(
  tensors: readonly { readonly name: string; readonly dtype: Dtype; readonly shape: readonly number[] }[],
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    const end = offset + shape.reduce((product, extent) => product * extent, DTYPE_BYTES[dtype]);
    header[name] = { dtype, shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + padded).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(json, 8);
  return bytes;
}
