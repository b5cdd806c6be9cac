/**
 * From the command line of `mtc train`, or the config.json files of a run, to what is to be trained; everything that can be refused
 * before any work is refused here.
 * @module
 */

import { Command, Option } from "commander";
import { lstat, readdir, rmdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { SettingError, UsageError, UserError } from "../../core/errors.ts";
import { fileError } from "../../core/files/atomic.ts";
import { exists } from "../../core/files/exists.ts";
import { makeDirectories, makeTemporaryDirectory, removeEmpty } from "../../core/files/temporary.ts";
import { BUILTIN, type ModelFiles, modelFingerprint } from "../../core/model/files.ts";
import { configOf } from "../../core/model/config.ts";
import { checkLayer, tapName, widthOf } from "../../core/model/sites.ts";
import type { DataPaths } from "../../core/text/documents.ts";
import { nameOfData, pinPaths } from "../../core/text/files.ts";
import { readingOf } from "../../core/text/summary.ts";
import { openTokenSource } from "../../core/text/source.ts";
import type { TextSummary } from "../../core/text/summary.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";
import { featureCount } from "../../core/transcoder/shape.ts";
import { checkpointsOf } from "../../core/runs/checkpoints.ts";
import { CONFIG_FILE, dataOf, ownSteps, readConfig, type TranscoderConfig } from "../../core/runs/config.ts";
import { transcodersIn } from "../../core/runs/discovery.ts";
import { dataOfHarvest, type HarvestDescription, harvestId, readHarvest } from "../../core/runs/harvest.ts";
import { describeId, idOf, type Mapping, nameTranscoders, sourcesOf } from "../../core/runs/ids.ts";
import { filesToMake, requireMendable } from "../../core/runs/lost_files.ts";
import { requireSameModel } from "../../core/runs/same_model.ts";
import { ownSettingsOf, type RunSettings, settingsOf, sharedSettingsOf } from "../../core/runs/settings.ts";
import { TRANSCODER_FILE } from "../../core/runs/transcoder.ts";
import { openHarvestOf } from "../../core/training/activations.ts";
import { requireLastCheckpoint } from "../../core/training/further.ts";
import { directoriesOf, type TrainingPlan } from "../../core/training/plan.ts";
import { checkSettings } from "../../core/training/recipe.ts";
import { requireSameText } from "../../core/training/start.ts";
import type { Precision } from "../../core/gpu/products.ts";
import configuration from "../../deno.json" with { type: "json" };
import { openModelVisibly } from "../open_model.ts";
import { readingFor } from "../options.ts";
import { Progress } from "../progress.ts";
import { chooseParents, openParents, type Parent, requireSameShape, startOf } from "./parents.ts";
import {
  checkWidths,
  defaultLayers,
  EMBEDDED,
  excludedTokens,
  groupsFor,
  inFlags,
  mappingsFor,
  NUMBER_OPTIONS,
  PUBLISHED,
} from "./settings.ts";

/** The options as commander gives them; those of NUMBER_OPTIONS are numbers, or lists of them. */
interface RunOptions extends Record<string, unknown> {
  model: string;
  data?: string[];
  textColumn?: string;
  badLines?: number;
  layers?: number[];
  source: string;
  target: string;
  groups?: number[];
  includeBos?: boolean;
  skip?: boolean;
  excludeTokens?: string[];
  precision: Precision;
  runs: string;
  name?: string;
  dryRun?: boolean;
  json?: boolean;
  activations?: string;
  atOnce?: number;
}

/** Those of `mtc train`. */
export interface TrainOptions extends RunOptions {
  dictionary?: number;
  resume?: string;
  startFrom?: string;
  moreSteps?: number;
}

/** Those of `mtc sweep`. */
export interface SweepOptions extends RunOptions {
  dictionary?: number[];
  k?: number[];
  learningRate?: number[];
  seed?: number[];
  flat?: true;
}

/** What is trained, once the command line is understood: a plan, but for what only an open device can say. */
export interface TrainRequest extends Omit<TrainingPlan, "describe"> {
  /** Whether a resumed run has nothing left to do. */
  readonly isFinished: boolean;
  /** What is known of the text; of a resumed run, what it recorded. */
  readonly text: TextSummary;
  /** Of a resumed run, which of its transcoders have nothing left to do; absent where none has. */
  readonly whole?: readonly boolean[];
  /** Of a sweep: the text as it was when it was checked. It is trained in rounds, see {@link remaining}. */
  readonly sweep?: { readonly text: TextSummary };
  /** Of a run that goes on with a finished one, the directory of each transcoder's parent; such a run is resumed from there. */
  readonly parents?: readonly string[];
}

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
  const { sweep: _, ...request } = await requestOf(
    options,
    command,
    (defaults, harvested) => [settingsFrom(options, defaults, harvested, command)],
    options.startFrom === undefined ? null : await parentsFor(options.startFrom, options, isGiven),
  );
  return request;
}

