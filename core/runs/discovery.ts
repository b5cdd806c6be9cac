/**
 * Finds the transcoders of runs below a directory, and picks those that a report is about.
 * @module
 */

import { join } from "node:path";
import { UserError } from "../errors.ts";
import { exists } from "../files/exists.ts";
import { checkpointSteps } from "./checkpoints.ts";
import { CONFIG_FILE, readConfig, type TranscoderConfig } from "./config.ts";
import { compareIds, describeId, idOf, nameTranscoders, type TranscoderName } from "./ids.ts";
import { readText } from "./json.ts";
import { trainerOf } from "./lock.ts";
import { reportedFiles } from "./lost_files.ts";
import { METRICS_FILE } from "./metrics.ts";
import { TRANSCODER_FILE } from "./transcoder.ts";

/** The directory of a transcoder. */
export interface TranscoderDirectory {
  /** Its path, for example `runs/demo/layer17`. */
  readonly path: string;
  /** Its config.json. */
  readonly config: TranscoderConfig;
  /** Files that only a finished transcoder has and that are not there; empty when it is finished. */
  readonly missing: readonly string[];
  /** Of one that is not finished, how it is being trained at this moment; null when it is not. */
  readonly training: Training | null;
}

/** A run in progress. */
export interface Training {
  /** Who trains it, for example `process 4711 on node7`. */
  readonly by: string;
  /** The step of the newest checkpoint; 0 before the first. */
  readonly saved: number;
}

/** One of the transcoders that a report is about. */
export interface ChosenTranscoder extends TranscoderDirectory {
  /** What it is called among them. */
  readonly name: TranscoderName;
}

/** Which of the transcoders found a report is about. */
export interface TranscoderChoice {
  /** The newest finished one of each identity, in the order of {@link compareIds}. */
  readonly chosen: readonly ChosenTranscoder[];
  /** Finished ones, each with a newer one of the same identity. */
  readonly passedOver: readonly { readonly older: TranscoderDirectory; readonly newer: TranscoderDirectory }[];
  /** Those that lack files of a finished one. */
  readonly unfinished: readonly TranscoderDirectory[];
}

/** A model's directory has a config.json too; training makes ours together with metrics.csv, so that a damaged one is known by that. */
async function isTranscoder(directory: string): Promise<boolean> {
  const text = await readText(join(directory, CONFIG_FILE)).catch(() => null);
  return text?.includes('"mtc_version"') || await exists(join(directory, METRICS_FILE));
}

/** The directories in a directory, sorted, numbers in their order. No run begins with a dot but one that never got its name. */
async function directoriesIn(path: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory, isSymlink } of Deno.readDir(path)) {
    if (name.startsWith(".") || (!isDirectory && !isSymlink)) continue;
    if ((await Deno.stat(join(path, name)).catch(() => null))?.isDirectory) found.push(name);
  }
  return found.sort((a, b) => a.localeCompare(b, "en", { numeric: true })).map((name) => join(path, name));
}

/**
 * The transcoders' directories right in a run's, whatever they are called.
 *
 * @param run The run's directory.
 * @returns Their paths, sorted; empty when it is no run's.
 * @throws {Error} The file system's, when the directory cannot be read.
 */
export async function transcodersIn(run: string): Promise<string[]> {
  const directories = await directoriesIn(run);
  const ours = await Promise.all(directories.map(isTranscoder));
  return directories.filter((_, i) => ours[i]);
}

/**
 * The runs right in a directory.
 *
 * @param path A directory, for example `runs`.
 * @returns The paths of those in it that hold transcoders, sorted.
 */
export async function runsIn(path: string): Promise<string[]> {
  const directories = await directoriesIn(path);
  const transcoders = await Promise.all(directories.map((run) => transcodersIn(run).catch(() => [])));
  return directories.filter((_, i) => transcoders[i].length > 0);
}

/**
 * The directories of transcoders: the directory itself, those in it when it is a run, and those of the runs in it.
 *
 * @param root Where to look.
 * @returns Their paths, whether or not their config.json can be read; perhaps none.
 * @throws {UserError} When `root` is missing or is no directory.
 */
export async function transcodersBelow(root: string): Promise<string[]> {
  const info = await Deno.stat(root).catch(() => undefined);
  if (!info?.isDirectory) {
    throw new UserError({
      action: `look for runs in ${root}`,
      requirement: "it must be a directory",
      found: info ? "it is a file" : "it does not exist",
      remedy: "run `mtc train` first or name another one",
    });
  }
  const paths = await isTranscoder(root) ? [root] : await transcodersIn(root);
  for (const run of await runsIn(root)) paths.push(...await transcodersIn(run));
  return paths;
}

/**
 * Looks at a transcoder's directory.
 *
 * @param path The directory.
 * @returns What it is, and what it lacks.
 * @throws {UserError} When its config.json cannot be read.
 */
