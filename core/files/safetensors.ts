/**
 * The safetensors format: eight bytes of header length (little-endian), a JSON header, then the tensors' bytes without holes.
 *
 * Reading takes byte ranges, so that one tensor of a large file costs only its own bytes. Everything the header claims is
 * checked before the first tensor is read. Typed arrays are taken to be little-endian, as on every platform Deno runs on.
 * @module
 */

import { UserError } from "../errors.ts";
import { replaceFile, writeAll } from "./atomic.ts";
import { type LocalByteSource, memorySource, openFile } from "./byte_source.ts";
import {
  type Dtype,
  DTYPE_BYTES,
  encodeHeader,
  type Header,
  headerEnd,
  parseHeader,
  type TensorInfo,
} from "./safetensors_header.ts";
import { bfloat16ToFloat32, float16ToFloat32 } from "./floats.ts";

export type { Dtype, TensorInfo } from "./safetensors_header.ts";

/** An open safetensors file whose header has been checked. */
export class SafetensorsFile {
  /** Where it came from, for messages. */
  readonly path: string;
  /** The tensors by name, in the order of the header. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The free text entries of `__metadata__`. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly #source: LocalByteSource;

  /**
   * Use {@link openSafetensors} or {@link parseSafetensors}.
   *
   * @param source Its bytes.
   * @param header The checked header.
   */
  constructor(source: LocalByteSource, header: Header) {
    this.path = source.name;
    this.#source = source;
    this.tensors = header.tensors;
    this.metadata = header.metadata;
  }

  /**
   * Looks a tensor up.
   *
   * @param name The tensor's name.
   * @returns What the header says about it.
   * @throws {UserError} When there is none of that name.
   */
  info(name: string): TensorInfo {
    const info = this.tensors.get(name);
    if (!info) {
      throw new UserError({
        action: `read ${this.path}`,
        requirement: `it needs a tensor "${name}"`,
        found: `it has ${this.tensors.size} others`,
        remedy: "take the file that belongs to this model",
      });
    }
    return info;
  }

  /**
   * Reads a tensor as it is stored; 16-bit floats become f32.
   *
   * @param name The tensor's name.
   * @returns Its elements in row-major order.
   * @throws {UserError} When it is missing, its type is not one of F32, F16, BF16, I32, U32, or the file has shrunk.
   */
  async read(
    name: string,
  ): Promise<Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>> {
    const { dtype, begin, end } = this.info(name);
    if (dtype !== "I32" && dtype !== "U32") return await this.readF32(name);
    const { buffer } = await this.#source.read(begin, end - begin);
    return dtype === "I32" ? new Int32Array(buffer) : new Uint32Array(buffer);
  }

