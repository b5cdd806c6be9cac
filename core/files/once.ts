/**
 * Files that are made once: of several processes that would make one, on whatever machine, one does.
 * @module
 */

import { link, unlink } from "node:fs/promises";
import { fileError, writeAll } from "./atomic.ts";
import { temporaryPath } from "./temporary.ts";

/** What a file system says that has no links; rclone's mounts of buckets call it an error of the disk. */
const NO_LINKS: readonly string[] = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EIO"];

/**
 * Makes a file, whole from its first moment. Where the file system has no links, as object storage, it grows under its own name; then a
 * reader may find it cut off.
 *
 * @param path The file; its directory must exist.
 * @param text Its content.
 * @returns Whether it was made; false where something of that name is there.
 * @throws {UserError} When the disk or the permissions do not allow it.
 */
export async function makeOnce(path: string, text: string): Promise<boolean> {
  const bytes = new TextEncoder().encode(text), temporary = temporaryPath(path);
  try {
    await writeNew(temporary, bytes);
    return await isFirst(() => link(temporary, path));
  } catch (error) {
    if (!NO_LINKS.includes((error as { code?: string }).code ?? "")) throw fileError("write", path, error);
  } finally {
    await unlink(temporary).catch(() => {});
  }
  try {
    return await isFirst(() => writeNew(path, bytes));
  } catch (error) {
    throw fileError("write", path, error);
  }
}

async function isFirst(make: () => Promise<void>): Promise<boolean> {
  try {
    await make();
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === "EEXIST") return false;
    throw error;
  }
}

async function writeNew(path: string, bytes: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true });
  await writeAll(file, bytes);
  await file.sync();
}
