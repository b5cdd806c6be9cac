/**
 * explorer.safetensors: what `mtc browse` shows of a transcoder, made once and then read part by part. Each part is a tensor of bytes, gzipped,
 * so that a server sends it and an exported file holds it as it lies there.
 *
 * The metadata has a stamp of the files that the parts were made of, and a checksum of each part: one of other files, or one that a disk has
 * changed, is made anew, since nothing in it is not in the files beside it.
 * @module
 */

import { createHash } from "node:crypto";
import * as v from "valibot";
import { UserError } from "../errors.ts";
import { exists } from "../files/exists.ts";
import { openSafetensors, type SafetensorsFile, writeSafetensors } from "../files/safetensors.ts";
import { checked, parseJson } from "./json.ts";

/** The file's name. */
export const EXPLORER_FILE = "explorer.safetensors";

const sums = v.safeParser(v.record(v.string(), v.string()));

/** An open file of parts. */
export interface StoredParts {
  /** The names of its parts, in their order. */
  readonly names: readonly string[];
  /**
   * Reads a part.
   *
   * @param name Its name, one of {@link names}.
   * @returns It, gzipped; null where its bytes are not those that were written.
   */
  read(name: string): Promise<Uint8Array<ArrayBuffer> | null>;
  /** Closes the file. */
  close(): Promise<void>;
}

/**
 * Writes a file of parts atomically.
 *
 * @param path The file.
 * @param stamp What tells the files that they were made of from others.
 * @param parts The parts by name, gzipped.
 * @throws {UserError} When the disk or the permissions do not allow it.
 */
export async function writeParts(
  path: string,
  stamp: string,
  parts: ReadonlyMap<string, Uint8Array>,
): Promise<void> {
  const tensors = Array.from(parts, ([name, data]) => ({ name, dtype: "U8" as const, shape: [data.length], data }));
  const written = Object.fromEntries(Array.from(parts, ([name, data]) => [name, sumOf(data)]));
  await writeSafetensors(path, tensors, { stamp, sums: JSON.stringify(written) });
}

/**
 * Opens a file of parts.
 *
 * @param path The file.
 * @param stamp What tells the files as they are now from others.
 * @returns Its parts; null where there is no such file, it was made of other files, or it is damaged.
 */
export async function openParts(path: string, stamp: string): Promise<StoredParts | null> {
  if (!await exists(path)) return null;
  let file: SafetensorsFile | undefined;
  try {
    file = await openSafetensors(path);
    const parts = file.metadata.stamp === stamp
      ? partsOf(file, checked(sums, parseJson(file.metadata.sums ?? "", path), path))
      : null;
    if (parts === null) await file.close();
    return parts;
  } catch (error) {
    await file?.close();
    if (error instanceof UserError) return null;
    throw error;
  }
}

function partsOf(file: SafetensorsFile, sums: Readonly<Record<string, string>>): StoredParts {
  return {
    names: [...file.tensors.keys()],
    async read(name) {
      const { begin, end } = file.info(name);
      try {
        const bytes = await file.readBytes(name, 0, end - begin);
        return sumOf(bytes) === sums[name] ? bytes : null;
      } catch (error) {
        if (error instanceof UserError) return null; // it was cut off in the meantime
        throw error;
      }
    },
    close: () => file.close(),
  };
}

function sumOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("base64");
}
