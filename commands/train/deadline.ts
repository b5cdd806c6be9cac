/**
 * When a run must have saved itself: `--deadline`, or the end of the Slurm job that it is part of.
 * @module
 */

import { Option } from "commander";
import { UsageError } from "../../core/errors.ts";

/** Where Slurm says when the job ends, in seconds since 1970. */
const SLURM_END = "SLURM_JOB_END_TIME";
/** The seconds that stopping takes beside a checkpoint: reading back the steps under way, and ending. */
const MARGIN_S = 5;
/** A checkpoint may take so many times what the slowest before took, as others write to the same disk when the same deadline comes. */
const SLOWER = 2;
/** Seconds that a checkpoint counts as taking before one was written. */
const UNKNOWN_S = 20;
/** The longest that a timer takes, in milliseconds; it is set anew then. */
const LONGEST_TIMER = 2 ** 30;

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/**
 * Declares `--deadline`.
 *
 * @returns The option: the time, in milliseconds since 1970.
 */
export function deadlineOption(): Option {
  const text =
    "when the run must have saved itself: a time to come like 90m or 12h, a time of day like 2026-11-28T06:00:00Z, or " +
    `seconds since 1970 (default: ${SLURM_END}, where Slurm sets it)`;
  return new Option("--deadline <when>", text).argParser((given) => readDeadline(given, Date.now()));
}

/**
 * Reads a deadline.
 *
 * @param text `90m`, `1.5h`, ISO 8601, or seconds since 1970.
 * @param now The time, in milliseconds since 1970.
 * @returns The deadline, in the same.
 * @throws {UsageError} When it is none of those.
 */
export function readDeadline(text: string, now: number): number {
  const after = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text);
  if (after) return now + 1000 * Number(after[1]) * UNITS[after[2]];
  const refuse = (found: string) =>
    new UsageError({
      action: "read --deadline",
      requirement: "it must be a time to come, a time with its zone, or seconds since 1970",
      found,
      remedy: "write it like 90m, 12h, 2026-11-28T06:00:00Z or 1795845600",
    });
  const time = /^\d{9,11}$/.test(text)
    ? 1000 * Number(text)
    : /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text) && isDay(text.slice(0, 10))
    ? Date.parse(text)
    : NaN;
  if (Number.isNaN(time)) throw refuse(`it is "${text}"`);
  // Saved and stopped at once, a job would be queued again and again.
  if (time <= now) throw refuse(`${text} is past`);
  return time;
}

/** Whether a date is in the calendar: Date.parse takes 31 February for 3 March. */
function isDay(date: string): boolean {
  const time = Date.parse(`${date}T00:00Z`);
  return Number.isFinite(time) && new Date(time).toISOString().startsWith(date);
}

/** The end of the Slurm job that this process is part of, in milliseconds since 1970; null where there is none, or it has none. */
export function endOfJob(): number | null {
  const text = Deno.env.get(SLURM_END) ?? "";
  return /^\d{9,11}$/.test(text) ? 1000 * Number(text) : null;
}

/** Stops a run in time for its last checkpoint. */
export class Deadline {
  #slowest: number | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #hasCome = false;

  /**
   * @param time When the run must have saved itself, in milliseconds since 1970; null for never.
   * @param stop Is told once when the time has come to stop, and why.
   */
  constructor(readonly time: number | null, readonly stop: (reason: string) => void) {
    this.#wait();
  }

  /**
   * Hears of a checkpoint, which tells how long the last one will take.
   *
   * @param seconds What it took.
   */
  checkpointed(seconds: number): void {
    this.#slowest = Math.max(this.#slowest ?? 0, seconds);
    this.#wait();
  }

  /** Ends the waiting. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #wait(): void {
    // The last checkpoint is heard of when the time has come.
    if (this.time === null || this.#hasCome) return;
    clearTimeout(this.#timer);
    const needed = 1000 * (MARGIN_S + (this.#slowest === null ? UNKNOWN_S : SLOWER * this.#slowest));
    const left = this.time - needed - Date.now();
    this.#timer = left > LONGEST_TIMER
      ? setTimeout(() => this.#wait(), LONGEST_TIMER)
      : setTimeout(() => this.#end(), Math.max(0, left));
  }

  #end(): void {
    this.#hasCome = true;
    const took = this.#slowest === null ? "" : `, and a checkpoint takes up to ${this.#slowest.toFixed(1)} s`;
    this.stop(`the deadline is ${new Date(this.time!).toISOString()}${took}`);
  }
}
