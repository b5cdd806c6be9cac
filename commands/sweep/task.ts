/**
 * One task of a plan, from wherever it stands: a run that is started, gone on with, or found finished. Whatever becomes of it stands in the
 * run's status.json, whatever its process exits with.
 * @module
 */

import { stoppedCode } from "../../core/ending.ts";
import { Interrupted, UsageError, UserError } from "../../core/errors.ts";
import { makeDirectories } from "../../core/files/temporary.ts";
import { readConfig } from "../../core/runs/config.ts";
import { transcodersIn } from "../../core/runs/discovery.ts";
import { removeLeases } from "../../core/runs/lease.ts";
import { filesToMake } from "../../core/runs/lost_files.ts";
import { readStatus, type TaskStatus, writeStatus } from "../../core/runs/status.ts";
import type { TaskList } from "../../core/runs/task_list.ts";
import { Diverged } from "../../core/training/step_log.ts";
import { join } from "node:path";
import { trainCommand } from "../train/command.ts";
import type { RunEvent } from "../train/events.ts";
import type { TrainOptions, TrainRequest } from "../train/request.ts";
import { resumedRequest } from "../train/resumed_request.ts";
import { carryOut, withResume } from "../train/work.ts";
import { claim, Claimed } from "./claim.ts";
import { requestFor, requestOfTask } from "./numbering.ts";
import type { TaskOptions } from "./options.ts";
import { optionsFrom, type SweepPlan } from "./plan.ts";
import { ensureHarvest } from "./shared_harvest.ts";
import { jobName, type Say } from "./voice.ts";

/** Seconds between two writings of status.json while steps are taken. */
const STATUS_EVERY_S = 10;

/**
 * Does a task.
 *
 * @param plan The plan.
 * @param list Its tasks.
 * @param number The task.
 * @param options How.
 * @param say Says what becomes of it.
 * @throws {Claimed} When another process works on it.
 * @throws {Interrupted} When it was stopped, with everything saved.
 * @throws {UserError} When it cannot be done.
 */
export async function doTask(
  plan: SweepPlan,
  list: TaskList,
  number: number,
  options: TaskOptions,
  say: Say,
): Promise<void> {
  const { run } = list.tasks[number], directory = join(plan.runs, run);
  say({ event: "task", task: number, run }, `task ${number} of ${list.tasks.length}: ${run}`);
  const tellDone = () => say({ event: "nothing_left", task: number, run }, `task ${number} has nothing left to do`);
  if (await isWhole(directory, list, number)) return tellDone();
  await makeDirectories(plan.runs);
  const own = await claim(directory, plan.lease, say);
  const status = new StatusFile(directory, number, list, await readStatus(directory).catch(() => undefined));
  try {
    // Whoever had it before may have finished it while this process waited.
    if (await isWhole(directory, list, number)) return tellDone();
    await status.write({ state: "starting" });
    const request = await requestNow(plan, list, number, say, status);
    const overseer = { lost: own.lost, beforeWriting: own.confirm, listen: (event: RunEvent) => status.hear(event) };
    await carryOut({ ...request, hasEvents: options.tensorboard }, options, overseer);
    await status.write({ state: "done", step: list.steps, exit_code: 0 });
  } catch (error) {
    throw await status.failed(error);
  } finally {
    await own.release();
    if (status.isDone) await removeLeases(directory);
  }
}

/** Whether nothing is left to do, by what a finished task leaves. */
async function isWhole(directory: string, { tasks, plan: _ }: TaskList, number: number): Promise<boolean> {
  const before = await readStatus(directory).catch(() => undefined);
  if (before?.state !== "done") return false;
  for (const { name } of tasks[number].transcoders) {
    const path = join(directory, name);
    const config = await readConfig(path).catch(() => null);
    if (config === null || (await filesToMake(path, config)).length > 0) return false;
  }
  return true;
}

/** What is left to train: the run where there is one, else a new one. */
async function requestNow(
  plan: SweepPlan,
  { tasks }: TaskList,
  number: number,
  say: Say,
  status: StatusFile,
): Promise<TrainRequest> {
  const task = tasks[number], directory = join(plan.runs, task.run);
  let activations: string | undefined;
  if (plan.harvest !== null) {
    await status.write({ state: "harvesting" });
    activations = await ensureHarvest(plan, task.layer, say);
  }
  if ((await transcodersIn(directory).catch(() => [])).length > 0) {
    const command = trainCommand(), placed = placesIn(plan.args);
    const options = await optionsFrom(command, ["--resume", directory, ...placed]) as unknown as TrainOptions;
    return await resumedRequest(directory, options, command);
  }
  const { request } = await requestFor(plan, task.layer, activations);
  return await requestOfTask(request, task, plan.runs);
}

/** Where model and text lie, which may be elsewhere than where the run began. */
function placesIn(args: readonly string[]): string[] {
  const value = (flag: string) => {
    const at = args.indexOf(flag),
      rest = at < 0 ? [] : args.slice(at + 1),
      end = rest.findIndex((arg) => arg.startsWith("--"));
    return at < 0 ? [] : [flag, ...end < 0 ? rest : rest.slice(0, end)];
  };
  return [...value("--model"), ...value("--data")];
}

/** The status.json of a task under way. */
class StatusFile {
  #status: TaskStatus;
  #written = -Infinity;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(readonly directory: string, task: number, { plan, steps }: TaskList, before: TaskStatus | undefined) {
    const now = new Date().toISOString(), job = jobName();
    this.#status = {
      ...{ task, plan, state: "starting", step: before?.step ?? 0, steps },
      ...{ host: Deno.hostname(), process: Deno.pid, ...job !== undefined && { job } },
      ...{ attempts: (before?.attempts ?? 0) + 1, started: now, updated: now },
    };
  }

  /** Whether the task is done. */
  get isDone(): boolean {
    return this.#status.state === "done";
  }

  /** Writes it with changes, behind whatever is being written. */
  write(changes: Partial<TaskStatus>): Promise<void> {
    this.#status = { ...this.#status, ...changes, updated: new Date().toISOString() };
    this.#written = performance.now();
    const status = this.#status,
      writing = this.#writing.catch(() => {}).then(() => writeStatus(this.directory, status));
    this.#writing = writing;
    return writing;
  }

  /** Hears what the run does; steps are written now and then. */
  hear({ event, done, step }: RunEvent): void {
    // The run's directory is about to take the place of the one that holds this file alone.
    if (event === "begun") return;
    const state = event === "sampling" || event === "evaluating" || event === "measuring_loss"
      ? "finishing"
      : "training";
    const at = event === "step" ? done : event === "checkpoint" ? step : this.#status.step;
    const isNews = state !== this.#status.state || event === "checkpoint";
    this.#status = { ...this.#status, state, step: at as number };
    if (!isNews && performance.now() - this.#written < 1000 * STATUS_EVERY_S) return;
    // Whoever cannot write it any more is told so by what the run itself writes.
    this.write({}).catch(() => {});
  }

  /** Writes why the task ended without being done; returns what to throw. */
  async failed(error: unknown): Promise<unknown> {
    // Then it is the other process's.
    if (error instanceof Claimed) return error;
    const told = await withResume(error, this.directory);
    const isStopped = error instanceof Interrupted;
    const reason = told instanceof UserError ? told.message : `a defect of mtc: ${(told as Error).message}`;
    const exit_code = isStopped ? stoppedCode() : told instanceof UsageError ? 2 : 1;
    await this.write({ state: isStopped ? "stopped" : "failed", exit_code, reason }).catch(() => {});
    return error instanceof Diverged ? error : told;
  }
}
