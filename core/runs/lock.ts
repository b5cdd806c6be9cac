/**
 * One process at a time works on a run: a lock that the operating system takes back when the process ends, however it ends.
 * @module
 */

import { realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { UserError } from "../errors.ts";
import { fileError, writeAll } from "../files/atomic.ts";
import { makeDirectories, removeEmpty } from "../files/temporary.ts";

/** After this long a lock counts as another process's. */
const WAIT_MS = 500;

/** Another process of this machine works on the run. */
export class RunIsHeld extends UserError {
  /** Distinguishes this class in logs. */
  override name = "RunIsHeld";
}

/** The file system knows no locks. */
export class NoLocks extends UserError {
  /** Distinguishes this class in logs. */
  override name = "NoLocks";
}

/** A lock that is held. */
export interface RunLock {
  /** Gives it back and removes what was made for it. */
  release(): Promise<void>;
}

/**
 * Locks a run by a file beside its directory, runs/.<name>.lock, which names the process and its machine. A file there that mtc did not
 * write is locked too, but neither written to nor removed.
 *
 * @param directory The run's directory, which need not exist.
 * @returns The lock.
 * @throws {RunIsHeld} When another process holds it.
 * @throws {NoLocks} When the file system knows none.
 * @throws {UserError} When the file cannot be made.
 */
export async function lockRun(directory: string): Promise<RunLock> {
  const path = await lockOf(directory), runs = dirname(path);
  const made = await makeDirectories(runs).catch((error) => Promise.reject(fileError("create", runs, error)));
  for (;;) {
    const { file, isNew } = await openLock(path);
    const asked = file.lock(true).catch(async () => {
      file.close();
      if (isNew) await Deno.remove(path).catch(() => {});
      throw new NoLocks({
        action: `lock ${path}`,
        requirement: "the file system must know locks",
        found: "it refuses them",
        remedy: "choose another --runs",
      });
    });
    if (!await isGivenSoon(asked)) {
      const holder = await holderAt(path);
      file.close();
      throw new RunIsHeld({
        action: `train in ${directory}`,
        requirement: "one process at a time may",
        found: `${holder ?? "another one"} does`,
        remedy: "wait until it ends or stop it",
      });
    }
    // Its last holder may have removed the file after it was opened here: then the next process would lock another one.
    if (!await isStill(path, file)) {
      file.close();
      continue;
    }
    // A process killed right after it made the file leaves it empty: as good as anybody's, it is only locked from then on.
    const isOurs = isNew || await holderIn(file) !== null;
    if (isOurs) {
      await writeHolder(file).catch(async (error) => {
        file.close();
        if (isNew) await Deno.remove(path).catch(() => {});
        throw fileError("lock", path, error);
      });
    }
    return {
      async release() {
        if (isOurs && await isStill(path, file)) await Deno.remove(path).catch(() => {});
        file.close();
        await removeEmpty(made);
      },
    };
  }
}

/**
 * Finds out whether a run is being trained at this moment.
 *
 * @param directory The run's directory.
 * @returns Who does it, for example `process 4711 on node7`; null when nobody does.
 */
export async function trainerOf(directory: string): Promise<string | null> {
  const path = await lockOf(directory);
  try {
    if (!(await Deno.lstat(path)).isFile) return null;
    using file = await Deno.open(path);
    // A process that begins just now waits longer for its lock than this takes.
    if (!await file.tryLock(false)) return await holderIn(file) ?? "another process";
    await file.unlock();
    return null;
  } catch {
    // There is none, or its file system knows no locks.
    return null;
  }
}

/** However a run is called, `runs/first`, `.` or by a link to it, its lock is the same. */
async function lockOf(directory: string): Promise<string> {
  const run = await realpath(directory).catch(() => directory);
  return join(dirname(run), `.${basename(run)}.lock`);
}

/** Opens the lock's file without a change to what may be there. */
async function openLock(path: string): Promise<{ file: Deno.FsFile; isNew: boolean }> {
  for (;;) {
    try {
      return { file: await Deno.open(path, { read: true, write: true, createNew: true }), isNew: true };
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw fileError("lock", path, error);
    }
    try {
      if ((await Deno.lstat(path)).isFile) {
        return { file: await Deno.open(path, { read: true, write: true }), isNew: false };
      }
    } catch (error) {
      // Its holder may have ended just now.
      if (error instanceof Deno.errors.NotFound) continue;
      throw fileError("lock", path, error);
    }
    throw new UserError({
      action: `lock ${path}`,
      requirement: "it must be a file or not be there",
      found: "it is a directory, a link or a device",
      remedy: "move it elsewhere, or choose another --name",
    });
  }
}

/** The process that a lock's file names, and its machine where an older mtc did not leave that out; null when it is no such file. */
async function holderIn(file: Deno.FsFile): Promise<string | null> {
  const start = new Uint8Array(512);
  await file.seek(0, Deno.SeekMode.Start);
  const length = await file.read(start) ?? 0;
  return /^mtc trains here: (process \d+(?: on [\w.-]+)?)\n$/.exec(new TextDecoder().decode(start.subarray(0, length)))
    ?.[1] ?? null;
}

/** The same of a path: a file whose lock is waited for answers to nothing until then. */
async function holderAt(path: string): Promise<string | null> {
  try {
    using file = await Deno.open(path);
    return await holderIn(file);
  } catch {
    return null;
  }
}

/** Never leaves the file empty on the way, or it would count as somebody else's. */
async function writeHolder(file: Deno.FsFile): Promise<void> {
  const name = `process ${Deno.pid} on ${Deno.hostname().replace(/[^\w.-]/g, "-")}`;
  const line = new TextEncoder().encode(`mtc trains here: ${name}\n`);
  await file.seek(0, Deno.SeekMode.Start);
  await writeAll(file, line);
  await file.truncate(line.length);
}

/** Deno has a lock that does not wait only from 2.9 on; one that waits is left to the end of the process. */
async function isGivenSoon(lock: Promise<void>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<false>((resolve) => timer = setTimeout(() => resolve(false), WAIT_MS));
  try {
    return await Promise.race([lock.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function isStill(path: string, file: Deno.FsFile): Promise<boolean> {
  const [there, held] = [await Deno.lstat(path).catch(() => null), await file.stat()];
  return there !== null && there.ino === held.ino && there.dev === held.dev;
}
