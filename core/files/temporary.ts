/**
 * Temporary files and directories: their names are random and they are made exclusively, so that nothing of anybody else's is ever
 * written to, replaced or removed. What a killed process left is known by its name.
 * @module
 */

import { mkdir, readdir, rmdir, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { exists } from "./exists.ts";

const TEMPORARY = /^\.(.+)\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$/s;

/**
 * A name for something that is to become `path`.
 *
 * @param path The file or directory in the end.
 * @returns `.NAME.UUID.tmp` beside it, another one each time; what makes it must insist on making it anew.
 */
export function temporaryPath(path: string): string {
  return join(dirname(path), `.${basename(path)}.${crypto.randomUUID()}.tmp`);
}

/**
 * Finds out what a name is the temporary name of.
 *
 * @param name The name of a file or directory, without its path.
 * @returns The name in the end; null when `name` is not one of {@link temporaryPath}'s.
 */
export function nameInTheEnd(name: string): string | null {
  return TEMPORARY.exec(name)?.[1] ?? null;
}

/**
 * Makes an empty directory that is to become `path`.
 *
 * @param path The directory in the end; the one that holds it must exist.
 * @returns The new directory's path, see {@link temporaryPath}.
 * @throws {Error} The file system's own error.
 */
export async function makeTemporaryDirectory(path: string): Promise<string> {
  const made = temporaryPath(path);
  await mkdir(made);
  return made;
}

/**
 * Makes a directory and those above it that are missing.
 *
 * @param path The directory.
 * @returns Those that were made here and not by another process meanwhile, the deepest first.
 * @throws {Error} The file system's own error; nothing is left then.
 */
export async function makeDirectories(path: string): Promise<string[]> {
  if (await exists(path)) return [];
  const made = await makeDirectories(dirname(path));
  try {
    await mkdir(path);
  } catch (error) {
    if ((error as { code?: string }).code === "EEXIST") return made;
    await removeEmpty(made);
    throw error;
  }
  return [path, ...made];
}

/**
 * Removes directories as far as they are empty.
 *
 * @param directories The directories, the deepest first.
 */
export async function removeEmpty(directories: readonly string[]): Promise<void> {
  for (const directory of directories) await rmdir(directory).catch(() => {});
}

/**
 * Removes plain files right in a directory; links, directories and whatever else bears such a name stay.
 *
 * @param directory The directory.
 * @param isUnwanted Tells a file to remove by its name.
 * @throws {Error} The file system's own error.
 */
export async function removeFiles(directory: string, isUnwanted: (name: string) => boolean): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isFile() && isUnwanted(entry.name)) await unlink(join(directory, entry.name));
  }
}
