/**
 * Checksums of numbers and of files, to find out what a disk or a careless hand has changed. They are no protection against anybody who
 * means to: who changes a file can change its checksum too.
 * @module
 */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { fileError } from "./atomic.ts";
import { requireRegular } from "./byte_source.ts";

/** What every checksum starts from, unless something else goes in first. */
const OFFSET = 0x811c9dc5;
const PRIME = 0x01000193;

/**
 * FNV-1a (Fowler, Noll, Vo 1991) over 32-bit words in place of bytes: 2.5 GB/s of one core. A single changed word always changes it.
 *
 * @param words The numbers' bits.
 * @param start The checksum of what goes in before them, if anything does.
 * @returns A u32.
 */
export function checksum(words: Uint32Array, start: number = OFFSET): number {
  let sum = start;
  for (let i = 0; i < words.length; i++) sum = Math.imul(sum ^ words[i], PRIME);
  return sum >>> 0;
}

/** Bytes of a file that are in memory at once. */
const AT_ONCE = 1 << 20;

/**
 * SHA-256 of a file: 1.6 GB/s of one core that has instructions for it.
 *
 * @param path The file.
 * @returns Hexadecimal digits.
 * @throws {UserError} When it cannot be read.
 */
export async function sumOfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  try {
    await requireRegular(path);
    for await (const bytes of createReadStream(path, { highWaterMark: AT_ONCE })) hash.update(bytes);
  } catch (error) {
    throw fileError("read", path, error);
  }
  return hash.digest("hex");
}

/**
 * SHA-256 of a value, by its JSON.
 *
 * @param value The value.
 * @returns Hexadecimal digits.
 */
export function sumOfValue(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}
