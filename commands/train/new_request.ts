/**
 * The command line of a run that begins, with random weights or with those of finished transcoders; everything that can be refused before any
 * work is refused here.
 * @module
 */

import type { Command } from "commander";
import { dirname, join, resolve } from "node:path";
import { UsageError } from "../../core/errors.ts";
import { BUILTIN } from "../../core/model/files.ts";
import { configOf } from "../../core/model/config.ts";
import type { DataPaths } from "../../core/text/documents.ts";
import { pinPaths } from "../../core/text/files.ts";
import { readingOf } from "../../core/text/summary.ts";
import { openTokenSource } from "../../core/text/source.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";
import { dataOf } from "../../core/runs/config.ts";
import { dataOfHarvest, type HarvestDescription, harvestId, readHarvest } from "../../core/runs/harvest.ts";
import { describeId, idOf, type Mapping, nameTranscoders } from "../../core/runs/ids.ts";
import { requireSameModel } from "../../core/runs/same_model.ts";
import { ownSettingsOf, type RunSettings, sharedSettingsOf } from "../../core/runs/settings.ts";
import { openHarvestOf } from "../../core/training/activations.ts";
import { openModelVisibly } from "../open_model.ts";
import { readingFor } from "../options.ts";
import { type Parent, parentsFor, requireSameShape, startOf } from "./parents.ts";
import {
  checkWidths,
  defaultLayers,
  EMBEDDED,
  excludedTokens,
  mappingsFor,
  PRESETS,
  PUBLISHED,
  withPreset,
} from "./settings.ts";
import { checkedSettings, inherited, settingsFrom } from "./chosen.ts";
import { checkDirectory, checkName, timestamp } from "./place.ts";
import type { RunOptions, TrainOptions, TrainRequest } from "./request.ts";

/**
 * Reads a command line that starts a run.
 *
 * @param options Its options.
 * @param command The command, which knows the flags.
 * @returns What is to be trained; the model is open.
 * @throws {UsageError} When a setting cannot be.
 * @throws {UserError} When model, text or directory do not allow the run.
 */
export async function newRequest(options: TrainOptions, command: Command): Promise<TrainRequest> {
  const isGiven = (name: string) => command.getOptionValueSource(name) === "cli";
  const preset = options.preset === undefined ? undefined : PRESETS[options.preset];
  if (preset && options.startFrom !== undefined) {
    throw new UsageError({
      action: `start from ${options.startFrom} with --preset ${options.preset}`,
      requirement: "its settings are the defaults then",
      remedy: "leave --preset out, or start without --start-from",
    });
  }
  const { sweep: _, ...request } = await requestOf(
    preset && !isGiven("source") ? { ...options, source: preset.source } : options,
    command,
    (defaults, harvested) => [settingsFrom(options, withPreset(defaults, preset), harvested, command)],
    options.startFrom === undefined ? null : await parentsFor(options.startFrom, options, isGiven),
  );
  return request;
}

/** The most transcoders of a sweep: twenty-six layers with ten each would be fewer. */
export const MOST_MEMBERS = 256;

/**
 * Refuses more transcoders than a run may have.
 *
 * @param members How many there would be.
 * @throws {UsageError} When they are more than {@link MOST_MEMBERS}.
 */
export function requireFew(members: number): void {
  if (members <= MOST_MEMBERS) return;
  throw new UsageError({
    action: `sweep over ${members.toLocaleString("en-US")} transcoders`,
    requirement: `there may be at most ${MOST_MEMBERS}`,
    remedy: "leave values out or make several sweeps",
  });
}

/** What a run is to train, before it has its name. */
interface Member extends Mapping {
  readonly settings: RunSettings;
  /** What it starts from, if not from random weights. */
  readonly parent?: Parent;
}

/** Two that have the same settings would be told apart by nothing. */
function alike({ directory }: Parent): UsageError {
  return new UsageError({
    action: `start from all transcoders of ${dirname(directory)}`,
    requirement: "they must differ in more than their weights",
    found: "with these settings two do not",
    remedy: "name one of them with --start-from, or leave settings out",
  });
}

/**
 * The request for a transcoder of each mapping, or of each parent, with each of some settings, which differ in nothing that a run shares.
 *
 * @param options The command line.
 * @param command The command, which knows the flags.
 * @param variantsFrom Makes the settings from the defaults, and from what a harvest decides.
 * @param parents What the transcoders start from; null for random weights.
 * @returns What is to be trained; the model is open.
 * @throws {UsageError} When a setting cannot be, or the transcoders are too many.
 * @throws {UserError} When model, text or directory do not allow the run.
 */
