/**
 * Hugging Face's cache directory, so that what other programs downloaded is found, and what is downloaded here is found by them:
 *
 *     models--owner--name/blobs/ETAG                    the bytes, once for all revisions
 *     models--owner--name/snapshots/COMMIT/config.json  a link to them
 *     models--owner--name/refs/main                     the commit that a branch or tag was last
 *     .locks/models--owner--name/ETAG.lock              held while ETAG is downloaded
 *
 * Where links cannot be made, snapshots hold the bytes themselves.
 * @module
 */

import { dirname, join, relative } from "node:path";
import { fileError, writeFileAtomic } from "../files/atomic.ts";
import { exists } from "../files/exists.ts";
import { temporaryPath } from "../files/temporary.ts";
import { type HubReference, isCommit } from "./reference.ts";
import type { HubSettings } from "./settings.ts";

/** One repository's part of the cache. */
export class RepoCache {
  readonly #root: string;
  readonly #locks: string;
  readonly #mayLink: boolean;

  /**
   * Touches nothing yet.
   *
   * @param hub Where the cache is.
   * @param reference The repository.
   */
  constructor({ cache, mayLink }: HubSettings, { kind, repo }: HubReference) {
    const folder = `${kind}s--${repo.replace("/", "--")}`;
    this.#root = join(cache, folder);
    this.#locks = join(cache, ".locks", folder);
    this.#mayLink = mayLink;
  }

  /**
   * Where the files of a commit are.
   *
   * @param commit The commit.
   * @returns A directory, which need not exist yet.
   */
  snapshot(commit: string): string {
    return join(this.#root, "snapshots", commit);
  }

  /**
   * Where the bytes of an ETag belong, and the lock on their download.
   *
   * @param etag The ETag.
   * @returns Two paths, whose directories exist.
   * @throws {UserError} When a directory cannot be made.
   */
  async claim(etag: string): Promise<{ blob: string; lock: string }> {
    const blob = join(this.#root, "blobs", etag), lock = join(this.#locks, `${etag}.lock`);
    await makeDirectory(dirname(blob));
    await makeDirectory(dirname(lock));
    return { blob, lock };
  }

  /**
   * The commit that a revision was when it was last asked for.
   *
   * @param revision A branch, tag or commit.
   * @returns The commit, or null when nobody asked.
   */
  async commitOf(revision: string): Promise<string | null> {
    if (isCommit(revision)) return revision;
    const commit = await Deno.readTextFile(join(this.#root, "refs", revision)).catch(() => "");
    return isCommit(commit.trim()) ? commit.trim() : null;
  }

  /**
   * Notes the commit that a revision is now.
   *
   * @param revision A branch, tag or commit.
   * @param commit The commit.
   * @throws {UserError} When it cannot be written.
   */
  async remember(revision: string, commit: string): Promise<void> {
    if (await this.commitOf(revision) === commit) return;
    const path = join(this.#root, "refs", revision);
    await makeDirectory(dirname(path));
    await writeFileAtomic(path, commit);
  }

  /**
   * Makes a blob a commit's file.
   *
   * @param etag The blob's name; it must exist unless the file already does.
   * @param commit The commit.
   * @param file The file's path in the repository.
   * @throws {UserError} When the directory cannot be written.
   */
  async place(etag: string, commit: string, file: string): Promise<void> {
    const path = join(this.snapshot(commit), file), blob = join(this.#root, "blobs", etag);
    if (await exists(path)) return;
    await makeDirectory(dirname(path));
    try {
      if (this.#mayLink && await link(relative(dirname(path), blob), path)) return;
      await Deno.rename(blob, path);
    } catch (error) {
      // Two programs may place the same file; without links, the slower one finds the blob moved already.
      if (!await exists(path)) throw fileError("write", path, error);
    }
  }
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true });
  } catch (error) {
    throw fileError("create", path, error);
  }
}

/** Makes a symbolic link; false where the system has none to give, as Windows for most users. */
async function link(target: string, path: string): Promise<boolean> {
  const temporary = temporaryPath(path);
  try {
    await Deno.symlink(target, temporary, { type: "file" });
  } catch {
    return false;
  }
  try {
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
  return true;
}
