/**
 * What `mtc sweep plan.json` does: one task, all that nobody works on, the harvest that they share; or it lists, prints and tells.
 * @module
 */

import { Interrupted, printable, UsageError, UserError } from "../../core/errors.ts";
import type { TaskList } from "../../core/runs/task_list.ts";
import { Claimed } from "./claim.ts";
import type { Engine } from "./engines.ts";
import { tasksOf } from "./numbering.ts";
import type { TaskOptions } from "./options.ts";
import { readPlan, type SweepPlan } from "./plan.ts";
import { type Say, voiceOf } from "./voice.ts";

/** Where engines say which of many tasks a process is, the most particular first. */
const TASK_VARIABLES = ["MTC_TASK", "SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"];

/**
 * Does what is asked for of a plan.
 *
 * @param path The plan's file.
 * @param options What.
 * @throws {UsageError} When the plan or the task's number cannot be.
 * @throws {Interrupted} When it was stopped, or another process has the task.
 * @throws {UserError} When something cannot be done.
 */
export async function sweepByPlan(path: string, options: TaskOptions & { readonly runs?: string }): Promise<void> {
  const asked = (["list", "status", "print", "task", "harvest"] as const).filter((name) => options[name] !== undefined);
  if (asked.length > 1) {
    throw new UsageError({
      action: `sweep by ${path} with ${asked.map((name) => `--${name}`).join(" and ")}`,
      requirement: "one thing at a time can be done of a plan",
      remedy: "leave one of them out",
    });
  }
  const plan = await readPlan(path, options.runs), list = await tasksOf(plan);
  if (options.list) return (await import("./told.ts")).tellTasks(plan, list, options.json === true);
  if (options.status) return await (await import("./told.ts")).tellStatus(plan, list, options.json === true);
  if (options.print !== undefined) {
    return (await import("./print.ts")).printFor(options.print as Engine, plan, list);
  }
  const say = voiceOf(options.log);
  if (options.harvest) return await harvestAll(plan, say);
  const number = options.task ?? taskFromEnvironment();
  if (number === null) return await doAll(plan, list, options, say);
  if (number >= list.tasks.length) {
    throw new UsageError({
      action: `do task ${number} of ${path}`,
      requirement: `its tasks are numbered from 0 to ${list.tasks.length - 1}`,
      found: "there is none of that number",
      remedy: "see mtc sweep with --list",
    });
  }
  const { doTask } = await import("./task.ts");
  await doTask(plan, list, number, options, say);
}

/** The number that an engine gave this process; null where none did. */
function taskFromEnvironment(): number | null {
  const name = TASK_VARIABLES.find((name) => (Deno.env.get(name) ?? "") !== "");
  if (name === undefined) return null;
  const text = Deno.env.get(name)!;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError({
    action: `read ${name}`,
    requirement: "it must be the number of a task",
    found: `it is "${text}"`,
    remedy: "give it with --task",
  });
}

async function harvestAll(plan: SweepPlan, say: Say): Promise<void> {
  if (plan.harvest === null) {
    throw new UsageError({
      action: `harvest for ${plan.path}`,
      requirement: 'it must have "harvest", a directory',
      found: "its tasks read the text themselves",
      remedy: "add it, or leave --harvest out",
    });
  }
  const { ensureHarvest, harvestOf } = await import("./shared_harvest.ts");
  const groups = new Map((plan.layers ?? [null]).map((layer) => [harvestOf(plan, layer).directory, layer]));
  for (const [directory, layer] of groups) {
    await ensureHarvest(plan, layer, say);
    say({ event: "harvested", directory }, `what the tasks share is in ${directory}`);
  }
}

/** All tasks that nobody else works on, one after the other; several such processes share them. */
async function doAll(plan: SweepPlan, list: TaskList, options: TaskOptions, say: Say): Promise<void> {
  const { doTask } = await import("./task.ts");
  const failed: number[] = [], elsewhere: number[] = [];
  for (const number of list.tasks.keys()) {
    try {
      await doTask(plan, list, number, options, say);
    } catch (error) {
      if (error instanceof Claimed) elsewhere.push(number);
      else if (error instanceof Interrupted || !(error instanceof UserError)) throw error;
      else failed.push(number);
      const { message } = error as UserError;
      say({ event: "not_done", task: number, reason: message }, printable(message));
    }
  }
  if (failed.length > 0) {
    throw new UserError({
      action: `finish ${failed.length} of ${list.tasks.length} tasks`,
      found: `those that failed are ${failed.join(", ")}`,
      remedy: `mtc sweep ${plan.path} --status tells why`,
    });
  }
  if (elsewhere.length === 0) return;
  throw new Claimed({
    stopped: `with all tasks done or in work elsewhere, which are ${elsewhere.join(", ")}`,
    remedy: "run the same command again later",
  });
}
