/**
 * Git-LFS pointers: the few lines that a clone without Git LFS has in place of a large file.
 * @module
 */

import { UserError } from "../errors.ts";

const BEGINNING = "version https://git-lfs.github.com/spec/";

/** A pointer has fewer bytes. */
export const LARGEST_POINTER = 1024;

/**
 * Makes sure that a file is what its name says, and no pointer to it. Whatever a reader would find wrong with one, this is the reason.
 *
 * @param path The file.
 * @param content All of it, or its first {@link LARGEST_POINTER} bytes.
 * @throws {UserError} When it is a pointer.
 */
export function refuseLfsPointer(path: string, content: Uint8Array | string): void {
  const start = typeof content === "string"
    ? content.slice(0, BEGINNING.length)
    : new TextDecoder().decode(content.subarray(0, BEGINNING.length));
  if (start !== BEGINNING) return;
  throw new UserError({
    action: `read ${path}`,
    requirement: "it must be the file itself",
    found: "it is a Git-LFS pointer, which stands for it",
    remedy: "fetch what it stands for: run `git lfs install` and `git lfs pull` in its repository, or download it",
  });
}
