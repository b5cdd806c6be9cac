/**
 * One machine at a time works on a run: a lease, files beside the run's directory that also hold where the lock of lock.ts does not reach,
 * on file systems that several machines share.
 *
 * runs/.NAME.lease-N is the N-th lease of a run. The highest number holds, and is only ever made anew, so that of several processes that
 * would follow a dead one, one succeeds. Its holder writes another beat into it every few seconds. Nobody compares clocks: who waits looks
 * at the file for as long as the lease lasts, by a clock of its own, and takes over if nothing has moved meanwhile.
 * @module
 */

import { readdir, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import * as v from "valibot";
import { fileError, writeFileAtomic } from "../files/atomic.ts";
import { requireRegular } from "../files/byte_source.ts";
import { makeOnce } from "../files/once.ts";
import { nameInTheEnd, removeFiles } from "../files/temporary.ts";

/** Who holds a lease. */
export interface LeaseHolder {
  /** The machine's name and the process on it. */
  readonly host: string;
  /** Its number there; 0 where it is not known. */
  readonly process: number;
  /** What the engine calls the job, if one runs it: `slurm 4711_3`. */
  readonly job?: string;
}

/** The longest that a lease lasts, in seconds: a longer one would keep a run from everybody for as long. */
export const LONGEST_LEASE_S = 86_400;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const schema = v.object({
  host: v.string(),
  process: count,
  job: v.optional(v.string()),
  // Tells machines of one name apart; null where it could not be found out.
  machine: v.nullable(v.string()),
  token: v.string(),
  beat: count,
  // Whether its holder had the run's lock too, which then tells whether it is still there.
  locked: v.boolean(),
  lasts_s: v.pipe(v.number(), v.gtValue(0), v.maxValue(LONGEST_LEASE_S)),
  released: v.boolean(),
});

type Written = v.InferOutput<typeof schema>;

/** The newest lease of a run as it was read. */
interface Found {
  readonly number: number;
  readonly text: string;
  /** Null while it is being written, or damaged. */
  readonly written: Written | null;
}

/** A lease that is held. */
export interface Lease {
  /** Aborted when another process has taken over, for its reason the sentence that says so. */
  readonly lost: AbortSignal;
  /**
   * Looks whether it still holds.
   *
   * @returns Who has taken over; null as long as nobody has.
   */
  takenBy(): Promise<LeaseHolder | null>;
  /** Gives it back. */
  release(): Promise<void>;
}

/** How a lease is asked for. */
export interface LeaseOptions {
  /** Seconds without a beat after which its holder counts as lost. */
  readonly lasts: number;
  /** What the engine calls the job. */
  readonly job?: string;
  /** Whether this process has the run's lock, so that no other on this machine works on it. */
  readonly isLocked: boolean;
  /** Hears once whom is waited for, and for how many seconds at most. */
  readonly onWaiting?: (holder: LeaseHolder, seconds: number) => void;
  /** Hears of a holder that was lost. */
  readonly onTakeover?: (holder: LeaseHolder) => void;
}

/** Beats of a holder as long as its lease lasts: several may come late. */
const BEATS = 10;
/** How often a holder reads its own lease again where it was cut off, and the pause before: some file systems of buckets replace a file in steps. */
const READINGS = 5, READ_AGAIN_MS = 100;

/**
 * Asks for the lease of a run. Where its last holder has not given it back, this takes until a beat shows that it is alive, or until it counts
 * as lost; a process of this machine that is gone is lost at once.
 *
 * @param directory The run's directory, which need not exist; the one that holds it must.
 * @param options How.
 * @returns The lease, or who holds it.
 * @throws {UserError} When the files cannot be read or written.
 */
export async function takeLease(directory: string, options: LeaseOptions): Promise<Lease | { heldBy: LeaseHolder }> {
  const { lasts, job, isLocked, onWaiting, onTakeover } = options;
  const machine = await machineId(), token = crypto.randomUUID();
  const own: Written = {
    ...{ host: Deno.hostname(), process: Deno.pid, ...job !== undefined && { job } },
    ...{ machine, token, beat: 0, locked: isLocked, lasts_s: lasts, released: false },
  };
  try {
    let seen: Found | null = null, since = 0, isTold = false;
    for (;;) {
      const newest = await newestLease(directory), before = newest?.written;
      const isGone = before?.machine != null && before.machine === machine && before.locked && isLocked;
      const isFree = newest === null || before?.released === true || isGone;
      // What is damaged has no beat, and nobody that it could be asked of how long it lasts.
      const patience = Math.max(lasts, before?.lasts_s ?? 0);
      const isSame = seen !== null && newest !== null && seen.number === newest.number && seen.text === newest.text;
      if (!isFree && seen !== null && !isSame && before != null) return { heldBy: holderOf(before) };
      if (!isFree && !isSame) [seen, since] = [newest, performance.now()];
      if (isFree || performance.now() - since > 1000 * patience) {
        const number = (newest?.number ?? 0) + 1;
        if (await makeLease(directory, number, own)) {
          if (!isFree && before) onTakeover?.(holderOf(before));
          return hold(directory, number, own);
        }
        seen = null;
        continue;
      }
      if (before && !isTold) {
        isTold = true;
        onWaiting?.(holderOf(before), patience);
      }
      await pause(Math.min(1000, 1000 * patience / (2 * BEATS)));
    }
  } catch (error) {
    throw fileError("take the lease of", directory, error);
  }
}

/**
 * Finds out who holds a run's lease, as far as its files tell: a holder that is lost is told too.
 *
 * @param directory The run's directory.
 * @returns The holder; null where nobody does.
 */
export async function leaseHolder(directory: string): Promise<LeaseHolder | null> {
  const newest = await newestLease(directory).catch(() => null);
  return newest?.written && !newest.written.released ? holderOf(newest.written) : null;
}

/**
 * Removes the files of a lease that nobody will ask for again: that of a finished run.
 *
 * @param directory The run's directory.
 */
export async function removeLeases(directory: string): Promise<void> {
  const beginning = prefixOf(directory), isOfLease = (name: string) => name.startsWith(beginning);
  // Killed while it wrote one, a process leaves it under a temporary name.
  await removeFiles(dirname(directory), (name) => isOfLease(name) || isOfLease(nameInTheEnd(name) ?? "")).catch(
    () => {},
  );
}

/**
 * Says who holds a lease.
 *
 * @param holder The holder.
 * @returns For example `process 4711 on node7 (slurm 12_3)`.
 */
export function describeHolder({ host, process, job }: LeaseHolder): string {
  return `${process === 0 ? "a process" : `process ${process}`} on ${host}${job === undefined ? "" : ` (${job})`}`;
}

function holderOf({ host, process, job }: Written): LeaseHolder {
  return { host, process, ...job !== undefined && { job } };
}

function prefixOf(directory: string): string {
  return `.${basename(directory)}.lease-`;
}

function pathOf(directory: string, number: number): string {
  return join(dirname(directory), `${prefixOf(directory)}${number}`);
}

async function numbersOf(directory: string): Promise<number[]> {
  const beginning = prefixOf(directory);
  return (await readdir(dirname(directory)))
    .filter((name) => name.startsWith(beginning) && /^[1-9]\d{0,14}$/.test(name.slice(beginning.length)))
    .map((name) => Number(name.slice(beginning.length))).sort((a, b) => b - a);
}

async function newestLease(directory: string): Promise<Found | null> {
  const [number] = await numbersOf(directory);
  if (number === undefined) return null;
  const path = pathOf(directory, number);
  const text = await requireRegular(path).then(() => Deno.readTextFile(path)).catch((error) => {
    // A newer one may have come in its place meanwhile; then the next look shows that.
    if (error instanceof Deno.errors.NotFound) return "";
    throw fileError("read the lease", path, error);
  });
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), schema), text);
  return { number, text, written: parsed.success ? parsed.output : null };
}

