/**
 * What `mtc sweep plan.json` prints of its tasks: `--list` and `--status`.
 * @module
 */

import { printable } from "../../core/errors.ts";
import type { TaskList } from "../../core/runs/task_list.ts";
import { type Standing, standingsOf, type TaskStanding } from "../../core/runs/task_standing.ts";
import { counted } from "../../reports/format.ts";
import type { SweepPlan } from "./plan.ts";

/**
 * Prints the tasks of a plan.
 *
 * @param plan The plan.
 * @param list Its tasks.
 * @param asJson Whether a program reads them.
 */
export function tellTasks({ runs }: SweepPlan, { tasks, steps }: TaskList, asJson: boolean): void {
  if (asJson) {
    const all = tasks.map(({ run, layer, transcoders }, task) => {
      return { task, run, layer, transcoders: transcoders.map(({ name }) => name) };
    });
    return console.log(JSON.stringify({ runs, steps, tasks: all }, null, 2));
  }
  const places = String(tasks.length - 1).length;
  for (const [number, { run, transcoders }] of tasks.entries()) {
    const several = transcoders.length > 1 ? `   ${transcoders.map(({ name }) => name).join(", ")}` : "";
    console.log(`${String(number).padStart(places)}   ${run}${several}`);
  }
  console.log(`\n${counted(tasks.length, "task")} of ${counted(steps, "step")} each, in ${runs}`);
}

/** How a standing is said. */
const WORDS: Readonly<Record<Standing, string>> = {
  waiting: "not started",
  starting: "starting",
  harvesting: "harvesting",
  training: "training",
  finishing: "finishing",
  stopped: "stopped, saved",
  left: "left without a word",
  failed: "failed",
  done: "done",
};

/**
 * Prints how far the tasks of a plan are: how many stand where, and each that is not done.
 *
 * @param plan The plan.
 * @param list Its tasks.
 * @param asJson Whether a program reads it.
 */
export async function tellStatus({ runs }: SweepPlan, list: TaskList, asJson: boolean): Promise<void> {
  const all = await Array.fromAsync(standingsOf(runs, list));
  if (asJson) {
    const tasks = all.map(({ number, task, standing, status }) => {
      return { ...status, task: number, run: task.run, state: standing };
    });
    return console.log(JSON.stringify(tasks, null, 2));
  }
  const places = String(list.tasks.length - 1).length;
  for (const one of all) {
    if (one.standing !== "done") console.log(`${String(one.number).padStart(places)}   ${lineOf(one)}`);
  }
  const counts = Map.groupBy(all, ({ standing }) => standing);
  const order = (Object.keys(WORDS) as Standing[]).toReversed().filter((standing) => counts.has(standing));
  const parts = order.map((standing) => `${counts.get(standing)!.length} ${WORDS[standing]}`);
  console.log(`${counted(list.tasks.length, "task")}: ${parts.join(", ")}`);
}

function lineOf({ task: { run }, standing, status }: TaskStanding): string {
  if (status === null) return `${WORDS[standing].padEnd(15)}   ${run}`;
  const { step, steps, host, process, job, updated, reason, attempts } = status;
  const by = `${host} ${process}${job === undefined ? "" : ` (${job})`}`;
  const why = reason === undefined ? "" : `\n      ${printable(reason)}`;
  return `${
    WORDS[standing].padEnd(15)
  }   ${run}   step ${step} of ${steps}, start ${attempts}, ${by}, ${updated}${why}`;
}