export async function requestOf(
  options: RunOptions,
  command: Command,
  variantsFrom: (defaults: RunSettings, harvested: Partial<RunSettings>) => RunSettings[],
  parents: readonly Parent[] | null = null,
): Promise<TrainRequest> {
  const harvest = options.activations === undefined ? null : await readHarvest(options.activations);
  const isGiven = (name: string) => command.getOptionValueSource(name) === "cli";
  const before = harvest?.model ?? parents?.[0].config.model;
  const named = before === undefined || isGiven("model") ? options.model : before.path ?? BUILTIN;
  const isEmbedded = named === BUILTIN, harvested = harvest ? harvestedSettings(harvest) : {};
  const variantsOf = (defaults: RunSettings) => variantsFrom(defaults, harvested).map(checkedSettings);
  // Each that starts from another keeps what that has for itself.
  const started = parents?.flatMap((parent) => variantsOf(inherited(parent)).map((settings) => ({ parent, settings })));
  const variants = started?.map(({ settings }) => settings) ?? variantsOf(isEmbedded ? EMBEDDED : PUBLISHED);
  const [chosen] = variants;
  for (const { parent, settings } of started ?? []) requireSameShape(parent, settings);
  // What can be refused without the model is refused before it is opened: that may be a download of an hour.
  const directoryOf = (name: string) => join(options.runs, checkName(name));
  const given = options.name === undefined ? null : directoryOf(options.name);
  if (given !== null) await checkDirectory(options.runs, given, options.dryRun === true);
  const model = await openModelVisibly(named);
  const config = configOf(model), { layers: modelLayers, vocabSize, bosTokenId } = config;
  const tokenizer = loadTokenizer(model);
  tokenizer.checkFitsModel(vocabSize, bosTokenId);
  if (parents) await requireSameModel(parents[0].config.model, model, `start from ${dirname(parents[0].directory)}`);
  const isKept = parents !== null && options.excludeTokens === undefined && options.includeBos === undefined;
  const exclude_tokens = isKept
    ? chosen.exclude_tokens
    : excludedTokens(options.excludeTokens, tokenizer, chosen.include_bos);
  const unnamed = harvest ? layersOf(harvest) : defaultLayers(modelLayers, isEmbedded);
  const members: Member[] = started?.map(({ parent, settings }) => {
    const { source, targets } = parent.config;
    return { source, targets, settings, parent };
  }) ??
    mappingsFor(options, modelLayers, unnamed).flatMap((mapping) =>
      variants.map((settings) => ({ ...mapping, settings }))
    );
  requireFew(members.length);
  checkWidths(members, config);
  const directory = given ?? directoryOf(`${model.name}-${timestamp(new Date())}`);
  if (given === null) await checkDirectory(options.runs, directory, options.dryRun === true);
  const data: DataPaths = options.data
    ? await pinPaths(options.data)
    : harvest
    ? dataOfHarvest(harvest)
    : parents
    ? dataOf(parents[0].config)
    : "builtin";
  // A run should not find out late that there is too little text for it, or for what is held out.
  const recorded = harvest?.data ?? (options.data ? undefined : parents?.[0].config.data);
  const reading = readingFor(options, data, recorded && readingOf(recorded));
  const { context, data_seed: seed } = chosen;
  const text = await openTokenSource({ tokenizer: model, data, reading, split: "train", context, seed });
  await text.close();
  const ids = members.map(({ settings, source, targets }) => idOf({ ...settings, source, targets, model }));
  const names = nameTranscoders(ids), descriptions = ids.map(describeId);
  if (started && new Set(descriptions).size < descriptions.length) throw alike(parents![0]);
  const starts = await Promise.all(members.map(({ parent }) => parent && startOf(parent)));
  const transcoders = members.map(({ settings, source, targets }, i) => {
    const { file: name } = names[i], start = starts[i];
    return { source, targets, name, settings: ownSettingsOf(settings), ...start && { start } };
  });
  const activations = harvest ? { path: resolve(options.activations!), harvest: harvestId(harvest) } : undefined;
  const request = {
    directory,
    settings: sharedSettingsOf({ ...chosen, exclude_tokens }),
    // A flat dictionary may be what --groups asked for anyway.
    transcoders: transcoders.filter((_, i) => descriptions.indexOf(descriptions[i]) === i),
    ...{ model, data, reading, activations },
  };
  if (activations) await (await openHarvestOf(request)).shards.close();
  return { ...request, resumed: null, isFinished: false, text: text.summary, sweep: { text: text.summary } };
}

/** What a harvest decides of a run's settings. */
function harvestedSettings({ context, seed, precision }: HarvestDescription): Partial<RunSettings> {
  return { context, ...seed !== null && { data_seed: seed }, precision };
}

/** The layers that anything was harvested of, in ascending order. */
function layersOf({ taps }: HarvestDescription): number[] {
  return [...new Set(taps.map(({ layer }) => layer))].sort((a, b) => a - b);
}
