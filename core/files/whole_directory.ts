/**
 * Directories that appear with all of their files or not at all.
 * @module
 */

import { readdir, rename, rm, rmdir } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { endFirst } from "../ending.ts";
import { UserError } from "../errors.ts";
import { fileError } from "./atomic.ts";
import { makeDirectories, makeTemporaryDirectory, removeEmpty } from "./temporary.ts";

/**
 * Makes sure that a directory can be made without anything of somebody else's coming under it.
 *
 * @param path The directory.
 * @param flag The option that names it, for the message.
 * @throws {UserError} When there is a file of that name, or a directory that is not empty.
 */
export async function requireVacant(path: string, flag: string): Promise<void> {
  const refused = (found: string) =>
    new UserError({
      action: `write ${path}`,
      requirement: "it must be a new or an empty directory",
      found,
      remedy: `give another with ${flag}, or remove it`,
    });
  try {
    const { length } = await readdir(path);
    if (length > 0) throw refused(`it holds ${length} ${length === 1 ? "entry" : "entries"}`);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ENOENT") return;
    throw code === "ENOTDIR" ? refused("it is a file") : fileError("write", path, error);
  }
}

/**
 * Makes a directory under a temporary name beside its place and renames it once it is filled. A process that ends at a signal removes it.
 *
 * @param path The directory; those above it are made where they are missing.
 * @param flag The option that names it, for messages.
 * @param fill Writes its files; it is given the directory to write them to, which has another name.
 * @throws {UserError} As {@link requireVacant}, or when the disk does not take it; nothing is left then.
 */
export async function makeWholeDirectory(
  path: string,
  flag: string,
  fill: (directory: string) => Promise<void>,
): Promise<void> {
  const final = resolve(path);
  await requireVacant(final, flag);
  const above: string[] = [];
  try {
    above.push(...await makeDirectories(dirname(final)));
    const temporary = await makeTemporaryDirectory(final);
    const forget = endFirst(() => rm(temporary, { recursive: true, force: true }));
    try {
      await fill(temporary);
      await rmdir(final).catch(() => {});
      await rename(temporary, final);
    } catch (error) {
      await rm(temporary, { recursive: true, force: true }).catch(() => {});
      // Nobody knows the name that it had meanwhile.
      if (!(error instanceof UserError)) throw error;
      throw new UserError({ ...error.parts, action: error.parts.action.replaceAll(temporary, path) });
    } finally {
      forget();
    }
  } catch (error) {
    await removeEmpty(above);
    throw fileError("write", path, error);
  }
}
