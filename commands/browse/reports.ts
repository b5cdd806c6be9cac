/**
 * The directories of reports that `mtc browse` was given. Of them it shows pages (.md) and pictures (.png), and only what lies in them itself:
 * a name that is asked for is looked up among those that are there, and a link to elsewhere is passed over.
 * @module
 */

import { lstat, readdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { UserError } from "../../core/errors.ts";
import { fileError } from "../../core/files/atomic.ts";
import { isFileName, readPage } from "../../reports/browser/report_page.ts";
import type { ServedPage, ServedReports, ServedTranscoder } from "../../reports/browser/served.ts";
import { messageOf } from "./runs.ts";

/** The largest page and the largest picture, in bytes; those that mtc writes take a twentieth of it. */
const LARGEST_PAGE = 4e6, LARGEST_PICTURE = 5e7;
/** Where an analysis report names its run, and where a page its title: in its first lines. */
const BEGINNING = 4096;

/** A page, as far as the list tells. */
interface KnownPage {
  readonly stamp: string;
  readonly title: string;
  /** The directory of the transcoder that it is about, as it is written there; null where none is named. */
  readonly about: string | null;
}

/** Looks into the directories again and again, as reports are written. */
export class BrowsedReports {
  readonly #directories: readonly string[];
  readonly #keys: readonly string[];
  readonly #pages = new Map<string, KnownPage>();

  /**
   * Looks at nothing yet.
   *
   * @param directories The directories; one that is missing is said to be.
   */
  constructor(directories: readonly string[]) {
    this.#directories = directories;
    this.#keys = directories.map((path, i) => `${i + 1}-${basename(resolve(path))}`);
  }

  /**
   * Tells what there is.
   *
   * @returns One entry for each directory, and where a transcoder's report is.
   */
  async list(): Promise<{
    readonly reports: readonly ServedReports[];
    readonly reportOf: (path: string) => ServedTranscoder["report"];
  }> {
    const about: { readonly report: string; readonly file: string; readonly run: string }[] = [];
    const reports = await Promise.all(this.#directories.map(async (path, i): Promise<ServedReports> => {
      const key = this.#keys[i];
      try {
        const pages = await this.#pagesOf(path);
        for (const { file, known } of pages) {
          if (known.about !== null) about.push({ report: key, file, run: known.about });
        }
        const problem = pages.length > 0
          ? null
          : `${path} holds no report yet; \`mtc report --out ${path}\` writes them`;
        return { key, path, pages: pages.map(({ file, known: { title } }) => ({ file, title })), problem };
      } catch (error) {
        return { key, path, pages: [], problem: messageOf(error) };
      }
    }));
    return { reports, reportOf: (path) => reportAmong(about, path) };
  }

  /**
   * Reads a page.
   *
   * @param key The directory's key.
   * @param file The page's name.
   * @returns What it holds.
   * @throws {UserError} When there is none, or it is too large.
   */
  async page(key: string, file: string): Promise<ServedPage> {
    const path = await this.#fileOf(key, file, ".md", LARGEST_PAGE);
    try {
      const { title, nodes } = readPage(await Deno.readTextFile(path));
      return { title: title === "" ? file : title, nodes };
    } catch (error) {
      throw error instanceof RangeError
        ? new UserError({ action: `show ${path}`, found: "it is nested too deeply", remedy: "open it in an editor" })
        : fileError("read", path, error);
    }
  }

  /**
   * Reads a picture.
   *
   * @param key The directory's key.
   * @param file The picture's name.
   * @returns Its bytes.
   * @throws {UserError} When there is none, or it is too large.
   */
  async picture(key: string, file: string): Promise<Uint8Array<ArrayBuffer>> {
    const path = await this.#fileOf(key, file, ".png", LARGEST_PICTURE);
    return await Deno.readFile(path).catch((error) => Promise.reject(fileError("read", path, error)));
  }

  async #fileOf(key: string, file: string, ending: string, largest: number): Promise<string> {
    const directory = this.#directories[this.#keys.indexOf(key)];
    const none = new UserError({
      action: `show ${file}`,
      found: "there is no such file",
      remedy: "go back to the reports",
    });
    if (directory === undefined || !isFileName(file, ending)) throw none;
    const path = join(directory, file), info = await lstat(path).catch(() => null);
    if (!info?.isFile()) throw none;
    if (info.size <= largest) return path;
    throw new UserError({
      action: `show ${path}`,
      requirement: `it must have at most ${largest / 1e6} MB`,
      found: `it has ${Math.ceil(info.size / 1e6)}`,
      remedy: "open it with another program",
    });
  }

  /** The pages of a directory, index.md first. */
  async #pagesOf(directory: string): Promise<{ readonly file: string; readonly known: KnownPage }[]> {
    const names = await readdir(directory).catch((error) => {
      if (error.code === "ENOENT") return [];
      throw fileError("read", directory, error);
    });
    const files = names.filter((name) => isFileName(name, ".md"))
      .sort((a, b) =>
        Number(b === "index.md") - Number(a === "index.md") || a.localeCompare(b, "en", { numeric: true })
      );
    const pages = await Promise.all(files.map(async (file) => {
      const path = join(directory, file), info = await lstat(path).catch(() => null);
      if (!info?.isFile()) return [];
      const stamp = `${info.mtimeMs} ${info.size} ${info.ino}`, known = this.#pages.get(path);
      if (known?.stamp === stamp) return [{ file, known }];
      const read = { stamp, ...await beginningOf(path, file) };
      this.#pages.set(path, read);
      return [{ file, known: read }];
    }));
    return pages.flat();
  }
}

async function beginningOf(path: string, file: string): Promise<Pick<KnownPage, "title" | "about">> {
  const bytes = new Uint8Array(BEGINNING);
  using opened = await Deno.open(path);
  const text = new TextDecoder().decode(bytes.subarray(0, await opened.read(bytes) ?? 0));
  const title = readPage(/^# .*$/m.exec(text)?.[0] ?? "").title;
  const about = file.endsWith("_analysis_report.md") ? /\*\*Run:\*\* `([^`]+)`/.exec(text)?.[1] ?? null : null;
  return { title: title === "" ? file : title, about };
}

/** A report names its run by a path of its time; where that leads elsewhere now, run and transcoder are known by their names. */
function reportAmong(
  pages: readonly { readonly report: string; readonly file: string; readonly run: string }[],
  path: string,
): ServedTranscoder["report"] {
  const names = (of: string) => join(basename(dirname(resolve(of))), basename(of));
  const found = pages.find(({ run }) => resolve(run) === resolve(path)) ??
    pages.find(({ run }) => names(run) === names(path));
  return found ? { report: found.report, file: found.file } : null;
}
