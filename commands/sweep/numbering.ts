/**
 * From a plan to its tasks: which transcoders it trains, which of them share a task, and what each task is called.
 * @module
 */

import { Command } from "commander";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { UsageError } from "../../core/errors.ts";
import { fitRounds } from "../../core/estimate/fit.ts";
import { freeResources } from "../../core/estimate/resources.ts";
import { fileError } from "../../core/files/atomic.ts";
import { openGpu } from "../../core/gpu/device.ts";
import { configOf } from "../../core/model/config.ts";
import { modelFingerprint } from "../../core/model/files.ts";
import { tapName } from "../../core/model/sites.ts";
import { idOf, type Mapping, nameTranscoders } from "../../core/runs/ids.ts";
import { sharedSettingsOf } from "../../core/runs/settings.ts";
import { numberTasks, readTasks, shortHash, type SweepTask, type TaskList } from "../../core/runs/task_list.ts";
import type { PlannedTranscoder } from "../../core/training/plan.ts";
import { featureCount } from "../../core/transcoder/shape.ts";
import configuration from "../../deno.json" with { type: "json" };
import type { SweepOptions, TrainRequest } from "../train/request.ts";
import { mappingsFor } from "../train/settings.ts";
import { sweepRequest } from "../train/sweep_request.ts";
import { withSweepOptions } from "./options.ts";
import { optionsFrom, type SweepPlan } from "./plan.ts";

/**
 * What a plan trains of one layer, as `mtc sweep` would.
 *
 * @param plan The plan.
 * @param layer The layer; null where its sites name theirs.
 * @param activations A harvest to read them from.
 * @returns The request, of no directory yet, and the options that it was made of; the model is open.
 * @throws {UsageError} When the plan says what cannot be.
 * @throws {UserError} When model, text or harvest do not allow it.
 */
export async function requestFor(
  { args, hash, runs, path }: SweepPlan,
  layer: number | null,
  activations?: string,
): Promise<{ request: TrainRequest; options: SweepOptions }> {
  const command = withSweepOptions(new Command("sweep"));
  // Nothing of that name is made: each task has its own.
  const place = ["--name", `plan-${hash}`, "--runs", runs, "--dry-run"];
  const layers = layer === null ? [] : ["--layers", String(layer)];
  const harvest = activations === undefined ? [] : ["--activations", activations];
  const options = await optionsFrom(command, [...args, ...layers, ...harvest, ...place]);
  try {
    return { request: await sweepRequest(options, command), options };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError({ ...error.parts, remedy: `${error.parts.remedy ?? "correct it"} in ${path}` });
  }
}

/**
 * The tasks of a plan; numbered now, where nobody has done that yet.
 *
 * @param plan The plan.
 * @returns Its tasks.
 * @throws {UsageError} When the plan says what cannot be.
 * @throws {UserError} When model, text or disk do not allow it, or the machine cannot tell what fits.
 */
export async function tasksOf(plan: SweepPlan): Promise<TaskList> {
  const numbered = await readTasks(plan.runs, plan.hash);
  if (numbered) return numbered;
  const { request, options } = await requestFor(plan, plan.layers && plan.layers[0]);
  try {
    const { settings, transcoders, model, text: { fingerprint: text } } = request;
    const layers = configOf(model).layers, fingerprint = await modelFingerprint(model);
    const mappings = plan.layers
      ? mappingsFor({ ...options, layers: plan.layers }, layers, [])
      : [...new Map(transcoders.map((each) => [mappingOf(each), each])).values()];
    const [first] = transcoders, variants = transcoders.filter((each) => mappingOf(each) === mappingOf(first));
    const all = mappings.flatMap(({ source, targets }) => variants.map((each) => ({ ...each, source, targets })));
    const size = await sizeOf(plan, request, all);
    const tasks = [...Map.groupBy(all, layerOf).values()].flatMap((ofLayer) => {
      const parts = Array.from({ length: Math.ceil(ofLayer.length / size) }, (_, i) => i * size);
      return parts.map((at) => taskOf(plan, request, ofLayer.slice(at, at + size), fingerprint));
    });
    const list = {
      ...{ plan: plan.hash, mtc_version: configuration.version, inputs: { model: fingerprint, text }, tasks },
      steps: settings.steps,
    };
    await mkdir(plan.runs, { recursive: true }).catch((error) => Promise.reject(fileError("create", plan.runs, error)));
    return await numberTasks(plan.runs, list);
  } finally {
    await request.model.weights.close();
  }
}

