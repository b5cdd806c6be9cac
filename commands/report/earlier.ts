/**
 * What an earlier report left in a directory. Its files are replaced by those of the next one; those that have no place in that one any more are
 * known by the earlier index and removed, so that nobody takes them for its.
 * @module
 */

import { lstat, stat } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../../core/errors.ts";
import { fileError } from "../../core/files/atomic.ts";
import { nameInTheEnd, removeFiles } from "../../core/files/temporary.ts";
import { isIndexPage } from "../../reports/markdown/index_page.ts";

const INDEX = "index.md";

/** Files of reports bear such names; what else is linked from them is somebody's own. */
const REPORT_NAME = /^(layer|LAYER|sweep_).*\.(md|png)$/;

/** No file of a report takes that long to write. */
const STALE_MS = 60_000;

/**
 * Finds the files of an earlier report: those that its index links, and those that the pages link that it links.
 *
 * @param out Where reports go.
 * @returns Their names, as far as they are there.
 * @throws {UserError} When the index.md there is none of a report, or cannot be read.
 */
export async function earlierFiles(out: string): Promise<string[]> {
  const index = await pageAt(join(out, INDEX));
  if (index === null) return [];
  if (!isIndexPage(index)) {
    throw new UserError({
      action: `write reports to ${out}`,
      requirement: "an index.md there must be that of an earlier report",
      found: "it is something else",
      remedy: "choose another --out",
    });
  }
  const found = new Set<string>();
  for (const page of linkedFrom(index)) {
    found.add(page);
    const text = page.endsWith(".md") ? await pageAt(join(out, page)) : null;
    for (const name of linkedFrom(text ?? "")) found.add(name);
  }
  const names = [...found].sort();
  const areThere = await Promise.all(
    names.map((name) => lstat(join(out, name)).then((info) => info.isFile(), () => false)),
  );
  return names.filter((_, i) => areThere[i]);
}

/** The text of a page; null where there is none. */
async function pageAt(path: string): Promise<string | null> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw fileError("read", path, error);
  }
}

/**
 * The files of a report that a page links.
 *
 * @param page Its Markdown.
 * @returns Their names.
 */
export function linkedFrom(page: string): string[] {
  return [...page.matchAll(/\]\(([^()/\\\s#]+)/g)].map(([, name]) => name).filter((name) => REPORT_NAME.test(name));
}

/**
 * Removes what an earlier report left and this one has no place for, and what killed processes left of this one's files.
 *
 * @param out Where reports go.
 * @param earlier The files of the earlier report.
 * @param written The names of this one's, those that are still to be written included.
 * @returns The names of those that were removed, but for the remains.
 * @throws {UserError} When they cannot be removed.
 */
export async function removeEarlier(
  out: string,
  earlier: readonly string[],
  written: readonly string[],
): Promise<string[]> {
  const stale = earlier.filter((name) => !written.includes(name));
  try {
    await removeFiles(out, (name) => stale.includes(name));
    const remains: string[] = [];
    for await (const { name, isFile } of Deno.readDir(out)) {
      if (!isFile || !written.includes(nameInTheEnd(name) ?? "")) continue;
      // Another process may be writing this very file.
      const info = await stat(join(out, name)).catch(() => null);
      if (info && Date.now() - info.mtimeMs > STALE_MS) remains.push(name);
    }
    await removeFiles(out, (name) => remains.includes(name));
  } catch (error) {
    throw fileError("clear", out, error);
  }
  return stale;
}
