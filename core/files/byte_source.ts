/**
 * Bytes that are read by ranges, wherever they lie.
 * @module
 */

import { readSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { UserError } from "../errors.ts";
import { fileError } from "./atomic.ts";
import { LARGEST_POINTER, refuseLfsPointer } from "./lfs_pointer.ts";

/** Bytes that can be read anywhere: a local file, memory, or a file of the hub. */
export interface ByteSource {
  /** For messages: the path, or `hf:owner/name/path`. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /**
   * Reads exactly `length` bytes.
   *
   * @throws {UserError} When they cannot be had.
   */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  /** From `offset` to the end, in pieces; it fails with a {@link UserError} as `read` does. */
  stream(offset: number): ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Nothing can be read afterwards. */
  close(): Promise<void>;
}

/** A source at hand, which synchronous code can read as well. */
export interface LocalByteSource extends ByteSource {
  /**
   * Reads exactly `length` bytes.
   *
   * @throws {UserError} When they cannot be had.
   */
  readSync(offset: number, length: number): Uint8Array<ArrayBuffer>;
}

/** Reads are cut to this many bytes: systems take less than 2 GiB at once. */
const LARGEST_READ = 1 << 30;
/** Bytes in one piece of a stream. */
const PIECE = 1 << 20;

/**
 * Opens a local file.
 *
 * @param path The file.
 * @returns Its bytes; close it.
 * @throws {UserError} When it cannot be opened, or is no file but a device or a pipe, which would never end, or a Git-LFS pointer.
 */
export async function openFile(path: string): Promise<LocalByteSource> {
  let handle: FileHandle | undefined;
  try {
    await requireRegular(path);
    handle = await open(path, "r");
    const file = new LocalFile(path, handle, (await handle.stat()).size);
    if (file.size < LARGEST_POINTER) refuseLfsPointer(path, await file.read(0, file.size));
    return file;
  } catch (error) {
    await handle?.close();
    throw fileError("read", path, error);
  }
}

/**
 * Makes sure that a path leads to an ordinary file. A pipe is waited for as soon as it is opened, and a device has no size.
 *
 * @param path The path; links are followed.
 * @throws {UserError} When it leads to something else.
 * @throws The system's error when there is nothing.
 */
export async function requireRegular(path: string): Promise<void> {
  const { isFile, isDirectory } = await Deno.stat(path);
  if (isFile) return;
  throw new UserError({
    action: `read ${path}`,
    requirement: "it must be an ordinary file",
    ...isDirectory
      ? { found: "it is a directory", remedy: "choose another path" }
      : { found: "it is a device, a pipe or a socket", remedy: "write what it gives into a file" },
  });
}

/**
 * Makes a source of bytes in memory.
 *
 * @param name What to call them in messages.
 * @param bytes The bytes; not copied as a whole and not to be changed.
 * @returns Their source.
 */
export function memorySource(name: string, bytes: Uint8Array): LocalByteSource {
  const readSync = (offset: number, length: number) => requireAll(name, length, bytes.slice(offset, offset + length));
  const read = (offset: number, length: number) => Promise.resolve().then(() => readSync(offset, length));
  return {
    name,
    size: bytes.length,
    read,
    readSync,
    stream: (offset) => streamOf(offset, bytes.length, read),
    close: () => Promise.resolve(),
  };
}

class LocalFile implements LocalByteSource {
  readonly #handle: FileHandle;

  constructor(readonly name: string, handle: FileHandle, readonly size: number) {
    this.#handle = handle;
  }

  async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(length);
    let got = 0;
    try {
      for (let step = 1; got < length && step > 0; got += step) {
        step = (await this.#handle.read(bytes, got, Math.min(length - got, LARGEST_READ), offset + got)).bytesRead;
      }
    } catch (error) {
      throw fileError("read", this.name, error);
    }
    return requireAll(this.name, length, bytes.subarray(0, got));
  }

  readSync(offset: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    let got = 0;
    try {
      got = readSync(this.#handle.fd, bytes, 0, length, offset);
    } catch (error) {
      throw fileError("read", this.name, error);
    }
    return requireAll(this.name, length, bytes.subarray(0, got));
  }

  stream(offset: number): ReadableStream<Uint8Array<ArrayBuffer>> {
    return streamOf(offset, this.size, (from, length) => this.read(from, length));
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/**
 * Makes a stream out of reads, one at a time and only when it is asked for more.
 *
 * @param offset Where to begin.
 * @param size Where to end.
 * @param read Reads a part.
 * @returns The bytes between, in pieces of at most 1 MiB.
 */
export function streamOf(
  offset: number,
  size: number,
  read: ByteSource["read"],
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = offset;
  return new ReadableStream({
    async pull(controller) {
      const length = Math.min(PIECE, size - at);
      if (length <= 0) return controller.close();
      controller.enqueue(await read(at, length));
      at += length;
    },
  }, { highWaterMark: 1 });
}

function requireAll(name: string, length: number, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (bytes.length === length) return bytes;
  throw new UserError({
    action: `read ${name}`,
    requirement: `${length} more bytes must follow`,
    found: `${bytes.length} were left`,
    remedy: "the file is changing: wait, then retry",
  });
}
