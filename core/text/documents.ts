/**
 * Documents: the texts that contexts are made of, read from files or from what is embedded.
 * @module
 */
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { builtinDocuments } from "../builtin/text.ts";
import { UserError } from "../errors.ts";

/** One text with the name that samples and reports call it by. */
export interface Document {
  /** `speech.txt`, `corpus.jsonl:12` (line 12), or either with `#3`: its third piece (see split.ts). */
  name: string;
  /** The text; never empty. */
  text: string;
}

/** Where documents come from: the embedded text, or paths of `.txt` files, `.jsonl` files and folders of them. */
export type DataPaths = "builtin" | string[];

/** A text as long as V8's longest string cannot be decoded. */
const MAX_TEXT_BYTES = 2 ** 29 - 25;
const LINE_FEED = 0x0a;

/**
 * Reads all documents in their one order: files sorted by name whatever order they were given in, lines in file order.
 * A file reached twice counts once, so that no text can be in training and held out at the same time.
 *
 * - `.txt` is one document.
 * - `.jsonl` is one document per line, the string under "text"; blank lines and empty texts are left out.
 * - A folder is its own `.txt` and `.jsonl` files, without those of folders inside.
 *
 * @throws {UserError} for a missing path, another extension, a line without text, bytes that are not UTF-8, and for a
 * file or folder that holds no text.
 */
export async function readDocuments(data: DataPaths): Promise<Document[]> {
  if (data === "builtin") return await builtinDocuments();
  const documents: Document[] = [];
  for (const { path, name } of await listFiles(data)) {
    const bytes = await readBytes(path);
    const read = extname(path) === ".jsonl" ? readLines(bytes, path, name) : [{ name, text: decode(bytes, path) }];
    const filled = read.filter((document) => document.text.length > 0);
    if (filled.length === 0) throw new UserError(`Cannot read ${path}: it must hold text, it is empty`);
    for (const document of filled) documents.push(document);
  }
  return documents;
}

/** The files behind the paths, sorted by name. The name is the base name, or the path where base names clash. */
async function listFiles(paths: string[]): Promise<{ path: string; name: string }[]> {
  const found = new Map<string, string>();
  for (const path of paths) {
    for (const file of await expandFolder(path)) {
      const real = await realpath(file);
      if (!found.has(real)) found.set(real, file);
    }
  }
  const files = [...found.values()];
  const bases = files.map((file) => basename(file));
  const clash = new Set(bases).size < bases.length;
  return files.map((path, i) => ({ path, name: clash ? path : bases[i] })).sort((a, b) => a.name < b.name ? -1 : 1);
}

async function expandFolder(path: string): Promise<string[]> {
  const info = await stat(path).catch((error) => {
    throw cannotRead(path, error);
  });
  if (!info.isDirectory()) {
    if (isTextFile(path)) return [path];
    throw new UserError(
      `Cannot read ${path}: text files end in .txt or .jsonl, this one ends in "${
        extname(path)
      }"; rename or convert it`,
    );
  }
  const names = await readdir(path).catch((error) => {
    throw cannotRead(path, error);
  });
  const files = names.filter(isTextFile);
  if (files.length === 0) {
    throw new UserError(`Cannot read ${path}: the folder must hold .txt or .jsonl files, it holds none`);
  }
  return files.map((name) => join(path, name));
}

function isTextFile(path: string): boolean {
  return [".txt", ".jsonl"].includes(extname(path));
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw cannotRead(path, error);
  }
}

function cannotRead(path: string, error: unknown): UserError {
  const code = (error as { code?: string }).code;
  if (code === "ENOENT") {
    return new UserError(`Cannot read ${path}: the file must exist, there is none; check the path`);
  }
  return new UserError(`Cannot read ${path}: ${error instanceof Error ? error.message : error}`);
}

/** Decodes UTF-8 without its byte-order mark. `where` names the file, and the line where there is one. */
function decode(bytes: Uint8Array, where: string): string {
  if (bytes.length > MAX_TEXT_BYTES) {
    throw new UserError(
      `Cannot read ${where}: one document holds at most ${MAX_TEXT_BYTES} bytes, this one has ${bytes.length}; ` +
        "cut it into several files",
    );
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(
      `Cannot read ${where}: text must be valid UTF-8, this is not; convert it, for example with iconv`,
    );
  }
}

function readLines(bytes: Uint8Array, path: string, name: string): Document[] {
  const documents: Document[] = [];
  let start = 0;
  for (let line = 1; start < bytes.length; line++) {
    const found = bytes.indexOf(LINE_FEED, start);
    const end = found === -1 ? bytes.length : found;
    const where = `${path} line ${line}`;
    const json = decode(bytes.subarray(start, end), where);
    if (json.trim() !== "") documents.push({ name: `${name}:${line}`, text: textOfLine(json, where) });
    start = end + 1;
  }
  return documents;
}

function textOfLine(json: string, where: string): string {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new UserError(`Cannot read ${where}: each line must be one JSON object, this one is not valid JSON`);
  }
  const text = (value as { text?: unknown } | null)?.text;
  if (typeof text === "string") return text;
  throw new UserError(
    `Cannot read ${where}: each line must have a string under "text", this one has ${
      text === undefined ? "none" : JSON.stringify(text).slice(0, 40)
    }`,
  );
}