/** Makes a lease; returns whether it holds. */
async function makeLease(directory: string, number: number, own: Written): Promise<boolean> {
  const path = pathOf(directory, number);
  if (!await makeOnce(path, textOf(own))) return false;
  // Of those who were slow one may have made a number anew that was there before and had been tidied away.
  const [newest, ...older] = await numbersOf(directory);
  if (newest !== number) {
    await unlink(path).catch(() => {});
    return false;
  }
  for (const each of older) await unlink(pathOf(directory, each)).catch(() => {});
  return true;
}

function textOf(written: Written): string {
  return JSON.stringify(written) + "\n";
}

function hold(directory: string, number: number, own: Written): Lease {
  const path = pathOf(directory, number), loss = new AbortController();
  let beat = 0, beating: Promise<unknown> = Promise.resolve();
  const takenBy = async () => {
    let newest = await newestLease(directory);
    for (let again = 0; again < READINGS && newest?.number === number && newest.written === null; again++) {
      await pause(READ_AGAIN_MS);
      newest = await newestLease(directory);
    }
    if (newest?.number === number && newest.written?.token === own.token) return null;
    // Its files may have been removed by hand, or be those of a file system that is gone.
    if (newest === null || newest.written === null) {
      return newest === null ? null : { host: "another machine", process: 0 };
    }
    return holderOf(newest.written);
  };
  const beatOnce = async () => {
    const taker = await takenBy();
    if (taker !== null) return void loss.abort(`${describeHolder(taker)} has taken over`);
    beat++;
    await writeFileAtomic(path, textOf({ ...own, beat }));
  };
  // A file system that is away for a while is told by what the run writes to it; here, the next beat may succeed.
  const timer = setInterval(() => beating = beating.then(beatOnce).catch(() => {}), 1000 * own.lasts_s / BEATS);
  Deno.unrefTimer(timer);
  return {
    lost: loss.signal,
    takenBy,
    async release() {
      clearInterval(timer);
      await beating;
      if (loss.signal.aborted || await takenBy().catch(() => null) !== null) return;
      await writeFileAtomic(path, textOf({ ...own, beat: beat + 1, released: true })).catch(() => {});
    },
  };
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/**
 * What tells this machine from another of its name, as two containers may have it: random digits in a file that is not shared. A machine
 * that was started anew keeps them; then no lock of a process from before holds.
 */
async function machineId(): Promise<string | null> {
  const path = join(tmpdir(), "mtc-machine");
  for (let tries = 0; tries < 2; tries++) {
    const id = (await Deno.readTextFile(path).catch(() => "")).trim();
    if (/^[0-9a-f-]{36}$/.test(id)) return id;
    await makeOnce(path, `${crypto.randomUUID()}\n`).catch(() => {});
  }
  return null;
}