/** The most transcoders of a sweep: twenty-six layers with ten each would be fewer. */
export const MOST_MEMBERS = 256;

/**
 * Reads a command line that starts a sweep.
 *
 * @param options Its options.
 * @param command The command, which knows the flags.
 * @returns A transcoder for every combination of what is listed, by layer and source; the model is open.
 * @throws {UsageError} When a setting cannot be, or the combinations are too many.
 * @throws {UserError} When model, text or directory do not allow the run.
 */
export async function sweepRequest(options: SweepOptions, command: Command): Promise<TrainRequest> {
  const { dictionary = [undefined], k = [undefined], learningRate = [undefined], seed = [undefined], flat } = options;
  const lists = [dictionary, k, learningRate, seed];
  requireFew(lists.reduce((product, { length }) => product * length, flat ? 2 : 1));
  const request = await requestOf(options, command, (defaults, harvested) => {
    const dataSeed = options.dataSeed ?? harvested.data_seed ?? options.seed?.[0];
    const settings = (own: TrainOptions) => settingsFrom(own, defaults, harvested, command);
    const all = dictionary.flatMap((dictionary) =>
      k.flatMap((k) =>
        learningRate.flatMap((learningRate) =>
          seed.map((seed) => settings({ ...options, dictionary, k, learningRate, seed, dataSeed }))
        )
      )
    );
    return flat ? all.flatMap((nested) => [nested, { ...nested, groups: [featureCount(nested.groups)] }]) : all;
  });
  const { settings: { exclude_norm_above }, transcoders } = request;
  if (exclude_norm_above > 0 && sourcesOf(transcoders).length > 1) {
    throw new UsageError({
      action: `sweep over several sources with ${inFlags("exclude_norm_above", exclude_norm_above)}`,
      requirement: "each transcoder must be what it would be alone",
      found: "a token would be left out when it is too long at any of the sources",
      remedy: "sweep over the sources one after the other or leave the option out",
    });
  }
  return request;
}

