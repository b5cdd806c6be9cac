/**
 * The files of a text: found behind paths, folders and references to the hub, in their one order.
 * @module
 */
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, extname, join, resolve } from "node:path";
import { UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";
import { type ByteSource, openFile } from "../files/byte_source.ts";
import { NAMED_ENDINGS, searchedFormatOf, TEXT_ENDINGS, textFormatOf } from "../files/text_formats.ts";
import { isHubReference, parseReference, writeReference } from "../hub/reference.ts";
import type { NamedFile } from "./documents.ts";

/** A file that holds text. */
export interface TextFile extends NamedFile {
  /** Where it lies, for messages. */
  readonly path: string;
  /** Bytes, as they are stored. */
  readonly size: number;
  /** Whether it was named itself, and not found in a folder or a repository. */
  readonly isNamed: boolean;
  /** Opens it; to be closed. */
  open(): Promise<ByteSource>;
}

/**
 * Finds the files behind paths, sorted by name whatever order they were given in. A file reached twice counts once, so that
 * no text can be in training and held out at the same time. A folder stands for the text files in it and in the folders
 * inside; names that begin with a dot are passed over.
 *
 * @param paths Files, folders, `hf:` references.
 * @returns The files, named by their base names, or by their paths where base names clash.
 * @throws {UserError} for a path that is missing, has another ending, or holds no text files.
 */
export async function listTextFiles(paths: readonly string[]): Promise<TextFile[]> {
  const found = new Map<string, Omit<TextFile, "name">>();
  for (const path of paths) {
    for (const [key, file] of isHubReference(path) ? await hubFiles(path) : await localFiles(path)) {
      if (file.isNamed || !found.has(key)) found.set(key, file);
    }
  }
  const files = [...found.values()];
  const bases = files.map(({ path }) => basename(path));
  const clash = new Set(bases).size < bases.length;
  return files.map((file, i) => ({ ...file, name: clash ? file.path : bases[i] }))
    .sort((a, b) => a.name < b.name ? -1 : 1);
}

/**
 * Paths as they are to be recorded, so that they mean the same from every directory and at any time.
 *
 * @param paths Files, folders, `hf:` references.
 * @returns Absolute paths, and references that name a commit.
 * @throws {UserError} when a reference is malformed or the hub cannot be asked.
 */
export async function pinPaths(paths: readonly string[]): Promise<string[]> {
  const { pinDataset } = await import("../hub/datasets.ts");
  return await Promise.all(paths.map((path) => isHubReference(path) ? pinDataset(path) : resolve(path)));
}

/** What a text is called in reports: a file's or folder's name, a reference without its commit. */
export function nameOfPath(path: string): string {
  if (!isHubReference(path)) return basename(path);
  return writeReference({ ...parseReference(path, "dataset"), revision: "main" });
}

async function hubFiles(reference: string): Promise<[key: string, Omit<TextFile, "name">][]> {
  const { listDataset } = await import("../hub/datasets.ts");
  const repository = parseReference(reference, "dataset");
  return (await listDataset(reference)).map((file) => {
    const path = writeReference(repository, file.path);
    return [path, { path, size: file.size, format: textFormatOf(path)!, isNamed: false, open: () => file.open() }];
  });
}

async function localFiles(path: string): Promise<[key: string, Omit<TextFile, "name">][]> {
  const files: [string, Omit<TextFile, "name">][] = [];
  for (const file of await expandFolder(path)) {
    const isNamed = file === path;
    try {
      const key = await realpath(file), { size } = await stat(file);
      files.push([key, { path: file, size, format: textFormatOf(file)!, isNamed, open: () => openFile(file) }]);
    } catch (error) {
      throw fileError("read", file, error);
    }
  }
  return files;
}

async function expandFolder(path: string): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [requireTextFile(path)];
    const files = await textFilesIn(path, new Set());
    if (files.length > 0) return files;
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOENT") throw fileError("read", path, error);
    throw new UserError({
      action: `read ${path}`,
      requirement: "the file must exist",
      found: "there is none",
      remedy: "check the path",
    });
  }
  throw new UserError({
    action: `read ${path}`,
    requirement: `the folder must hold files that end in ${TEXT_ENDINGS}`,
    found: "it holds none",
    remedy: "give another folder, or the files themselves",
  });
}

/**
 * The text files in a folder and in the folders inside, linked ones too; names that begin with a dot are passed over.
 *
 * @param folder The folder.
 * @param above The real paths of the folders that it lies in: a link to one of them would never end.
 */
async function textFilesIn(folder: string, above: ReadonlySet<string>): Promise<string[]> {
  const place = await realpath(folder), files: string[] = [];
  if (above.has(place)) return files;
  const within = new Set([...above, place]);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.name.startsWith(".")) continue;
    const path = join(folder, entry.name);
    // A link that leads nowhere is no text, unless it is called one: then it is missing.
    const isFolder = entry.isDirectory() ||
      entry.isSymbolicLink() && await stat(path).then((info) => info.isDirectory(), () => false);
    if (isFolder) files.push(...await textFilesIn(path, within));
    else if (searchedFormatOf(entry.name)) files.push(path);
  }
  return files;
}

function requireTextFile(path: string): string {
  if (textFormatOf(path)) return path;
  throw new UserError({
    action: `read ${path}`,
    requirement: `text files end in ${NAMED_ENDINGS}`,
    found: `this one ends in "${extname(path)}"`,
    remedy: "rename or convert it",
  });
}
