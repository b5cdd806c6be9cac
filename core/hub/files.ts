/**
 * Single files and folders of a repository that holds models, as local paths.
 * @module
 */

import { basename, join } from "node:path";
import { exists } from "../files/exists.ts";
import { RepoCache } from "./cache.ts";
import { isCommit, parseReference, writeReference } from "./reference.ts";
import { missingFile } from "./refusal.ts";
import { type DownloadProgress, lookUp, notHere, RepoDownload } from "./repo_download.ts";
import { hubSettings } from "./settings.ts";

/** What was asked for, here. */
export interface HubPath {
  /** Its path: that of the file or folder. */
  readonly path: string;
  /** Names a file in the repository by a reference that always means the same bytes. */
  reference(local: string): string;
}

/**
 * Brings files of a repository here, into Hugging Face's own cache.
 *
 * @param text `hf:owner/name[@revision][/folder/or/file]`.
 * @param isWanted Tells by a file's name whether it is needed: of those right in the folder, or beside the file.
 * @param onProgress Told often while bytes are on their way.
 * @returns Where they are.
 * @throws {UsageError} When the reference is malformed.
 * @throws {HubError} When the hub has no such path, refuses it, or cannot be reached.
 * @throws {UserError} When a file arrives spoilt, or the disk has no room.
 */
export async function fetchPath(
  text: string,
  isWanted: (name: string) => boolean,
  onProgress: (progress: DownloadProgress) => void = () => {},
): Promise<HubPath> {
  const hub = hubSettings(), reference = parseReference(text, "model", true), cache = new RepoCache(hub, reference);
  const { path, revision } = reference, known = await cache.commitOf(revision);
  const at = (commit: string): HubPath => {
    const directory = cache.snapshot(commit), pinned = { ...reference, revision: commit };
    return {
      path: join(directory, path),
      reference: (local) => writeReference(pinned, local.slice(directory.length + 1)),
    };
  };
  if (hub.isOffline) {
    if (known !== null && await exists(at(known).path)) return at(known);
    throw notHere(hub, reference);
  }
  const commit = isCommit(revision) ? revision : await lookUp(hub, reference, null);
  const download = new RepoDownload(hub, reference, cache, commit, onProgress);
  const found = path === "" ? "folder" : await download.api.find(path);
  if (found === null) throw missingFile(hub, reference, path);
  const folder = found === "folder" ? path : path.split("/").slice(0, -1).join("/");
  const entries = (await download.api.files(folder, false)).filter((entry) => isWanted(basename(entry.path)));
  if (entries.length === 0) throw missingFile(hub, reference, path);
  // Of what lies beside a file, only what is small tells what it is.
  await download.get(
    found === "folder" ? entries : entries.filter((entry) => entry.path === path || entry.size <= SMALL),
  );
  if (!isCommit(revision)) await cache.remember(revision, commit);
  return at(commit);
}

/** The most bytes of a file that says what another one is. */
const SMALL = 1 << 20;