function requireFew(members: number): void {
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
 * The request for a transcoder of each mapping, or of each parent, with each of some settings, which differ in nothing that a run
 * shares.
 */
async function requestOf(
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
  requireSameText(first, text, `go on with ${path}`);
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

/** A parent's settings as defaults; its steps are those that it took itself. */
function inherited({ config }: Parent): RunSettings {
  return { ...settingsOf(config), steps: ownSteps(config) };
}

/** The transcoders to start from; what concerns random first weights alone is refused. */
async function parentsFor(
  path: string,
  { layers, source, target }: TrainOptions,
  isGiven: (name: string) => boolean,
): Promise<Parent[]> {
  if (isGiven("encoderNorm")) {
    throw new UsageError({
      action: `start from ${path} with --encoder-norm`,
      requirement: "that is the length of random rows, and finished weights have their own",
      remedy: "leave the option out",
    });
  }
  const wanted = { layers, ...isGiven("source") && { source }, ...isGiven("target") && { target } };
  return chooseParents(path, await openParents(path), wanted);
}

function checkedSettings(settings: RunSettings): RunSettings {
  try {
    checkSettings(settings);
  } catch (error) {
    throw error instanceof SettingError ? new SettingError(error.bad, inFlags) : error;
  }
  return settings;
}

/** What a harvest decides of a run's settings. */
function harvestedSettings({ context, seed, precision }: HarvestDescription): Partial<RunSettings> {
  return { context, ...seed !== null && { data_seed: seed }, precision };
}

/** The layers that anything was harvested of, in ascending order. */
function layersOf({ taps }: HarvestDescription): number[] {
  return [...new Set(taps.map(({ layer }) => layer))].sort((a, b) => a - b);
}

/**
 * Makes sure that a run's name leads to a directory in --runs and nowhere else.
 *
 * @param name The name.
 * @param isWindows Whether the file system is Windows', which gives more names a meaning of their own.
 * @returns The name.
 * @throws {UsageError} When it is another kind of name.
 */
export function checkName(name: string, isWindows: boolean = Deno.build.os === "windows"): string {
  // deno-lint-ignore no-control-regex
  const isPlain = /^[^./\\\0-\x1f\x7f][^/\\\0-\x1f\x7f]*$/.test(name);
  const isSpecial = /[<>:"|?*]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d) *(\.|$)/i.test(name);
  if (isPlain && !(isWindows && isSpecial)) return name;
  throw new UsageError({
    action: `name the run ${JSON.stringify(name)}`,
    requirement:
      "a name must be that of a directory in --runs, without slashes and control characters and no dot in front",
    remedy: "choose another --name",
  });
}

/** Makes sure that the run's directory can be made, which only happens once the first buffer is full. A dry run does not try. */
async function checkDirectory(runs: string, directory: string, isDry: boolean): Promise<void> {
  const runsInfo = await stat(runs).catch(() => null);
  if (runsInfo !== null && !runsInfo.isDirectory()) {
    throw new UserError({
      action: `keep runs in ${runs}`,
      requirement: "it must be a directory",
      found: "it is a file",
      remedy: "choose another --runs",
    });
  }
  if (await lstat(directory).then((info) => info.isSymbolicLink(), () => false)) {
    throw new UserError({
      action: `start a run in ${directory}`,
      requirement: "it must be an empty directory or new",
      found: "it is a link",
      remedy: "choose another --name, or let --runs lead to where the link does",
    });
  }
  const taken = await readdir(directory).catch((error) => {
    if (error.code === "ENOENT") return [];
    throw fileError("start a run in", directory, error);
  });
  if (taken.length > 0) {
    const names = taken.toSorted().slice(0, 3).join(", ");
    const resume = (await transcodersIn(directory)).length > 0
      ? `, or go on with it: mtc train --resume ${directory}`
      : "";
    throw new UserError({
      action: `start a run in ${directory}`,
      requirement: "it must be empty or new",
      found: `it holds ${names}`,
      remedy: `choose another --name${resume}`,
    });
  }
  if (isDry) return;
  try {
    const made = await makeDirectories(dirname(directory));
    try {
      // Its name is longer than that of the run's lock, and as long as the one that the run has before its own.
      await rmdir(await makeTemporaryDirectory(directory));
    } finally {
      await removeEmpty(made);
    }
  } catch (error) {
    throw fileError("create", directory, error);
  }
}

/** So few held-out tokens tell the shares recovered to about five hundredths. */
const LEAST_LOSS_TOKENS = 2048;

function settingsFrom(
  options: TrainOptions,
  defaults: RunSettings,
  harvested: Partial<RunSettings>,
  command: Command,
): RunSettings {
  const { includeBos: include_bos = defaults.include_bos, skip = defaults.skip } = options;
  const changed: Record<string, unknown> = { include_bos, skip, ...harvested };
  if (command.getOptionValueSource("precision") === "cli") changed.precision = options.precision;
  if (options.groups !== undefined) changed.groups = options.groups;
  if (options.dictionary !== undefined) changed.groups = groupsFor(options.dictionary, options.groups);
  for (const { flags, setting } of NUMBER_OPTIONS) {
    const value = options[new Option(flags).attributeName()];
    if (value !== undefined) changed[setting] = value;
  }
  // A shorter run than the default keeps its warm-up in proportion, unless it is given.
  if (changed.steps !== undefined && changed.warmup_steps === undefined) {
    changed.warmup_steps = Math.min(
      defaults.warmup_steps,
      Math.ceil((changed.steps as number) * defaults.warmup_steps / defaults.steps),
    );
  }
  // Nor does it spend more of its time on measuring the loss.
  if (changed.steps !== undefined && changed.loss_tokens === undefined) {
    const inProportion = Math.ceil((changed.steps as number) * defaults.loss_tokens / defaults.steps);
    changed.loss_tokens = Math.min(defaults.loss_tokens, Math.max(LEAST_LOSS_TOKENS, inProportion));
  }
  // Its inference threshold must not look back to where activations were small yet: a running mean over a tenth of the run.
  if (changed.steps !== undefined) {
    changed.threshold_rate = Math.min(1, Math.max(defaults.threshold_rate, 10 / (changed.steps as number)));
  }
  if (changed.seed !== undefined) changed.data_seed ??= changed.seed;
  return { ...defaults, ...changed };
}

/**
 * Reads `--resume`: the run's own config.json files say what is to be trained.
 *
 * @param directory The run's directory.
 * @param options The command line: where model and text lie now, if they were moved, and how many records without text may pass.
 * @param command The command; any other setting on its line is refused.
 * @returns What is to be trained; the model is open.
 * @throws {UsageError} When settings are given.
 * @throws {UserError} When the directory holds no run that can go on.
 */
export async function resumedRequest(
  directory: string,
  options: Pick<RunOptions, "model" | "data" | "badLines">,
  command: Command,
): Promise<TrainRequest> {
  const given = command.options.find((option) => {
    const name = option.attributeName();
    return command.getOptionValueSource(name) === "cli" &&
      !["resume", "model", "data", "badLines", "json", "dryRun", "atOnce", "adapter"].includes(name);
  });
  if (given) {
    throw new UsageError({
      action: `resume with ${given.long}`,
      requirement: "a resumed run keeps the settings of its config.json",
      remedy: "leave the option out or start another run",
    });
  }
  const { names, configs: found } = await readConfigs(directory);
  const configs = found.map((config) => withBadLines(config, options.badLines)), [first] = configs;
  for (const [i, config] of configs.entries()) checkRead(config, join(directory, names[i], CONFIG_FILE));
  const transcoders = configs.map((config, i) => {
    const { source, targets } = config;
    return { source, targets, name: names[i], settings: ownSettingsOf(config) };
  });
  const whole: boolean[] = [], checking = new Progress("Checking files");
  for (const [i, path] of directoriesOf({ directory, transcoders }).entries()) {
    checking.advance({ done: i, total: transcoders.length });
    const lost = await filesToMake(path, configs[i]);
    if (lost.length > 0 && await exists(join(path, TRANSCODER_FILE))) {
      await requireMendable(path, configs[i], lost);
      console.error(`mtc: ${lost.join(", ")} of ${path} will be made again`);
    }
    whole.push(lost.length === 0);
  }
  checking.stop();
  const isMoved = command.getOptionValueSource("model") === "cli";
  const model = await openModelVisibly(isMoved ? options.model : first.model.path ?? BUILTIN);
  for (const [i, config] of configs.entries()) checkSizes(config, model, join(directory, names[i], CONFIG_FILE));
  return {
    directory,
    settings: sharedSettingsOf(first),
    transcoders,
    model,
    data: options.data ? await pinPaths(options.data) : dataOf(first),
    reading: readingOf(first.data),
    activations: first.activations,
    resumed: configs,
    isFinished: whole.every(Boolean),
    text: first.data,
    whole,
    ...first.round !== undefined && { sweep: { text: first.data } },
  };
}

/** A config.json with what `--bad-lines` says, where that is given. */
function withBadLines(config: TranscoderConfig, badLines: number | undefined): TranscoderConfig {
  return badLines === undefined ? config : { ...config, data: { ...config.data, bad_lines: badLines } };
}

/** What is left of a run. */
export interface Remaining {
  /** What has been begun, each part with the transcoders that step together; a run that is no sweep is one, begun or not. */
  readonly begun: readonly TrainRequest[];
  /** The transcoders of a sweep that wait for a round; null when there are none. */
  readonly waiting: TrainRequest | null;
}

/**
 * Takes a run apart into what can be trained by itself.
 *
 * @param request The run.
 * @returns What of it is not finished. A transcoder of a sweep is what it would be alone, so that each is trained with whichever others are
 * left of its round.
 */
export function remaining(request: TrainRequest): Remaining {
  const { resumed, sweep, transcoders, whole = [] } = request;
  if (!sweep) return { begun: [request], waiting: null };
  if (!resumed) return { begun: [], waiting: request };
  const left = resumed.map((_, i) => i).filter((i) => !whole[i]);
  const rounds = Map.groupBy(left, (i) => resumed[i].round!), waiting = rounds.get(0);
  rounds.delete(0);
  const part = (members: readonly number[]) => {
    return { ...request, transcoders: members.map((i) => transcoders[i]), resumed: members.map((i) => resumed[i]) };
  };
  return {
    begun: [...rounds].sort(([a], [b]) => a - b).map(([, members]) => part(members)),
    waiting: waiting ? part(waiting) : null,
  };
}

/** A config.json may have been changed since it was written. */
function checkRead(settings: RunSettings, path: string): void {
  try {
    checkSettings(settings);
  } catch (error) {
    if (!(error instanceof SettingError)) throw error;
    const { parts: { requirement }, bad: { setting, value } } = error;
    const remedy = "correct it, restore it or start another run";
    throw new UserError({
      action: `read ${path}`,
      requirement: `${setting}: ${requirement}`,
      found: `it is ${value}`,
      remedy,
    });
  }
}

/** Likewise what it says of the model: another number would be told as damage of the files that have it right. */
function checkSizes({ source, targets, d_in, d_out }: TranscoderConfig, model: ModelFiles, path: string): void {
  const sizes = configOf(model), remedy = "correct it, restore it or start another run";
  const require = (key: string, value: number, expected: number, requirement: string) => {
    if (value === expected) return;
    throw new UserError({
      action: `read ${path}`,
      requirement: `${key} must be ${requirement}`,
      found: `it is ${value}`,
      remedy,
    });
  };
  for (const { layer } of [source, ...targets]) checkLayer(layer, sizes.layers, `correct ${path}, or restore it`);
  const width = widthOf(sizes, source.site), widths = targets.map(({ site }) => widthOf(sizes, site));
  const sum = widths.reduce((sum, width) => sum + width, 0);
  require("d_in", d_in, width, `${width}, the width of ${tapName(source)}`);
  require("d_out", d_out, sum, `${sum}, the width of ${targets.map(tapName).join(" and ")}`);
}

/** The directories of a run's transcoders, and their config.json files. */
async function readConfigs(directory: string): Promise<{ names: string[]; configs: TranscoderConfig[] }> {
  const action = `resume ${directory}`;
  const paths = await transcodersIn(directory).catch((error) => {
    throw fileError("resume", directory, error);
  });
  if (paths.length === 0) {
    throw new UserError({
      action,
      requirement: "it must hold the directories of an interrupted run's transcoders",
      found: "it holds none",
      remedy: "give the run's own directory, for example runs/first",
    });
  }
  for (const path of paths) for (const own of [path, checkpointsOf(path)]) await refuseLink(action, own);
  const names = paths.map((path) => basename(path)), configs = await Promise.all(paths.map(readConfig));
  const shared = (config: TranscoderConfig) =>
    JSON.stringify([
      sharedSettingsOf(config),
      config.model,
      config.data,
      config.activations,
      config.round === undefined,
    ]);
  // Those that wait for their round have no medians yet.
  const measured = configs.filter(({ round }) => round !== 0).map(({ median_norms }) => JSON.stringify(median_norms));
  const isShared = (config: TranscoderConfig) =>
    shared(config) === shared(configs[0]) &&
    (config.round === 0 || JSON.stringify(config.median_norms) === measured[0]);
  const stranger = configs.findIndex((config) => !isShared(config));
  if (stranger < 0) return { names, configs };
  throw new UserError({
    action,
    requirement: "its transcoders must share steps, harvest, model and text",
    found: `those of ${names[stranger]} are not those of ${names[0]}`,
    remedy: "move what does not belong to this run elsewhere",
  });
}

/** A run writes and removes in its own directories alone. */
async function refuseLink(action: string, path: string): Promise<void> {
  if (!await lstat(path).then((info) => info.isSymbolicLink(), () => false)) return;
  throw new UserError({
    action,
    requirement: `${path} must be a directory`,
    found: "it is a link",
    remedy: "move what it leads to into its place",
  });
}

/**
 * The plan of a request.
 *
 * @param request What is to be trained.
 * @param adapter The GPU's name, part of config.json.
 * @returns What training and finishing need.
 * @throws {UserError} When the model's weights cannot be read.
 */
export async function planOf(
  { directory, settings, transcoders, model, data, reading, activations, resumed, round }: Omit<TrainRequest, "text">,
  adapter: string,
): Promise<TrainingPlan> {
  const config = configOf(model), { layers, dModel, vocabSize } = config, fingerprint = await modelFingerprint(model);
  const created = resumed?.[0].created ?? new Date().toISOString();
  return {
    ...{ directory, settings, transcoders, model, data, reading, activations, resumed, round },
    describe: ({ source, targets, settings: { groups }, start }, text) => ({
      mtc_version: configuration.version,
      adapter,
      created,
      model: { name: model.name, path: model.path, layers, d_model: dModel, vocab_size: vocabSize, fingerprint },
      data: {
        name: nameOfData(data),
        files: data === "builtin" ? [] : data,
        ...text,
      },
      ...activations && { activations },
      ...start && { parent: start.parent },
      d_in: widthOf(config, source.site),
      d_out: targets.reduce((sum, { site }) => sum + widthOf(config, site), 0),
      features: featureCount(groups),
      ...round && { round: round.number },
    }),
  };
}

function timestamp(now: Date): string {
  return now.toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");
}
