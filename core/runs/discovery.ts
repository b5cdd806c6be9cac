/**
 * Finds the runs below a directory and picks the one that stands for each layer.
 * @module
 */
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { exists } from "../files/exists.ts";
import { readConfig } from "./files.ts";
import type { RunConfig } from "./schema.ts";

/** A directory that holds the config.json of one layer's run. */
export interface RunDirectory {
  /** Path of the layer's directory, for example `runs/demo/layer17`. */
  path: string;
  /** The run's settings. */
  config: RunConfig;
  /** Files that only a finished run has and that are not there; empty when the run is finished. */
  missing: string[];
}

/** Which of the runs found stand for their layer. */
export interface RunChoice {
  /** The newest finished run of each layer, by ascending layer. */
  chosen: RunDirectory[];
  /** Finished runs with a newer one for the same layer. */
  passedOver: RunDirectory[];
  /** Runs that lack files of a finished run. */
  unfinished: RunDirectory[];
}

const finishedFiles = ["transcoder.safetensors", "metrics.csv", "evaluation.json", "features.csv", "samples.jsonl"];

async function layerDirectories(directory: string): Promise<{ layers: string[]; others: string[] }> {
  const layers: string[] = [], others: string[] = [];
  for await (const entry of Deno.readDir(directory)) {
    // No run begins with a dot but one that was killed before it had its name.
    if (entry.name.startsWith(".") || (!entry.isDirectory && !entry.isSymlink)) continue;
    (/^layer\d+$/.test(entry.name) ? layers : others).push(join(directory, entry.name));
  }
  return { layers: layers.sort(), others: others.sort() };
}

/**
 * Finds every `layer<N>` directory with a config.json in `root` (when `root` is itself a run) and in the directories below it.
 * @throws {UserError} when `root` is missing, is no directory, or holds no run.
 */
export async function findRuns(root: string): Promise<RunDirectory[]> {
  const info = await Deno.stat(root).catch(() => undefined);
  if (!info?.isDirectory) {
    const current = info ? "it is a file" : "it does not exist";
    throw new UserError(
      `Cannot look for runs in ${root}: it must be a directory, ${current}; run \`mtc train\` first or name another one with --runs`,
    );
  }
  const { layers, others } = await layerDirectories(root);
  for (const run of others) {
    if ((await Deno.stat(run).catch(() => undefined))?.isDirectory) {
      layers.push(...(await layerDirectories(run)).layers);
    }
  }
  const runs: RunDirectory[] = [];
  for (const path of layers) {
    if (!await exists(join(path, "config.json"))) continue;
    const present = await Promise.all(finishedFiles.map((file) => exists(join(path, file))));
    runs.push({ path, config: await readConfig(path), missing: finishedFiles.filter((_, i) => !present[i]) });
  }
  if (runs.length > 0) return runs;
  throw new UserError(
    `Cannot find a run in ${root}: it must hold <name>/layer<N>/config.json, it holds none; ` +
      "run `mtc train` first or name another directory with --runs",
  );
}

/**
 * Takes the newest finished run of each layer, by `created`.
 * @throws {UserError} when none of the runs is finished.
 */
export function chooseRuns(runs: RunDirectory[]): RunChoice {
  const newestFirst = runs.toSorted((a, b) => Date.parse(b.config.created) - Date.parse(a.config.created));
  const chosen = new Map<number, RunDirectory>();
  const passedOver: RunDirectory[] = [], unfinished: RunDirectory[] = [];
  for (const run of newestFirst) {
    if (run.missing.length > 0) unfinished.push(run);
    else if (chosen.has(run.config.layer)) passedOver.push(run);
    else chosen.set(run.config.layer, run);
  }
  if (chosen.size === 0) {
    const [{ path, missing }] = unfinished;
    throw new UserError(
      `Cannot report on ${path}: the run must be finished, ${missing.join(", ")} ${
        missing.length === 1 ? "is" : "are"
      } missing; ` + `finish it with \`mtc train --resume ${join(path, "..")}\``,
    );
  }
  return {
    chosen: [...chosen.values()].sort((a, b) => a.config.layer - b.config.layer),
    passedOver,
    unfinished,
  };
}
