/**
 * The files of a text: found behind paths, folders and references to the hub, in their one order.
 * @module
 */
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, extname, join, resolve } from "node:path";
import { UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";
import { type ByteSource, openFile } from "../files/byte_source.ts";
import { isCompressed, NAMED_ENDINGS, searchedFormatOf, TEXT_ENDINGS, textFormatOf } from "../files/text_formats.ts";
import { isHubReference, parseReference, writeReference } from "../hub/reference.ts";
import type { DataPaths, NamedFile } from "./documents.ts";

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

/** How many files and folders that were not named were passed over, for what reason: `.csv`, `empty`, `hidden`. */
export type PassedOver = Readonly<Record<string, number>>;

/** The files of a text. */
export interface ListedFiles {
  /** Those that hold it, sorted by name. */
  readonly files: TextFile[];
  /** What lies beside them. */
  readonly passedOver: PassedOver;
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
export async function listTextFiles(paths: readonly string[]): Promise<ListedFiles> {
  const found = new Map<string, Omit<TextFile, "name">>(), passed = new Tally();
  for (const path of paths) {
    for (const [key, file] of isHubReference(path) ? await hubFiles(path, passed) : await localFiles(path, passed)) {
      if (file.isNamed || !found.has(key)) found.set(key, file);
    }
  }
  const files = [...found.values()];
  for (const { size, isNamed } of files) if (size === 0 && !isNamed) passed.add("empty");
  const bases = files.map(({ path }) => basename(path));
  const clash = new Set(bases).size < bases.length;
  const named = files.map((file, i) => ({ ...file, name: clash ? file.path : bases[i] }));
  return { files: named.sort((a, b) => a.name < b.name ? -1 : 1), passedOver: passed.counts };
}

/** Text is mostly compressed to more than this share of its bytes. */
const LEAST_COMPRESSED = 0.2;

/**
 * About how long a text is.
 *
 * @param data Where it lies.
 * @returns Bytes, of compressed files those that they may undo to; 0 for the embedded text.
 * @throws {UserError} As {@link listTextFiles}.
 */
export async function textBytes(data: DataPaths): Promise<number> {
  if (data === "builtin") return 0;
  const { files } = await listTextFiles(data);
  return files.reduce((sum, { size, format }) => sum + (isCompressed(format) ? size / LEAST_COMPRESSED : size), 0);
}

/** Counts by reason. */
class Tally {
  readonly #counts = new Map<string, number>();

  add(reason: string): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
  }

  /** The most frequent first. */
  get counts(): PassedOver {
    return Object.fromEntries([...this.#counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)));
  }
}

/** Why a file of a folder or a repository is not read: its ending. */
function endingOf(path: string): string {
  return extname(path).toLowerCase() || "without ending";
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

/** What a text is called. */
export function nameOfData(data: DataPaths): string {
  return data === "builtin" ? "State of the Union addresses" : [...new Set(data.map(nameOfPath))].join(", ");
}

/** What a text is called in reports: a file's or folder's name, a reference without its commit. */
export function nameOfPath(path: string): string {
  if (!isHubReference(path)) return basename(path);
  return writeReference({ ...parseReference(path, "dataset"), revision: "main" });
}

async function hubFiles(reference: string, passed: Tally): Promise<[key: string, Omit<TextFile, "name">][]> {
  const { listDataset } = await import("../hub/datasets.ts");
  const repository = parseReference(reference, "dataset");
  const { files, others } = await listDataset(reference);
  for (const path of others) passed.add(basename(path).startsWith(".") ? HIDDEN : endingOf(path));
  return files.map((file) => {
    const path = writeReference(repository, file.path);
    return [path, { path, size: file.size, format: textFormatOf(path)!, isNamed: false, open: () => file.open() }];
  });
}

async function localFiles(path: string, passed: Tally): Promise<[key: string, Omit<TextFile, "name">][]> {
  const files: [string, Omit<TextFile, "name">][] = [];
  for (const file of await expandFolder(path, passed)) {
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

async function expandFolder(path: string, passed: Tally): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [requireTextFile(path)];
    const files = await textFilesIn(path, new Set(), passed);
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
  const others = Object.keys(passed.counts).join(", ");
  throw new UserError({
    action: `read ${path}`,
    requirement: `the folder must hold files that end in ${TEXT_ENDINGS}`,
    found: `it holds none${others === "" ? "" : `, but ${others}`}`,
    remedy: "give another folder, or the files themselves",
  });
}

const HIDDEN = "hidden", NOWHERE = "linked to nowhere", CIRCLE = "linked in a circle", NO_FILE = "no ordinary file";

/**
 * The text files in a folder and in the folders inside, linked ones too; names that begin with a dot are passed over.
 *
 * @param folder The folder.
 * @param above The real paths of the folders that it lies in: a link to one of them would never end.
 * @param passed Counts what is no text.
 */
async function textFilesIn(folder: string, above: ReadonlySet<string>, passed: Tally): Promise<string[]> {
  const place = await realpath(folder), files: string[] = [];
  if (above.has(place)) {
    passed.add(CIRCLE);
    return files;
  }
  const within = new Set([...above, place]);
  // In their order, so that a file that is reached in two ways is called the same each time.
  for (const name of (await readdir(folder)).sort()) {
    const path = join(folder, name), info = await stat(path).catch(ifNowhere);
    if (name.startsWith(".")) passed.add(HIDDEN);
    else if (info === null) passed.add(NOWHERE);
    else if (info.isDirectory()) files.push(...await textFilesIn(path, within, passed));
    else if (!info.isFile()) passed.add(NO_FILE);
    else if (searchedFormatOf(name)) files.push(path);
    else passed.add(endingOf(name));
  }
  return files;
}

/** A link whose end is not there, or that is its own end, is no reason to refuse a folder. */
function ifNowhere(error: { code?: string }): null {
  if (error.code === "ENOENT" || error.code === "ELOOP") return null;
  throw error;
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