export async function openTranscoderDirectory(path: string): Promise<TranscoderDirectory> {
  const config = await readConfig(path);
  const wanted = reportedFiles(config);
  const present = await Promise.all(wanted.map((file) => exists(join(path, file))));
  const missing = wanted.filter((_, i) => !present[i]);
  return { path, config, missing, training: missing.length > 0 ? await trainingOf(path) : null };
}

/**
 * Finds transcoders: the directory itself, those in it when it is a run, and those of the runs in it.
 *
 * @param root Where to look.
 * @param passOver Hears of each whose config.json cannot be read, as long as there is one whose can; without it, none may be so.
 * @returns What was found, at least one.
 * @throws {UserError} When `root` is missing, is no directory, or holds none, or a config.json cannot be read.
 */
export async function findTranscoders(
  root: string,
  passOver?: (path: string, error: UserError) => void,
): Promise<TranscoderDirectory[]> {
  const paths = await transcodersBelow(root);
  if (paths.length === 0) {
    throw new UserError({
      action: `find a run in ${root}`,
      requirement: `it must hold <run>/<transcoder>/${CONFIG_FILE}`,
      found: "it holds none",
      remedy: "run `mtc train` first or name another directory",
    });
  }
  const found: TranscoderDirectory[] = [], unreadable: { path: string; error: UserError }[] = [];
  for (const path of paths) {
    try {
      found.push(await openTranscoderDirectory(path));
    } catch (error) {
      if (!(error instanceof UserError) || passOver === undefined) throw error;
      unreadable.push({ path, error });
    }
  }
  if (found.length === 0) throw unreadable[0].error;
  for (const { path, error } of unreadable) passOver!(path, error);
  return found;
}

/**
 * Takes the newest finished transcoder of each identity, by `created`. Whatever differs in mapping, size, k, learning rate, seeds or model
 * stands for itself.
 *
 * @param found What was found.
 * @param mayBeNone Whether it will do that none is finished.
 * @returns The choice.
 * @throws {UserError} When none is finished.
 */
export function chooseTranscoders(found: readonly TranscoderDirectory[], mayBeNone = false): TranscoderChoice {
  const newestFirst = found.toSorted((a, b) => Date.parse(b.config.created) - Date.parse(a.config.created));
  const newest = new Map<string, TranscoderDirectory>();
  const passedOver: { older: TranscoderDirectory; newer: TranscoderDirectory }[] = [];
  const unfinished = newestFirst.filter(({ missing }) => missing.length > 0);
  for (const directory of newestFirst.filter(({ missing }) => missing.length === 0)) {
    const key = describeId(idOf(directory.config)), newer = newest.get(key);
    if (newer) passedOver.push({ older: directory, newer });
    else newest.set(key, directory);
  }
  if (newest.size === 0 && !mayBeNone) {
    const [first] = unfinished;
    throw new UserError({
      action: `report on ${first.path}`,
      requirement: "the run must be finished",
      ...whyUnfinished(first),
    });
  }
  const chosen = [...newest.values()].sort((a, b) => compareIds(idOf(a.config), idOf(b.config)));
  const names = nameTranscoders(chosen.map(({ config }) => idOf(config)));
  return { chosen: chosen.map((directory, i) => ({ ...directory, name: names[i] })), passedOver, unfinished };
}

/**
 * Finds out whether a transcoder is being trained at this moment.
 *
 * @param path Its directory.
 * @returns By whom and how far it is; null when it is not.
 */
export async function trainingOf(path: string): Promise<Training | null> {
  const by = await trainerOf(join(path, ".."));
  return by === null ? null : { by, saved: (await checkpointSteps(path))[0] ?? 0 };
}

/**
 * Says why there is nothing to read about a transcoder yet.
 *
 * @param directory One that lacks files.
 * @returns What holds, and what helps: to wait where it is being trained, else to go on with it.
 */
export function whyUnfinished(
  { path, config: { steps, imported }, missing, training }: TranscoderDirectory,
): { readonly found: string; readonly remedy: string } {
  if (training) {
    const { by, saved } = training;
    return { found: `${by} trains it, ${saved} of ${steps} steps are saved`, remedy: "wait until it ends" };
  }
  const isOne = missing.length === 1;
  if (imported) {
    return {
      found: `${missing.join(", ")} ${isOne ? "is" : "are"} missing`,
      remedy: "import it again with `mtc import`",
    };
  }
  const resume = `\`mtc train --resume ${join(path, "..")}\``;
  return {
    found: `${missing.join(", ")} ${isOne ? "is" : "are"} missing`,
    remedy: missing.includes(TRANSCODER_FILE)
      ? `finish it with ${resume}`
      : `${resume} makes ${isOne ? "it" : "them"} again`,
  };
}
