/**
 * status.json in a run's directory: how far a task of a sweep is, who works on it, and why it ended. It is there before the run is, so that
 * a task that could not even begin is told of too.
 * @module
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { fileError, writeFileAtomic } from "../files/atomic.ts";
import { readJsonIfThere } from "./json.ts";

/** The file's name. */
export const STATUS_FILE = "status.json";

/** Where a task may stand: on its way, saved and stopped, at its end, or at one that is none. */
export const STATES = ["starting", "harvesting", "training", "finishing", "stopped", "failed", "done"] as const;

/** Where a task stands. */
export type TaskState = typeof STATES[number];

/** A run's status.json. */
export interface TaskStatus {
  /** The number of the task in its plan. */
  readonly task: number;
  /** What the plan is known by. */
  readonly plan: string;
  /** Where it stands. */
  readonly state: TaskState;
  /** Steps done, */
  readonly step: number;
  /** of so many. */
  readonly steps: number;
  /** The machine that works or worked on it, */
  readonly host: string;
  /** the process there, */
  readonly process: number;
  /** and what the engine calls the job, if one runs it. */
  readonly job?: string;
  /** How often it was started. */
  readonly attempts: number;
  /** When it was started last, ISO 8601, by that machine's clock, */
  readonly started: string;
  /** and when this was written. */
  readonly updated: string;
  /** What the process exited with; absent while it works. */
  readonly exit_code?: number;
  /** Why it stopped or failed, in a sentence. */
  readonly reason?: string;
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const time = v.pipe(v.string(), v.isoTimestamp());
const parse: v.SafeParser<v.GenericSchema<unknown, TaskStatus>, undefined> = v.safeParser(
  v.object({
    task: count,
    plan: v.string(),
    state: v.picklist(STATES),
    step: count,
    steps: count,
    host: v.string(),
    process: count,
    job: v.optional(v.string()),
    attempts: count,
    started: time,
    updated: time,
    exit_code: v.optional(count),
    reason: v.optional(v.string()),
  }),
);

/**
 * Reads how far a task is.
 *
 * @param directory Its run's directory.
 * @returns Its status.json; undefined where there is none.
 * @throws {UserError} When it is damaged.
 */
export function readStatus(directory: string): Promise<TaskStatus | undefined> {
  return readJsonIfThere(parse, join(directory, STATUS_FILE));
}

/**
 * Writes it, whole or not at all; the directory is made where it is missing.
 *
 * @param directory The run's directory.
 * @param status What to write.
 * @throws {UserError} When the disk does not take it.
 */
export async function writeStatus(directory: string, status: TaskStatus): Promise<void> {
  await mkdir(directory, { recursive: true }).catch((error) => Promise.reject(fileError("create", directory, error)));
  await writeFileAtomic(join(directory, STATUS_FILE), JSON.stringify(status, null, 2) + "\n");
}