  /**
   * Reads a tensor of floats.
   *
   * @param name The tensor's name.
   * @returns Its elements in row-major order, 16-bit floats widened (which is exact).
   * @throws {UserError} When it is missing, not of type F32, F16 or BF16, or the file has shrunk.
   */
  async readF32(name: string): Promise<Float32Array<ArrayBuffer>> {
    const { dtype, begin, end } = this.info(name);
    const decode = this.#decoder(name, dtype);
    return decode(await this.#source.read(begin, end - begin));
  }

  /**
   * Makes sure that a tensor is one of floats.
   *
   * @param name The tensor's name.
   * @throws {UserError} As {@link readF32}, but for the file's length.
   */
  requireFloats(name: string): void {
    this.#decoder(name, this.info(name).dtype);
  }

  /**
   * Reads neighbouring rows of a matrix of floats at once, for gathers inside synchronous code.
   *
   * @param name The tensor's name; its shape is [rows, columns].
   * @param first The first row.
   * @param count How many rows; `first + count` is at most the number of rows.
   * @returns f32 [count, columns], 16-bit floats widened.
   * @throws {UserError} As for {@link readF32}.
   */
  readRowsF32(name: string, first: number, count: number): Float32Array<ArrayBuffer> {
    const { dtype, shape, begin } = this.info(name);
    const decode = this.#decoder(name, dtype);
    const bytes = shape[1] * DTYPE_BYTES[dtype];
    return decode(this.#source.readSync(begin + first * bytes, count * bytes));
  }

  /**
   * Reads neighbouring rows of a bfloat16 matrix as they are stored.
   *
   * @param name The tensor's name; its shape is [rows, columns].
   * @param first The first row.
   * @param count How many rows; `first + count` is at most the number of rows.
   * @returns [count, columns], the upper halves of float32 elements.
   * @throws {UserError} When it is missing or the file has shrunk.
   * @throws {RangeError} When it is not BF16.
   */
  readRowsBf16(name: string, first: number, count: number): Uint16Array<ArrayBuffer> {
    const { dtype, shape: [, columns], begin } = this.info(name);
    if (dtype !== "BF16") throw new RangeError(`Cannot read "${name}" of ${this.path} as BF16: it is ${dtype}`);
    const bytes = columns * DTYPE_BYTES.BF16;
    return new Uint16Array(this.#source.readSync(begin + first * bytes, count * bytes).buffer);
  }

  /**
   * Reads a little of a tensor, enough to tell it from another.
   *
   * @param name The tensor's name.
   * @param bytes How much to read from its beginning, and from its middle.
   * @returns The two pieces; shorter ones of a smaller tensor.
   * @throws {UserError} When it is missing or the file has shrunk.
   */
  async sample(name: string, bytes: number): Promise<[first: Uint8Array, middle: Uint8Array]> {
    const { begin, end } = this.info(name), middle = begin + Math.floor((end - begin) / 2);
    const read = (from: number) => this.#source.read(from, Math.min(bytes, end - from));
    return [await read(begin), await read(middle)];
  }

  /**
   * Reads a part of a tensor as it is stored.
   *
   * @param name The tensor's name.
   * @param first The part's first byte, counted from the tensor's.
   * @param length Its bytes; the part lies inside of the tensor.
   * @returns The bytes.
   * @throws {UserError} When the tensor is missing or the file has shrunk.
   */
  async readBytes(name: string, first: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    return await this.#source.read(this.info(name).begin + first, length);
  }

  /** Closes the file; nothing can be read afterwards. */
  close(): Promise<void> {
    return this.#source.close();
  }

  #decoder(name: string, dtype: Dtype): (bytes: Uint8Array<ArrayBuffer>) => Float32Array<ArrayBuffer> {
    switch (dtype) {
      case "F32":
        return ({ buffer }) => new Float32Array(buffer);
      case "F16":
        return ({ buffer }) => float16ToFloat32(new Uint16Array(buffer));
      case "BF16":
        return ({ buffer }) => bfloat16ToFloat32(new Uint16Array(buffer));
      default:
        throw new UserError({
          action: `read "${name}" of ${this.path}`,
          requirement: "floats must be F32, F16 or BF16",
          found: `these are ${dtype}`,
          remedy: dtype === "F64" ? "save it in one of them" : "take a checkpoint that is not quantised",
        });
    }
  }
}

/**
 * Opens a file and checks its header.
 *
 * @param path A safetensors file.
 * @returns The open file.
 * @throws {UserError} When it cannot be opened, is truncated, or its header is malformed or lies about sizes.
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const source = await openFile(path);
  try {
    return new SafetensorsFile(source, await readHeader(source));
  } catch (error) {
    await source.close();
    throw error;
  }
}

/**
 * Reads a file that is already in memory.
 *
 * @param bytes The whole file; not copied as a whole and not to be changed.
 * @param name What to call it in messages.
 * @returns The checked file.
 * @throws {UserError} As {@link openSafetensors}.
 */
export async function parseSafetensors(bytes: Uint8Array, name = "safetensors data"): Promise<SafetensorsFile> {
  const source = memorySource(name, bytes);
  return new SafetensorsFile(source, await readHeader(source));
}

async function readHeader(source: LocalByteSource): Promise<Header> {
  const { name, size } = source;
  const end = headerEnd(name, size, await source.read(0, Math.min(8, size)));
  return parseHeader(name, size, await source.read(8, end - 8));
}

/** A tensor to be written: at once, or chunk by chunk when it does not fit into memory. */
export interface TensorToWrite {
  /** Name in the header. */
  readonly name: string;
  /** Element type; the data's array type must agree with it. */
  readonly dtype: "F32" | "F16" | "I32" | "U32" | "U8";
  /** Extents, outermost first. */
  readonly shape: readonly number[];
  /** Elements in row-major order, as many as `shape` says in all. */
  readonly data: WritableArray | Iterable<WritableArray> | AsyncIterable<WritableArray>;
}

/** The arrays that can be written without conversion. */
export type WritableArray = Float32Array | Float16Array | Int32Array | Uint32Array | Uint8Array;

/**
 * Writes a file atomically. The same tensors in the same order give the same bytes.
 *
 * @param path The file to make or replace; its directory must exist.
 * @param tensors The tensors in file order.
 * @param metadata Free text entries for `__metadata__`.
 * @throws {UserError} When the disk or the permissions do not allow it; no half-written file is left.
 * @throws {RangeError} When a tensor's data has not as many elements as its shape says.
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly TensorToWrite[],
  metadata?: Readonly<Record<string, string>>,
): Promise<void> {
  const header = encodeHeader(tensors, metadata);
  await replaceFile(path, async (file) => {
    await writeAll(file, header);
    for (const { name, shape, data } of tensors) {
      let left = shape.reduce((product, extent) => product * extent, 1);
      for await (const chunk of ArrayBuffer.isView(data) ? [data] : data) {
        left -= chunk.length;
        await writeAll(file, new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      }
      if (left !== 0) {
        throw new RangeError(
          `Cannot write "${name}" as [${shape.join(", ")}]: ${Math.abs(left)} elements ${
            left > 0 ? "are missing" : "too many"
          }`,
        );
      }
    }
  });
}
