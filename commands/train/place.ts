/**
 * Where a run is to be: its name and its directory.
 * @module
 */

import { lstat, readdir, rmdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { UsageError, UserError } from "../../core/errors.ts";
import { fileError } from "../../core/files/atomic.ts";
import { makeDirectories, makeTemporaryDirectory, removeEmpty } from "../../core/files/temporary.ts";
import { transcodersIn } from "../../core/runs/discovery.ts";

/** File systems take 255 bytes; the names of a run's lock and of what is written beside it are longer than its own. */
const MOST_NAME_BYTES = 200;

/**
 * Makes sure that a run's name leads to a directory in --runs and nowhere else.
 *
 * @param name The name.
 * @param isWindows Whether the file system is Windows', which gives more names a meaning of their own.
 * @returns The name.
 * @throws {UsageError} When it is another kind of name.
 */
export function checkName(name: string, isWindows: boolean = Deno.build.os === "windows"): string {
  // deno-lint-ignore no-control-regex
  const isPlain = /^[^./\\\0-\x1f\x7f][^/\\\0-\x1f\x7f]*$/.test(name);
  const isSpecial = /[<>:"|?*]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d) *(\.|$)/i.test(name);
  const { length } = new TextEncoder().encode(name);
  if (length > MOST_NAME_BYTES) {
    throw new UsageError({
      action: `name the run ${JSON.stringify(name)}`,
      requirement: `a name must have at most ${MOST_NAME_BYTES} bytes`,
      found: `this one has ${length}`,
      remedy: "choose a shorter --name",
    });
  }
  if (isPlain && !(isWindows && isSpecial)) return name;
  throw new UsageError({
    action: `name the run ${JSON.stringify(name)}`,
    requirement:
      "a name must be that of a directory in --runs, without slashes and control characters and no dot in front",
    remedy: "choose another --name",
  });
}

/**
 * Makes sure that the run's directory can be made, which only happens once the first buffer is full.
 *
 * @param runs `--runs`.
 * @param directory The run's own directory in it.
 * @param isDry Whether it is to be left at looking: a dry run makes nothing, not even to try.
 * @throws {UserError} When something is there, or it cannot be made.
 */
export async function checkDirectory(runs: string, directory: string, isDry: boolean): Promise<void> {
  const runsInfo = await stat(runs).catch(() => null);
  if (runsInfo !== null && !runsInfo.isDirectory()) {
    throw new UserError({
      action: `keep runs in ${runs}`,
      requirement: "it must be a directory",
      found: "it is a file",
      remedy: "choose another --runs",
    });
  }
  if (await lstat(directory).then((info) => info.isSymbolicLink(), () => false)) {
    throw new UserError({
      action: `start a run in ${directory}`,
      requirement: "it must be an empty directory or new",
      found: "it is a link",
      remedy: "choose another --name, or let --runs lead to where the link does",
    });
  }
  const taken = await readdir(directory).catch((error) => {
    if (error.code === "ENOENT") return [];
    throw fileError("start a run in", directory, error);
  });
  if (taken.length > 0) {
    const names = taken.toSorted().slice(0, 3).join(", ");
    const resume = (await transcodersIn(directory)).length > 0
      ? `, or go on with it: mtc train --resume ${directory}`
      : "";
    throw new UserError({
      action: `start a run in ${directory}`,
      requirement: "it must be empty or new",
      found: `it holds ${names}`,
      remedy: `choose another --name${resume}`,
    });
  }
  if (isDry) return;
  try {
    const made = await makeDirectories(dirname(directory));
    try {
      // Its name is longer than that of the run's lock, and as long as the one that the run has before its own.
      await rmdir(await makeTemporaryDirectory(directory));
    } finally {
      await removeEmpty(made);
    }
  } catch (error) {
    throw fileError("create", directory, error);
  }
}

/**
 * The name of a run that was given none.
 *
 * @param now The time.
 * @returns For example `20261127-220532`, by the world's clock.
 */
export function timestamp(now: Date): string {
  return now.toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");
}
