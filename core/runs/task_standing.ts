/**
 * How far the tasks of a sweep are, by what they say of themselves.
 * @module
 */

import { join } from "node:path";
import { UserError } from "../errors.ts";
import { leaseHolder } from "./lease.ts";
import { readStatus, type TaskState, type TaskStatus } from "./status.ts";
import type { SweepTask, TaskList } from "./task_list.ts";

/** Where a task stands: as it says itself, or `waiting` before it was ever started, or `left` where its process ended without a word. */
export type Standing = TaskState | "waiting" | "left";

/** A task and how far it is. */
export interface TaskStanding {
  /** Its number. */
  readonly number: number;
  /** The task. */
  readonly task: SweepTask;
  /** Where it stands. */
  readonly standing: Standing;
  /** What it says of itself; null before it was ever started, and where that is damaged. */
  readonly status: TaskStatus | null;
}

/** Tasks that are looked at at once: what waits is the file system. */
const AT_ONCE = 32;
/** States in which a process works on a task. */
const AT_WORK: readonly Standing[] = ["starting", "harvesting", "training", "finishing"];

/**
 * Looks at all tasks of a sweep.
 *
 * @param runs Where its runs are.
 * @param list Its tasks.
 * @returns They in their order, a few at a time in memory.
 */
export async function* standingsOf(runs: string, { tasks }: TaskList): AsyncGenerator<TaskStanding> {
  for (let at = 0; at < tasks.length; at += AT_ONCE) {
    const some = tasks.slice(at, at + AT_ONCE);
    yield* await Promise.all(some.map((task, i) => standingOf(runs, task, at + i)));
  }
}

async function standingOf(runs: string, task: SweepTask, number: number): Promise<TaskStanding> {
  const directory = join(runs, task.run);
  const status = await readStatus(directory).catch((error) => {
    if (error instanceof UserError) return null;
    throw error;
  });
  if (status == null) return { number, task, standing: status === null ? "left" : "waiting", status: null };
  const isLeft = AT_WORK.includes(status.state) && await leaseHolder(directory) === null;
  return { number, task, standing: isLeft ? "left" : status.state, status };
}
