/**
 * What the hub's API knows about a repository, through `@huggingface/hub`. Its requests go through {@link send}, which adds the
 * token: the library takes no token that does not begin with `hf_`, sends it wherever a listing's next page lies, and tries once.
 *
 * Files are not downloaded by the library: a slice of its blob takes a whole file for a range where a server ignores ranges, a
 * body that breaks off loses its cause, and what lies in Xet storage is fetched by a protocol that mirrors do not speak.
 * @module
 */

import { datasetInfo, type ListFileEntry, listFiles, modelInfo, type PathInfo, pathsInfo } from "@huggingface/hub";
import { UserError } from "../errors.ts";
import { asPassing, send } from "./http.ts";
import { Patience } from "./patience.ts";
import { type HubReference, isCommit, writeReference } from "./reference.ts";
import { refusal } from "./refusal.ts";
import type { HubSettings } from "./settings.ts";

/** A file as the hub lists it. */
export interface HubEntry {
  /** Its path in the repository. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** What the hub gives as its ETag: the SHA-256 of a large file (LFS, Xet), Git's SHA-1 of a small one; hexadecimal. */
  readonly etag: string;
}

/** Milliseconds until an answer of the API must be here. */
const ANSWER_MS = 60_000;

/** One repository's API. */
export class HubApi {
  readonly #hub: HubSettings;
  readonly #reference: HubReference;
  readonly #patience: Patience;
  readonly #options: { repo: { type: HubReference["kind"]; name: string }; hubUrl: string; fetch: typeof fetch };

  /**
   * Makes no request yet.
   *
   * @param hub Where and as whom to ask.
   * @param reference The repository; a commit as its revision makes all answers agree.
   * @param patience What to wait out.
   */
  constructor(hub: HubSettings, reference: HubReference, patience: Patience) {
    this.#hub = hub;
    this.#reference = reference;
    this.#patience = patience;
    this.#options = {
      repo: { type: reference.kind, name: reference.repo },
      hubUrl: hub.endpoint,
      fetch: (address, init) => this.#fetch(String(address), init),
    };
  }

  /**
   * Asks which commit the revision is.
   *
   * @returns The commit.
   * @throws {HubError} When there is no such repository or revision, or the hub does not answer.
   */
  commit(): Promise<string> {
    const { kind, repo: name, revision } = this.#reference;
    return this.#understand(async () => {
      const query = { ...this.#options, name, revision, additionalFields: ["sha" as const] };
      const { sha } = kind === "model" ? await modelInfo(query) : await datasetInfo(query);
      if (!isCommit(sha)) throw new TypeError(`the commit is "${sha}"`);
      return sha;
    });
  }

  /**
   * Lists a folder's files.
   *
   * @param folder The folder, "" for the repository itself.
   * @param recursive Whether the files of folders within count.
   * @returns The files, in the hub's order.
   * @throws {HubError} When there is no such folder, or the hub does not answer.
   */
  files(folder: string, recursive: boolean): Promise<HubEntry[]> {
    const path = folder.split("/").map(encodeURIComponent).join("/");
    return this.#understand(async () => {
      const entries: HubEntry[] = [];
      for await (const entry of listFiles({ ...this.#options, revision: this.#reference.revision, path, recursive })) {
        if (entry.type === "file") entries.push(entryOf(entry));
      }
      return entries;
    });
  }

  /**
   * Finds out what a path is.
   *
   * @param path A path in the repository.
   * @returns The file, "folder", or null when there is nothing of that name.
   * @throws {HubError} When the hub does not answer.
   */
  find(path: string): Promise<HubEntry | "folder" | null> {
    return this.#understand(async () => {
      const [found] = await pathsInfo({ ...this.#options, revision: this.#reference.revision, paths: [path] });
      if (found === undefined) return null;
      return found.type === "directory" ? "folder" : entryOf(found);
    });
  }

  /** Answers whole, so that what the library cannot read of one is not the network's fault. */
  #fetch(address: string, init?: RequestInit): Promise<Response> {
    return this.#patience.outlast(async () => {
      const response = await send(this.#hub, address, { ...init, signal: AbortSignal.timeout(ANSWER_MS) });
      if (!response.ok) throw await refusal(this.#hub, this.#reference, "", response);
      try {
        const { status, headers } = response, body = await response.text();
        this.#patience.renew();
        return new Response(body, { status, headers });
      } catch (error) {
        throw asPassing(error);
      }
    });
  }

  async #understand<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (error instanceof UserError || !(error instanceof Error)) throw error;
      throw new UserError({
        action: `fetch ${writeReference(this.#reference)}`,
        requirement: `${this.#hub.endpoint} must answer as the Hugging Face hub does`,
        found: `it does not (${error.message})`,
        remedy: "check HF_ENDPOINT, and whether the network asks for a login",
      });
    }
  }
}

function entryOf({ path, size, oid, lfs }: ListFileEntry | PathInfo): HubEntry {
  const etag = (lfs?.oid ?? oid)?.toLowerCase() ?? "";
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag)) throw new TypeError(`the hash of ${path} is "${etag}"`);
  if (!Number.isSafeInteger(size) || size < 0) throw new TypeError(`the size of ${path} is ${size}`);
  return { path, size, etag };
}
