/**
 * Models of the hub as local directories.
 * @module
 */

import { basename } from "node:path";
import { weightFiles, WEIGHTS_INDEX, WHOLE_WEIGHTS } from "../files/checkpoint_index.ts";
import { exists } from "../files/exists.ts";
import type { HubEntry } from "./api.ts";
import { RepoCache } from "./cache.ts";
import { type HubReference, isCommit, parseReference, writeReference } from "./reference.ts";
import { missingFile } from "./refusal.ts";
import { type DownloadProgress, lookUp, notHere, RepoDownload } from "./repo_download.ts";
import { type HubSettings, hubSettings } from "./settings.ts";

export type { DownloadProgress } from "./repo_download.ts";

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

/** The download of what a snapshot lacks. */
class ModelDownload {
  readonly #reference: HubReference;
  readonly #hub: HubSettings;
  readonly #directory: string;
  readonly #check: ConfigCheck;
  readonly #download: RepoDownload;
  readonly #entries = new Map<string, HubEntry>();

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
    this.#directory = cache.snapshot(commit);
    this.#check = check;
    this.#download = new RepoDownload(hub, reference, cache, commit, onProgress);
  }

  /** The smallest files first: they tell whether the large ones are of use. */
  async run(): Promise<void> {
    for (const entry of await this.#download.api.files("", false)) this.#entries.set(entry.path, entry);
    const present = (name: string) => this.#entries.has(name) ? [name] : [];
    // Where a repository has both, the whole file counts.
    const whole = present(WHOLE_WEIGHTS);
    await this.#get([CONFIG, ...whole.length > 0 ? [] : present(WEIGHTS_INDEX)]);
    const directory = this.#directory;
    this.#check(await Deno.readFile(`${directory}/${CONFIG}`), `${writeReference(this.#reference)}/${CONFIG}`);
    await this.#get([
      TOKENIZER,
      ...present(TOKENIZER_CONFIG),
      ...present(CHAT_TEMPLATE),
      ...whole.length > 0 ? whole : await weightFiles(directory),
    ]);
  }

  #get(names: readonly string[]): Promise<void> {
    return this.#download.get(names.map((name) => {
      const entry = this.#entries.get(name);
      if (entry === undefined) throw missingFile(this.#hub, this.#reference, name);
      return entry;
    }));
  }
}