/**
 * The part of a plan's layer that a task trains.
 *
 * @param request What the plan trains of that layer.
 * @param task The task.
 * @param runs Where its run is kept.
 * @returns The task's own request.
 * @throws {UsageError} When model or text are not those that the tasks were numbered for.
 */
export async function requestOfTask(request: TrainRequest, task: SweepTask, runs: string): Promise<TrainRequest> {
  const fingerprint = await modelFingerprint(request.model);
  const transcoders = task.transcoders.map(({ name, id }) => {
    const found = request.transcoders.find((each) => identityOf(request, each, fingerprint) === id);
    if (found) return { ...found, name };
    throw new UsageError({
      action: `do the task ${task.run}`,
      requirement: "model and text must be those that the tasks were numbered for",
      found: "one of them has changed since",
      remedy: `put it back as it was, or remove the plan-*.json in ${runs} to number the tasks anew`,
    });
  });
  return { ...request, directory: join(runs, task.run), transcoders };
}

function mappingOf({ source, targets }: Mapping): string {
  return [source, ...targets].map(tapName).join();
}

function layerOf({ targets }: Mapping): number {
  return targets[0].layer;
}

/** The transcoders of a task. What fits is told by the deepest layer, which needs the most of the model. */
async function sizeOf(plan: SweepPlan, request: TrainRequest, all: readonly PlannedTranscoder[]): Promise<number> {
  const { together, memory, harvest, runs } = plan;
  if (together !== "fit") return together;
  const deepest = Math.max(...all.map(layerOf)), transcoders = all.filter((each) => layerOf(each) === deepest);
  using gpu = await openGpu(undefined, request.settings.precision);
  const here = await freeResources(gpu, runs);
  // Of another machine only that is known which the plan says.
  const free = memory === null ? here : {
    ...{ host: Infinity, disk: Infinity },
    gpu: { isHost: false, available: (wanted: number) => Promise.resolve(Math.min(wanted, memory)) } as const,
  };
  const activations = harvest === null ? undefined : { path: harvest, harvest: "" };
  const machine = { gpu, free, base: Deno.memoryUsage().rss };
  const [round] = await fitRounds(machine, { ...request, transcoders, activations }, Infinity);
  return round.run.transcoders.length;
}

/** All that decides about a transcoder's bytes. */
function identityOf(
  { settings, text: { fingerprint, contents } }: Pick<TrainRequest, "settings" | "text">,
  transcoder: PlannedTranscoder,
  model: string,
): string {
  return shortHash([
    model,
    fingerprint,
    contents,
    mappingOf(transcoder),
    sharedSettingsOf(settings),
    transcoder.settings,
  ]);
}

function taskOf(
  { layers }: SweepPlan,
  request: TrainRequest,
  transcoders: readonly PlannedTranscoder[],
  fingerprint: string,
): SweepTask {
  const { settings: { data_seed }, model } = request;
  const ids = transcoders.map(({ source, targets, settings }) =>
    idOf({ ...settings, data_seed, source, targets, model })
  );
  const identities = transcoders.map((each) => identityOf(request, each, fingerprint));
  const isOne = transcoders.length === 1, [place] = nameTranscoders([ids[0]]);
  // The name says no more than the transcoders' own settings, and of several what they share: a plan that grows finds what it has trained.
  const told = transcoders.map((
    { settings: { groups, k, seed } },
  ) => [`f${featureCount(groups)}`, `k${k}`, `seed${seed}`]);
  const what = told[0].filter((part, i) => told.every((other) => other[i] === part));
  if (!isOne) what.push(`${transcoders.length}-transcoders`);
  const run = [place.file, ...what, isOne ? identities[0] : shortHash(identities)].join("-");
  const names = nameTranscoders(ids).map(({ file }) => file);
  return {
    run,
    layer: layers === null ? null : layerOf(transcoders[0]),
    transcoders: names.map((name, i) => ({ name, id: identities[i] })),
  };
}
