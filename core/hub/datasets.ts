/**
 * The text files of a dataset repository, read in place by ranges.
 * @module
 */

import type { ByteSource } from "../files/byte_source.ts";
import { NAMED_ENDINGS, searchedFormatOf, TEXT_ENDINGS, textFormatOf } from "../files/text_formats.ts";
import { HubApi, type HubEntry } from "./api.ts";
import { Patience } from "./patience.ts";
import { RangeSource } from "./range_source.ts";
import { type HubReference, isCommit, parseReference, writeReference } from "./reference.ts";
import { HubError, missingFile } from "./refusal.ts";
import { RemoteFile } from "./remote_file.ts";
import { type HubSettings, hubSettings } from "./settings.ts";

/** A file of a dataset. */
export interface HubFile {
  /** Its path in the repository. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Opens it; nothing is fetched before the first read. */
  open(): Promise<ByteSource>;
}

/**
 * Lists the files of a dataset that hold text.
 *
 * @param text `hf:owner/name`, with or without `@revision`, with or without `/folder` or `/file.parquet`. A revision that is no
 * commit may mean other files tomorrow: see {@link pinDataset}.
 * @returns The files with the ending of a text format, sorted by path, all of one commit, and the paths of the others.
 * @throws {UsageError} When the reference is malformed.
 * @throws {HubError} When the hub has no such dataset or path, refuses it, or cannot be reached.
 */
export async function listDataset(text: string): Promise<{ files: HubFile[]; others: string[] }> {
  const hub = hubSettings(), reference = parseReference(text, "dataset");
  const commit = await commitOf(hub, reference);
  const api = new HubApi(hub, { ...reference, revision: commit }, new Patience(hub, writeReference(reference)));
  const all = await entriesAt(api, hub, reference);
  const isNamed = all.length === 1 && all[0].path === reference.path;
  const formatOf = isNamed ? textFormatOf : searchedFormatOf;
  const entries = all.filter(({ path }) => formatOf(path) !== undefined);
  const others = all.filter((entry) => !entries.includes(entry)).map(({ path }) => path);
  if (entries.length === 0) {
    throw new HubError("missing", {
      action: `read ${writeReference(reference)}`,
      requirement: isNamed ? `text files end in ${NAMED_ENDINGS}` : `it must hold files that end in ${TEXT_ENDINGS}`,
      found: isNamed ? "this one does not" : "it holds none",
      remedy: `give another folder, or try hf:${reference.repo}@refs/convert/parquet`,
    });
  }
  entries.sort((a, b) => a.path < b.path ? -1 : 1);
  const files = entries.map((entry) => ({
    path: entry.path,
    size: entry.size,
    open: () => Promise.resolve(new RangeSource(hub, new RemoteFile(hub, reference, commit, entry))),
  }));
  return { files, others };
}

/**
 * Finds the reference that will always mean what another one means today, for records of what was read.
 *
 * @param text A reference as for {@link listDataset}.
 * @returns The same with the commit as its revision.
 * @throws {UsageError} When the reference is malformed.
 * @throws {HubError} When the hub has no such dataset or revision, refuses it, or cannot be reached.
 */
export async function pinDataset(text: string): Promise<string> {
  const hub = hubSettings(), reference = parseReference(text, "dataset");
  return writeReference({ ...reference, revision: await commitOf(hub, reference) });
}

async function commitOf(hub: HubSettings, reference: HubReference): Promise<string> {
  if (hub.isOffline) {
    throw new HubError("unreachable", {
      action: `read ${writeReference(reference)}`,
      requirement: "a dataset is read over the network",
      found: "HF_HUB_OFFLINE is set",
      remedy: "unset it, or give --data files that lie on this machine",
    });
  }
  if (isCommit(reference.revision)) return reference.revision;
  return await new HubApi(hub, reference, new Patience(hub, writeReference(reference))).commit();
}

async function entriesAt(api: HubApi, hub: HubSettings, reference: HubReference): Promise<HubEntry[]> {
  const { path } = reference;
  if (path === "") return await api.files("", true);
  const found = await api.find(path);
  if (found === null) throw missingFile(hub, reference, path);
  return found === "folder" ? await api.files(path, true) : [found];
}
