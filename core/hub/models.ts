/**
 * Models of the hub as local directories.
 * @module
 */

import { mkdir, stat, statfs } from "node:fs/promises";
import { basename } from "node:path";
import { UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";
import { weightFiles, WEIGHTS_INDEX, WHOLE_WEIGHTS } from "../files/checkpoint_index.ts";
import { exists } from "../files/exists.ts";
import { HubApi, type HubEntry } from "./api.ts";
import { RepoCache } from "./cache.ts";
import { download } from "./download.ts";
import { Patience } from "./patience.ts";
import { type HubReference, isCommit, parseReference, writeReference } from "./reference.ts";
import { HubError, missingFile } from "./refusal.ts";
import { RemoteFile } from "./remote_file.ts";
import { type HubSettings, hubSettings } from "./settings.ts";

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

/** A model of the hub that lies here. */
export interface HubModel {
  /** The directory with config.json, the tokenizer and all weights. */
  readonly directory: string;
  /** The repository's name without its owner. */
  readonly name: string;
  /** A reference that will always mean exactly these files: `hf:owner/name@COMMIT`. */
  readonly pinned: string;
}

const CONFIG = "config.json";
const TOKENIZER = "tokenizer.json";
/** The next two are absent from some repositories. */
const TOKENIZER_CONFIG = "tokenizer_config.json";
const CHAT_TEMPLATE = "chat_template.jinja";

/**
 * Looks at a model's config.json as soon as that is here.
 *
 * @param json The file's bytes.
 * @param path What to call it in messages.
 * @throws {UserError} When the model is of no use.
 */
export type ConfigCheck = (json: Uint8Array, path: string) => void;

/**
 * Brings a model here, into Hugging Face's own cache: config.json, the tokenizer with its template of chats and the safetensors, nothing else. A
 * branch or tag is looked up each time; what is here already serves when the hub cannot be asked. A commit needs no look-up.
 *
 * All shards come, whatever layers are wanted: a snapshot then serves every later run, and other programs.
 *
 * @param text `hf:owner/name` or `hf:owner/name@revision`.
 * @param check Refuses a model before its weights are fetched.
 * @param onProgress Told often while bytes are on their way.
 * @returns Where it is.
 * @throws {UsageError} When the reference is malformed.
 * @throws {HubError} When the hub has no such model, refuses it, or cannot be reached.
 * @throws {UserError} When the check refuses it, it arrives spoilt, or the disk has no room.
 */
export async function fetchModel(
  text: string,
  check: ConfigCheck,
  onProgress: (progress: DownloadProgress) => void = () => {},
): Promise<HubModel> {
  const hub = hubSettings(), reference = parseReference(text, "model"), cache = new RepoCache(hub, reference);
  const at = (commit: string) => ({
    directory: cache.snapshot(commit),
    name: basename(reference.repo),
    pinned: writeReference({ ...reference, revision: commit }),
  });
  const known = await cache.commitOf(reference.revision);
  const kept = known !== null && await isComplete(cache.snapshot(known)) ? known : null;
  if (kept !== null && (hub.isOffline || isCommit(reference.revision))) return at(kept);
  if (hub.isOffline) throw notHere(hub, reference);
  const commit = isCommit(reference.revision) ? reference.revision : await lookUp(hub, reference, kept);
  if (!await isComplete(cache.snapshot(commit))) {
    await new ModelDownload(hub, reference, cache, commit, check, onProgress).run();
  }
  if (commit !== kept) await cache.remember(reference.revision, commit);
  return at(commit);
}

/** Whether a snapshot has all that a model needs; a tokenizer_config.json may be missing from the repository too. */
async function isComplete(directory: string): Promise<boolean> {
  if (!await exists(`${directory}/${CONFIG}`)) return false;
  for (const name of [TOKENIZER, ...await weightFiles(directory)]) {
    if (!await exists(`${directory}/${name}`)) return false;
  }
  return true;
}

function notHere({ cache }: HubSettings, reference: HubReference): HubError {
  return new HubError("unreachable", {
    action: `fetch ${writeReference(reference)}`,
    requirement: `HF_HUB_OFFLINE is set and all of its files must lie in ${cache}`,
    found: "some are missing",
    remedy: "unset HF_HUB_OFFLINE, or set HF_HOME to the directory that holds them",
  });
}

/** The commit of a branch or tag; what is kept stands in for a hub that does not answer, which is not waited for then. */
async function lookUp(hub: HubSettings, reference: HubReference, kept: string | null): Promise<string> {
  const patience = new Patience(hub, writeReference(reference), kept === null ? undefined : 1);
  try {
    return await new HubApi(hub, reference, patience).commit();
  } catch (error) {
    if (kept !== null && error instanceof HubError && error.reason !== "missing") return kept;
    throw error;
  }
}

/** The download of what a snapshot lacks. */
class ModelDownload {
  readonly #hub: HubSettings;
  readonly #reference: HubReference;
  readonly #cache: RepoCache;
  readonly #commit: string;
  readonly #check: ConfigCheck;
  readonly #onProgress: (progress: DownloadProgress) => void;
  readonly #entries = new Map<string, HubEntry>();
  #progress: DownloadProgress = { done: 0, total: 0, received: 0, waiting: "" };

  constructor(
    hub: HubSettings,
    reference: HubReference,
    cache: RepoCache,
    commit: string,
    check: ConfigCheck,
    onProgress: (progress: DownloadProgress) => void,
  ) {
    this.#hub = hub;
    this.#reference = reference;
    this.#cache = cache;
    this.#commit = commit;
    this.#check = check;
    this.#onProgress = onProgress;
  }

  /** The smallest files first: they tell whether the large ones are of use. */
  async run(): Promise<void> {
    const api = new HubApi(this.#hub, { ...this.#reference, revision: this.#commit }, this.#patience(""));
    for (const entry of await api.files("", false)) this.#entries.set(entry.path, entry);
    const present = (name: string) => this.#entries.has(name) ? [name] : [];
    // Where a repository has both, the whole file counts.
    const whole = present(WHOLE_WEIGHTS);
    await this.#get([CONFIG, ...whole.length > 0 ? [] : present(WEIGHTS_INDEX)]);
    const directory = this.#cache.snapshot(this.#commit);
    this.#check(await Deno.readFile(`${directory}/${CONFIG}`), `${writeReference(this.#reference)}/${CONFIG}`);
    await this.#get([
      TOKENIZER,
      ...present(TOKENIZER_CONFIG),
      ...present(CHAT_TEMPLATE),
      ...whole.length > 0 ? whole : await weightFiles(directory),
    ]);
  }

  async #get(names: readonly string[]): Promise<void> {
    const entries = names.map((name) => {
      const entry = this.#entries.get(name);
      if (entry === undefined) throw missingFile(this.#hub, this.#reference, name);
      return entry;
    });
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
