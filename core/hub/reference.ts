/**
 * How a repository of the Hugging Face hub is named: `hf:owner/name`, `hf:owner/name@revision`, `hf:owner/name@revision/path`.
 * @module
 */

import { UsageError } from "../errors.ts";

/** What a repository holds. */
export type RepoKind = "model" | "dataset";

/** A repository of the hub, at a revision, and what lies in it. */
export interface HubReference {
  /** What it holds. */
  readonly kind: RepoKind;
  /** `owner/name` */
  readonly repo: string;
  /** A branch, tag or commit; `main` where none is given. */
  readonly revision: string;
  /** A file or folder in it, without a slash at either end; "" for all of it. */
  readonly path: string;
}

const PREFIX = "hf:";
/** The branches whose names have slashes; other revisions end at the first one. */
const REVISION = String.raw`refs/convert/[\w-]+|refs/pr/\d+|[^/@\s]+`;
const REFERENCE = new RegExp(String.raw`^hf:([\w.-]+/[\w.-]+?)(?:@(${REVISION}))?(?:/(.*))?$`);
const COMMIT = /^[0-9a-f]{40}$/;

/**
 * Tells a reference to the hub from a path.
 *
 * @param text The value of `--model` or `--data`.
 * @returns Whether it begins with `hf:`.
 */
export function isHubReference(text: string): boolean {
  return text.startsWith(PREFIX);
}

/**
 * Whether a revision is a commit, which never changes.
 *
 * @param revision A branch, tag or commit.
 * @returns Whether it is 40 hexadecimal digits.
 */
export function isCommit(revision: string): boolean {
  return COMMIT.test(revision);
}

/**
 * Reads a reference.
 *
 * @param text For example `hf:google/gemma-2-2b` or `hf:HuggingFaceFW/fineweb-edu@main/sample/10BT`.
 * @param kind What the repository is to hold; a model is named without a path.
 * @param mayHavePath Whether a part of it may be named.
 * @returns Its parts.
 * @throws {UsageError} When it is not written like that.
 */
export function parseReference(text: string, kind: RepoKind, mayHavePath = kind === "dataset"): HubReference {
  const form = !mayHavePath ? "hf:OWNER/NAME or hf:OWNER/NAME@REVISION" : "hf:OWNER/NAME[@REVISION][/FOLDER/OR/FILE]";
  const fail = (requirement: string, found: string) => {
    const example = kind === "model" ? "hf:google/gemma-2-2b" : "hf:HuggingFaceFW/fineweb-edu";
    return new UsageError({ action: `look for "${text}"`, requirement, found, remedy: `write it like ${example}` });
  };
  const [, repo, revision = "main", rest = ""] = REFERENCE.exec(text) ?? [];
  const path = rest.replace(/\/+$/, "");
  if (repo === undefined || repo.split("/").some(isStrange) || revision.startsWith(".")) {
    throw fail(`a ${kind} of the Hugging Face hub is named ${form}`, "this is not");
  }
  if (!mayHavePath && path !== "") throw fail("a model is a whole repository", `"${path}" is a part of one`);
  if (path.split("/").includes("..")) throw fail("its path must stay inside the repository", "it leads out of it");
  return { kind, repo, revision, path };
}

/** What no name on the hub is, and no directory of the cache should be called. */
function isStrange(name: string): boolean {
  return name.startsWith(".") || name.endsWith(".") || name.includes("--") || name.includes("..");
}

/**
 * Writes a reference for messages and records.
 *
 * @param reference The repository.
 * @param path A file in it, where not the reference's own path is meant.
 * @returns For example `hf:google/gemma-2-2b/config.json`; the revision is left out where it is `main`.
 */
export function writeReference({ repo, revision, path: own }: HubReference, path: string = own): string {
  return `${PREFIX}${repo}${revision === "main" ? "" : `@${revision}`}${path === "" ? "" : `/${path}`}`;
}
