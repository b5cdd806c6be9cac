/**
 * One process at a time works on a run: a lock that the operating system takes back when the process ends, however it ends.
 * @module
 */

import { mkdir, rmdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";

/** After this long a lock counts as another process's. */
const WAIT_MS = 500;

/** A lock that is held. */
export interface RunLock {
  /** Gives it back and removes its file. */
  release(): Promise<void>;
}

/**
 * Locks a run by a file beside its directory, runs/.<name>.lock, which holds the number of the process.
 *
 * @param directory The run's directory, which need not exist.
 * @returns The lock.
 * @throws {UserError} When another process holds it, or the file cannot be made.
 */
export async function lockRun(directory: string): Promise<RunLock> {
  const runs = dirname(directory), path = join(runs, `.${basename(directory)}.lock`);
  const made = await mkdir(runs, { recursive: true }).catch((error) =>
    Promise.reject(fileError("create", runs, error))
  );
  for (;;) {
    const file = await Deno.open(path, { read: true, write: true, create: true }).catch((error) =>
      Promise.reject(fileError("lock", path, error))
    );
    if (!await isGivenSoon(file.lock(true))) {
      const holder = (await Deno.readTextFile(path).catch(() => "")).trim();
      file.close();
      throw new UserError(
        `Cannot train in ${directory}: one process at a time may, ${
          holder ? `process ${holder}` : "another one"
        } does; ` +
          "wait until it ends or stop it",
      );
    }
    // Its last holder may have removed the file after it was opened here: then the next process would lock another one.
    if (!await isStill(path, file)) {
      file.close();
      continue;
    }
    await file.truncate();
    await file.write(new TextEncoder().encode(`${Deno.pid}\n`));
    return {
      async release() {
        await Deno.remove(path).catch(() => {});
        file.close();
        // Only what this process made, and only if nothing was put there.
        if (made !== undefined) await rmdir(runs).catch(() => {});
      },
    };
  }
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
  const [there, held] = [await Deno.stat(path).catch(() => null), await file.stat()];
  return there !== null && there.ino === held.ino && there.dev === held.dev;
}
