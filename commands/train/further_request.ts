/**
 * `--more-steps`: a finished run goes on, as another one.
 * @module
 */

import type { Command } from "commander";
import { basename, join } from "node:path";
import { UsageError } from "../../core/errors.ts";
import { BUILTIN } from "../../core/model/files.ts";
import { pinPaths } from "../../core/text/files.ts";
import { readingOf } from "../../core/text/summary.ts";
import { openTokenSource } from "../../core/text/source.ts";
import { dataOf } from "../../core/runs/config.ts";
import { requireSameModel, requireSameText } from "../../core/runs/same_model.ts";
import { ownSettingsOf, sharedSettingsOf } from "../../core/runs/settings.ts";
import { openHarvestOf } from "../../core/training/activations.ts";
import { requireLastCheckpoint } from "../../core/training/further.ts";
import configuration from "../../deno.json" with { type: "json" };
import { openModelVisibly } from "../open_model.ts";
import { readingFor } from "../options.ts";
import { parentsFor, startOf } from "./parents.ts";
import { checkedSettings, inherited, settingsFrom } from "./chosen.ts";
import { checkDirectory, checkName, timestamp } from "./place.ts";
import type { TrainOptions, TrainRequest } from "./request.ts";
import { withBadLines } from "./resumed_request.ts";

/** What `--more-steps` leaves to choose; all else is as the run was, and its text goes on where it ended. */
const CHOSEN_FURTHER = [
  ...["startFrom", "moreSteps", "learningRate", "warmup", "logEvery", "checkpointEvery", "sampleEvery", "samples"],
  ...[
    "sampleThreshold",
    "sampleTokens",
    "evaluationTokens",
    "layers",
    "model",
    "data",
    "badLines",
    "runs",
    "name",
    "dryRun",
    "json",
    "adapter",
    "tensorboard",
    "deadline",
    "log",
  ],
];

/**
 * Reads a command line with `--more-steps`: a finished run goes on, as another one.
 *
 * @param more The steps.
 * @param options The command line.
 * @param command The command, which knows the flags.
 * @returns What is to be trained; the model is open.
 * @throws {UsageError} When settings are given that a run keeps, or one cannot be.
 * @throws {UserError} When the run is not finished or its last checkpoint is gone, or model, text or directory do not allow it.
 */
export async function furtherRequest(more: number, options: TrainOptions, command: Command): Promise<TrainRequest> {
  const { startFrom: path } = options, isGiven = (name: string) => command.getOptionValueSource(name) === "cli";
  const given = command.options.find((option) => {
    const name = option.attributeName();
    return isGiven(name) && !CHOSEN_FURTHER.includes(name);
  });
  if (path === undefined) {
    throw new UsageError({
      action: "train with --more-steps",
      requirement: "it needs the run that goes on",
      remedy: "name it with --start-from, or give --steps",
    });
  }
  if (given) {
    throw new UsageError({
      action: `go on with ${path} with ${given.long}`,
      requirement: "with --more-steps a run keeps what it is and what it reads",
      remedy: "leave the option out, or start from the weights alone: without --more-steps",
    });
  }
  const parents = await parentsFor(path, options, isGiven), [{ config: first }] = parents;
  for (const { directory, config } of parents) await requireLastCheckpoint(directory, config.steps);
  const directoryOf = (name: string) => join(options.runs, checkName(name));
  const known = options.name === undefined ? null : directoryOf(options.name);
  if (known !== null) await checkDirectory(options.runs, known, options.dryRun === true);
  const own = parents.map((parent) =>
    checkedSettings(settingsFrom({ ...options, steps: more }, inherited(parent), {}, command))
  );
  const model = await openModelVisibly(isGiven("model") ? options.model : first.model.path ?? BUILTIN);
  await requireSameModel(first.model, model, `go on with ${path}`);
  const directory = known ?? directoryOf(`${model.name}-${timestamp(new Date())}`);
  if (known === null) await checkDirectory(options.runs, directory, options.dryRun === true);
  const data = options.data ? await pinPaths(options.data) : dataOf(first);
  const reading = readingFor(options, data, readingOf(first.data));
  const { context, data_seed: seed, activations } = first;
  const text = await openTokenSource({ tokenizer: model, data, reading, split: "train", context, seed });
  await text.close();
  requireSameText(first.data, text.summary, `go on with ${path}`);
  const created = new Date().toISOString(), { version: mtc_version } = configuration;
  const starts = (await Promise.all(parents.map(startOf))).map(({ directory, parent }) => {
    return { directory, parent: { ...parent, goes_on: true } as const };
  });
  const resumed = parents.map(({ config }, i) => {
    const { parent } = starts[i];
    // Of a sweep, it goes on as a run like any other.
    return {
      ...withBadLines(config, options.badLines),
      ...own[i],
      steps: config.steps + more,
      mtc_version,
      created,
      parent,
      round: undefined,
    };
  });
  const transcoders = resumed.map((config, i) => {
    const { source, targets } = config, name = basename(parents[i].directory);
    return { source, targets, name, settings: ownSettingsOf(config), start: starts[i] };
  });
  const settings = sharedSettingsOf(resumed[0]);
  const request = { directory, settings, transcoders, model, data, reading, activations, resumed };
  if (activations) await (await openHarvestOf(request)).shards.close();
  return { ...request, isFinished: false, text: text.summary, parents: parents.map(({ directory }) => directory) };
}
