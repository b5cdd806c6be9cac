/**
 * sums.json: SHA-256 of the files of a finished transcoder, so that what a disk or a careless hand has changed is not taken for what was
 * written. It is written last when a run finishes, and follows what is measured or made again later.
 *
 * A file that it does not name is not checked: those of an older mtc, and the one that was being written when a process was killed.
 * @module
 */

import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import * as v from "valibot";
import { UserError } from "../errors.ts";
import { writeFileAtomic } from "../files/atomic.ts";
import { sumOfFile } from "../files/checksum.ts";
import { exists } from "../files/exists.ts";
import { checkpointSteps } from "./checkpoints.ts";
import { checked, parseJson, readText } from "./json.ts";

/** The file's name. */
export const SUMS_FILE = "sums.json";

type Sums = Readonly<Record<string, string>>;

const schema = v.record(v.string(), v.pipe(v.string(), v.hash(["sha256"])));

/** The checksums of a transcoder's files, by name; null where there are none. */
async function readSums(directory: string): Promise<Sums | null> {
  const path = join(directory, SUMS_FILE);
  if (!await exists(path)) return null;
  try {
    return checked(v.safeParser(schema), parseJson(await readText(path), path), path);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const remedy = `restore it, or remove it: \`mtc train --resume ${join(directory, "..")}\` makes it anew, and ` +
      "until then the files beside it are believed unseen";
    throw new UserError({ ...error.parts, remedy });
  }
}

/** What was found to be as it should: the checksum, size, time and place of each path's file. */
const known = new Map<string, string>();

/** Whether a file has a checksum, without its being read again when it has not been touched since. */
async function hasSum(path: string, sum: string): Promise<boolean> {
  const { size, mtimeMs, ino } = await stat(path), state = [sum, size, mtimeMs, ino].join();
  if (known.get(path) === state) return true;
  if (await sumOfFile(path) !== sum) return false;
  known.set(path, state);
  return true;
}

/**
 * Makes sure that a file is what was written, before it is used. One that is not there is left to whoever reads it.
 *
 * @param directory The transcoder's directory.
 * @param name The file.
 * @param remedy What makes it anew; without it the last checkpoint does, as long as there is one.
 * @throws {UserError} When its checksum is another, or sums.json cannot be read.
 */
export async function requireSum(directory: string, name: string, remedy?: string): Promise<void> {
  const path = join(directory, name), sum = (await readSums(directory))?.[name];
  if (sum === undefined || !await exists(path) || await hasSum(path, sum)) return;
  throw new UserError({
    action: `read ${path}`,
    requirement: `its bytes must be those that were written, as ${SUMS_FILE} has their checksum`,
    found: "they are others",
    remedy: remedy ?? await mending(directory),
  });
}

/**
 * Makes sure of a file that a run is not whole without.
 *
 * @param directory The transcoder's directory.
 * @param name The file.
 * @throws {UserError} When sums.json names it and it is not there, or its checksum is another.
 */
export async function requireSummed(directory: string, name: string): Promise<void> {
  const path = join(directory, name);
  if (await exists(path)) return await requireSum(directory, name);
  if (!Object.hasOwn(await readSums(directory) ?? {}, name)) return;
  throw new UserError({
    action: `read ${path}`,
    requirement: `it must be there, as ${SUMS_FILE} names it`,
    found: "it is missing",
    remedy: await mending(directory),
  });
}

async function mending(directory: string): Promise<string> {
  return (await checkpointSteps(directory)).length > 0
    ? `make it again: mtc train --resume ${join(directory, "..")}`
    : "restore it, or train the run or import it again";
}

/**
 * Writes a file of a transcoder, and its checksum where the transcoder has some: the old one goes before the file does, so that a process
 * that is killed between leaves nothing that looks damaged.
 *
 * @param path The file.
 * @param write Writes it.
 * @throws {UserError} When the disk does not take it, or sums.json cannot be read.
 */
export async function writeSummed(path: string, write: () => Promise<void>): Promise<void> {
  const directory = join(path, ".."), name = basename(path);
  await forgetSum(directory, name);
  await write();
  if (await exists(join(directory, SUMS_FILE))) await completeSums(directory, [name]);
}

/**
 * Forgets the checksum of a file that is about to change.
 *
 * @param directory The transcoder's directory.
 * @param name The file.
 * @throws {UserError} When the disk does not take it, or sums.json cannot be read.
 */
export async function forgetSum(directory: string, name: string): Promise<void> {
  await changeSums(directory, (sums) => {
    if (sums === null || !Object.hasOwn(sums, name)) return Promise.resolve(null);
    const { [name]: _, ...others } = sums;
    return Promise.resolve(others);
  });
}

/**
 * Adds the checksums of files that have none. Those that have one keep it.
 *
 * @param directory The transcoder's directory.
 * @param names The files; those that are not there are passed over.
 * @throws {UserError} When one cannot be read, or the disk does not take it.
 */
export async function completeSums(directory: string, names: readonly string[]): Promise<void> {
  await changeSums(directory, async (sums) => {
    const added: Record<string, string> = {};
    for (const name of names) {
      const path = join(directory, name);
      if (!Object.hasOwn(sums ?? {}, name) && await exists(path)) added[name] = await sumOfFile(path);
    }
    return Object.keys(added).length > 0 ? { ...sums, ...added } : null;
  });
}

/** Changes sums.json, one process after the other; null leaves it as it is. */
async function changeSums(directory: string, change: (sums: Sums | null) => Promise<Sums | null>): Promise<void> {
  using _ = await locked(directory);
  const sums = await change(await readSums(directory));
  if (sums === null) return;
  const sorted = Object.entries(sums).sort(([a], [b]) => a < b ? -1 : 1);
  await writeFileAtomic(join(directory, SUMS_FILE), JSON.stringify(Object.fromEntries(sorted), null, 2) + "\n");
}

/** The directory itself is what is locked; systems and disks that cannot do that go without. */
async function locked(directory: string): Promise<Disposable> {
  try {
    const file = await Deno.open(directory);
    try {
      await file.lock(true);
      return file;
    } catch {
      file.close();
    }
  } catch { /* Windows opens no directories. */ }
  return { [Symbol.dispose]() {} };
}
