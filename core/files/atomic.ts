/**
 * Files that are either the old or the new ones, never half of one: written beside the target, synced, renamed.
 * @module
 */

import { dirname } from "node:path";
import { endFirst } from "../ending.ts";
import { UserError } from "../errors.ts";
import { temporaryPath } from "./temporary.ts";

/**
 * Writes a file under a temporary name in its own directory, syncs it and renames it into place.
 *
 * The temporary name is random, see {@link temporaryPath}. A process that ends at a signal removes the file, a killed one leaves it behind,
 * which is in nobody's way; training clears them away. A symbolic link at `path` is replaced, what it leads to stays as it is.
 *
 * @param path The file to make or replace; its directory must exist.
 * @param fill Writes the content to the open file.
 * @throws {UserError} When the disk or the permissions do not allow it; the target is then what it was before.
 */
export async function replaceFile(path: string, fill: (file: Deno.FsFile) => Promise<void>): Promise<void> {
  const temporary = temporaryPath(path);
  const file = await Deno.open(temporary, { write: true, createNew: true }).catch((error) =>
    Promise.reject(fileError("write", path, error))
  );
  const forget = endFirst(() => Deno.removeSync(temporary));
  try {
    try {
      await fill(file);
      await file.sync();
    } finally {
      file.close();
    }
    await Deno.rename(temporary, path);
  } catch (error) {
    // The first error is the one to tell.
    await Deno.remove(temporary).catch(() => {});
    throw fileError("write", path, error);
  } finally {
    forget();
  }
  await syncDirectory(dirname(path));
}

/**
 * Writes a whole file atomically; see {@link replaceFile}.
 *
 * @param path The file to make or replace; its directory must exist.
 * @param data Its content; text is stored as UTF-8.
 * @throws {UserError} When the disk or the permissions do not allow it.
 */
export function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  return replaceFile(path, (file) => writeAll(file, bytes));
}

/**
 * Writes all bytes to an open file: a single `write` may take only part of them.
 *
 * @param file The open file.
 * @param bytes What to append.
 */
export async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
}

/** What a file system's codes mean, and what helps. */
const FAILURES: Readonly<Record<string, readonly [found: string, remedy: string]>> = {
  ENOSPC: ["the disk is full", "free some space or choose another directory"],
  EDQUOT: ["the disk quota is used up", "free some space or choose another directory"],
  EACCES: ["permission denied", "change its permissions or choose another path"],
  EPERM: ["the system does not permit it", "change its permissions or choose another path"],
  EROFS: ["the file system is read-only", "choose another directory"],
  ENOTDIR: ["a part of the path is a file, not a directory", "choose another path"],
  EISDIR: ["it is a directory, not a file", "choose another path"],
  EEXIST: ["something of that name exists already", "choose another path"],
  ENOTEMPTY: ["a directory of that name holds files already", "choose another path"],
  ENOENT: ["there is no such file or directory", "check the path"],
  ENAMETOOLONG: ["the name is too long", "choose a shorter one"],
  ELOOP: ["its links lead in a circle", "mend the link or choose another path"],
  EMFILE: ["the process has as many files open as it may", "allow it more: ulimit -n 1024"],
  EFBIG: ["the file system allows no file of that size", "choose another directory"],
};

/**
 * Turns a file system's error into the sentence a user can act on; other errors come back as they are.
 *
 * @param action The verb, for example `write`.
 * @param path The file or directory concerned.
 * @param error What was thrown.
 * @returns A {@link UserError}, or `error` itself when it does not come from the file system.
 */
export function fileError(action: string, path: string, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof UserError) return error;
  const code = (error as Error & { code?: string }).code ?? "";
  const because = (found: string, remedy: string) => new UserError({ action: `${action} ${path}`, found, remedy });
  if (code in FAILURES) return because(...FAILURES[code]);
  if (error instanceof Deno.errors.NotCapable) {
    return because(error.message, "grant the permission or choose another path");
  }
  return code === "" ? error : because(error.message, "check the path and the disk");
}

/** Makes a rename durable. Windows and some network file systems cannot sync a directory; the rename stays atomic. */
async function syncDirectory(path: string): Promise<void> {
  try {
    using directory = await Deno.open(path);
    await directory.sync();
  } catch {
    // Durability of the name is best effort; the content was synced before.
  }
}
