/**
 * A directory that one process works on, of all machines that share it: by the lock of its own machine, and by a lease on top of it.
 * @module
 */

import { endFirst, stopUnasked } from "../../core/ending.ts";
import { Interrupted } from "../../core/errors.ts";
import { describeHolder, type Lease, takeLease } from "../../core/runs/lease.ts";
import { lockRun, NoLocks, RunIsHeld, type RunLock } from "../../core/runs/lock.ts";
import { jobName, type Say } from "./voice.ts";

/** A directory that is this process's. */
export interface Claim extends Pick<Lease, "lost" | "release"> {
  /** Throws where another process has taken over. */
  readonly confirm: () => Promise<void>;
}

/** Another process works on it, so that there is nothing to do here for now. */
export class Claimed extends Interrupted {
  /** Distinguishes this class in logs. */
  override name = "Claimed";
}

/**
 * Claims a directory.
 *
 * @param directory The directory, which need not exist; the one that holds it must.
 * @param lasts Seconds without a beat after which another process counts as lost.
 * @param say Says whom is waited for, and who was lost.
 * @returns The claim.
 * @throws {Claimed} When another process works on it; the process then exits with 75, unless it finds something else to do.
 * @throws {UserError} When lock and lease cannot be made.
 */
export async function claim(directory: string, lasts: number, say: Say): Promise<Claim> {
  const lock = await lockOf(directory);
  try {
    const lease = await takeLease(directory, {
      ...{ lasts, job: jobName(), isLocked: lock !== null },
      onWaiting: (holder, seconds) => {
        const by = describeHolder(holder);
        say({ event: "waiting", directory, for: by, seconds }, `waiting up to ${seconds} s for a word of ${by}`);
      },
      onTakeover: (holder) => {
        const by = describeHolder(holder);
        say(
          { event: "taken_over", directory, from: by },
          `going on in place of ${by}, of whom nothing is heard any more`,
        );
      },
    });
    if ("heldBy" in lease) throw claimed(`${describeHolder(lease.heldBy)} works on ${directory}`);
    const forget = endFirst(() => lease.release());
    return {
      lost: lease.lost,
      async confirm() {
        if (lease.lost.aborted) throw claimed(`${lease.lost.reason} the work on ${directory}`);
        const taker = await lease.takenBy();
        if (taker !== null) throw claimed(`${describeHolder(taker)} works on ${directory}`);
      },
      async release() {
        await lease.release();
        forget();
        await lock?.release();
      },
    };
  } catch (error) {
    await lock?.release();
    throw error;
  }
}

async function lockOf(directory: string): Promise<RunLock | null> {
  try {
    return await lockRun(directory);
  } catch (error) {
    if (error instanceof RunIsHeld) {
      const by = error.parts.found ?? "another process does";
      throw claimed(`${by.replace(/ does$/, "")} works on ${directory}`);
    }
    // There the lease alone must do.
    if (error instanceof NoLocks) return null;
    throw error;
  }
}

function claimed(because: string): Claimed {
  stopUnasked();
  return new Claimed({ stopped: `as ${because}`, remedy: "run the same command again later" });
}
