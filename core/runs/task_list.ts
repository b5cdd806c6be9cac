/**
 * plan-HASH.json beside the runs of a sweep: its tasks, numbered, as all machines that work on them must number them. Whoever needs it first
 * writes it; where which transcoders share a task was estimated, that estimate is everybody's from then on.
 * @module
 */

import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { UserError } from "../errors.ts";
import { makeOnce } from "../files/once.ts";
import { checked, parseJson, readJsonIfThere, readText } from "./json.ts";

/** A task. */
export interface SweepTask {
  /** The name of its run's directory: what it trains, and a hash of all that decides about its bytes. */
  readonly run: string;
  /** The layer that its transcoders predict; null where the plan's sites name their layers. */
  readonly layer: number | null;
  /** Its transcoders: the names of their directories in the run's, and a hash of all that decides about the bytes of each. */
  readonly transcoders: readonly { readonly name: string; readonly id: string }[];
}

/** A plan-HASH.json. */
export interface TaskList {
  /** 1. It rises when a key changes its meaning or goes away. */
  readonly format: number;
  /** What the plan is known by: a hash of what it says. */
  readonly plan: string;
  /** Version of mtc that numbered the tasks. */
  readonly mtc_version: string;
  /** The model and the text that they were numbered for. */
  readonly inputs: { readonly model: string; readonly text: string };
  /** Steps of each transcoder. */
  readonly steps: number;
  /** The tasks; their numbers are their places, from 0. */
  readonly tasks: readonly SweepTask[];
}

const TASKS_FORMAT = 1;
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const plainName = v.pipe(v.string(), v.check((name) => /^[^./\\][^/\\]*$/.test(name), "it must be a plain name"));
const parse: v.SafeParser<v.GenericSchema<unknown, TaskList>, undefined> = v.safeParser(
  v.object({
    format: v.literal(TASKS_FORMAT),
    plan: v.string(),
    mtc_version: v.string(),
    inputs: v.object({ model: v.string(), text: v.string() }),
    steps: count,
    tasks: v.array(v.object({
      run: plainName,
      layer: v.nullable(count),
      transcoders: v.array(v.object({ name: plainName, id: v.string() })),
    })),
  }),
);

/** Digits of a hash that a name ends in: enough for ten thousand tasks never to meet. */
const DIGITS = 10;

/**
 * A hash of a value, for a name.
 *
 * @param value Plain data; the order of keys counts.
 * @returns Hexadecimal digits.
 */
export function shortHash(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, DIGITS);
}

/**
 * Reads the tasks of a plan.
 *
 * @param runs Where its runs are.
 * @param plan What it is known by.
 * @returns Its plan-HASH.json; undefined where nobody has numbered them yet.
 * @throws {UserError} When it is damaged.
 */
export function readTasks(runs: string, plan: string): Promise<TaskList | undefined> {
  const path = pathOf(runs, plan);
  return readJsonIfThere(parse, path).catch((error) => Promise.reject(damaged(error)));
}

/**
 * Writes the tasks of a plan, unless another process has meanwhile.
 *
 * @param runs Where its runs are; the directory must exist.
 * @param tasks The tasks.
 * @returns Those that hold from now on: these, or the other process's.
 * @throws {UserError} When the disk does not take them.
 */
export async function numberTasks(runs: string, tasks: Omit<TaskList, "format">): Promise<TaskList> {
  const own = { format: TASKS_FORMAT, ...tasks }, path = pathOf(runs, tasks.plan);
  if (await makeOnce(path, JSON.stringify(own, null, 1) + "\n")) return own;
  return await listAt(path);
}

/**
 * The plans whose runs are in a directory.
 *
 * @param runs The directory.
 * @returns Their task lists, in the order of their hashes.
 * @throws {UserError} When one is damaged.
 */
export async function taskListsIn(runs: string): Promise<TaskList[]> {
  const names = (await readdir(runs).catch(() => [])).filter((name) => /^plan-[0-9a-f]+\.json$/.test(name)).sort();
  const lists: TaskList[] = [];
  for (const name of names) {
    lists.push(await listAt(join(runs, name)));
  }
  return lists;
}

async function listAt(path: string): Promise<TaskList> {
  try {
    return checked(parse, parseJson(await readText(path), path), path);
  } catch (error) {
    throw damaged(error);
  }
}

/** Unlike a run's files, a list is made again from its plan. */
function damaged(error: unknown): unknown {
  if (!(error instanceof UserError) || error.parts.requirement === undefined) return error;
  return new UserError({
    ...error.parts,
    remedy: "restore it, or remove it: the tasks are then numbered from the plan",
  });
}

function pathOf(runs: string, plan: string): string {
  return join(runs, `plan-${plan}.json`);
}
