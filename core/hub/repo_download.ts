/**
 * Files of one commit of a repository, downloaded into Hugging Face's own cache.
 * @module
 */

import { mkdir, stat, statfs } from "node:fs/promises";
import { UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";
import { exists } from "../files/exists.ts";
import { HubApi, type HubEntry } from "./api.ts";
import type { RepoCache } from "./cache.ts";
import { download } from "./download.ts";
import { Patience } from "./patience.ts";
import { type HubReference, writeReference } from "./reference.ts";
import { HubError } from "./refusal.ts";
import { RemoteFile } from "./remote_file.ts";
import type { HubSettings } from "./settings.ts";

/** How far a download is. */
export interface DownloadProgress {
  /** Bytes that are here, those of an earlier download included. */
  readonly done: number;
  /** Bytes in all. */
  readonly total: number;
  /** Bytes that came over the network this time. */
  readonly received: number;
  /** Why nothing comes just now; "" while something does. */
  readonly waiting: string;
}

/**
 * The error for files that are to be had without the hub and are not here.
 *
 * @param hub Where the cache is.
 * @param reference The repository.
 * @returns The error.
 */
export function notHere({ cache }: HubSettings, reference: HubReference): HubError {
  return new HubError("unreachable", {
    action: `fetch ${writeReference(reference)}`,
    requirement: `HF_HUB_OFFLINE is set and all of its files must lie in ${cache}`,
    found: "some are missing",
    remedy: "unset HF_HUB_OFFLINE, or set HF_HOME to the directory that holds them",
  });
}

/**
 * Finds the commit of a branch or tag; what is kept stands in for a hub that does not answer, which is not waited for then.
 *
 * @param hub Where to ask.
 * @param reference The repository at the branch or tag.
 * @param kept The commit of which everything is here; null for none.
 * @returns The commit.
 * @throws {HubError} When there is no such revision, or the hub does not answer and nothing is kept.
 */
export async function lookUp(hub: HubSettings, reference: HubReference, kept: string | null): Promise<string> {
  const patience = new Patience(hub, writeReference(reference), kept === null ? undefined : 1);
  try {
    return await new HubApi(hub, reference, patience).commit();
  } catch (error) {
    if (kept !== null && error instanceof HubError && error.reason !== "missing") return kept;
    throw error;
  }
}

/** The download of files that a snapshot lacks. */
export class RepoDownload {
  /** The repository's API, at the commit. */
  readonly api: HubApi;
  readonly #hub: HubSettings;
  readonly #reference: HubReference;
  readonly #cache: RepoCache;
  readonly #commit: string;
  readonly #onProgress: (progress: DownloadProgress) => void;
  #progress: DownloadProgress = { done: 0, total: 0, received: 0, waiting: "" };

  /**
   * Asks for nothing yet.
   *
   * @param hub Where and as whom to ask.
   * @param reference The repository.
   * @param cache Its part of the cache.
   * @param commit The commit.
   * @param onProgress Told often while bytes are on their way.
   */
  constructor(
    hub: HubSettings,
    reference: HubReference,
    cache: RepoCache,
    commit: string,
    onProgress: (progress: DownloadProgress) => void,
  ) {
    this.#hub = hub;
    this.#reference = reference;
    this.#cache = cache;
    this.#commit = commit;
    this.#onProgress = onProgress;
    this.api = new HubApi(hub, { ...reference, revision: commit }, this.#patience(""));
  }

  /**
   * Brings files here, unless they are.
   *
   * @param entries The files.
   * @throws {HubError} When the hub refuses them or cannot be reached.
   * @throws {UserError} When they arrive spoilt, or the disk has no room.
   */
  async get(entries: readonly HubEntry[]): Promise<void> {
    this.#progress = { ...this.#progress, done: 0, total: entries.reduce((sum, { size }) => sum + size, 0) };
    await this.#requireRoom(entries);
    for (const entry of entries) await this.#getOne(entry);
  }

  async #getOne(entry: HubEntry): Promise<void> {
    const { path, etag, size } = entry;
    if (await exists(`${this.#cache.snapshot(this.#commit)}/${path}`)) return this.#advance(size, 0);
    const place = await this.#cache.claim(etag);
    if (await exists(place.blob)) {
      this.#advance(size, 0);
    } else {
      const file = new RemoteFile(this.#hub, this.#reference, this.#commit, entry);
      await download(file, etag, place, this.#patience(path), (here, received) => this.#advance(here, received));
    }
    await this.#cache.place(etag, this.#commit, path);
  }

  #advance(here: number, received: number): void {
    const { done, total, received: before } = this.#progress;
    this.#progress = { done: done + here, total, received: before + received, waiting: "" };
    this.#onProgress(this.#progress);
  }

  #patience(path: string): Patience {
    const subject = writeReference(this.#reference, path);
    return new Patience(this.#hub, subject, undefined, (waiting) => this.#onProgress({ ...this.#progress, waiting }));
  }

  /** Refuses what would fill the disk after an hour. */
  async #requireRoom(entries: readonly HubEntry[]): Promise<void> {
    const { cache } = this.#hub;
    let needed = 0;
    for (const { etag, path, size } of entries) {
      if (await exists(`${this.#cache.snapshot(this.#commit)}/${path}`)) continue;
      const { blob } = await this.#cache.claim(etag);
      const part = await stat(`${blob}.incomplete`).catch(() => ({ size: 0 }));
      if (!await exists(blob)) needed += Math.max(0, size - part.size);
    }
    let free: number;
    try {
      await mkdir(cache, { recursive: true });
      const { bavail, bsize } = await statfs(cache);
      free = bavail * bsize;
    } catch (error) {
      throw fileError("write", cache, error);
    }
    if (free >= needed) return;
    const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;
    throw new UserError({
      action: `download ${writeReference(this.#reference)}`,
      requirement: `${cache} must have room for ${gigabytes(needed)} more`,
      found: `it has ${gigabytes(free)}`,
      remedy: "free some space, or set HF_HUB_CACHE to a directory on a larger disk",
    });
  }
}
