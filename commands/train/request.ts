/**
 * From the command line of `mtc train`, or the config.json files of a run, to what is to be trained; everything that can be refused
 * before any work is refused here.
 * @module
 */

import { Command } from "commander";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { UsageError, UserError } from "../../core/errors.ts";
import { fileError } from "../../core/files/atomic.ts";
import { BUILTIN, type ModelFiles } from "../../core/model/files.ts";
import { configOf } from "../../core/model/config.ts";
import { parseLayers, widthOf } from "../../core/model/sites.ts";
import type { DataPaths } from "../../core/text/documents.ts";
import { nameOfPath, pinPaths } from "../../core/text/files.ts";
import { openTokenSource } from "../../core/text/source.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";
import { featureCount } from "../../core/transcoder/shape.ts";
import {
  checkSettings,
  dataOf,
  type LayerConfig,
  type Mapping,
  readLayerConfig,
  type RunSettings,
  settingsOf,
} from "../../core/runs/config.ts";
import type { TrainingPlan } from "../../core/training/plan.ts";
import type { Precision } from "../../core/gpu/products.ts";
import configuration from "../../deno.json" with { type: "json" };
import { openModelVisibly } from "../open_model.ts";
import {
  checkWidths,
  defaultLayers,
  EMBEDDED,
  groupsFor,
  inFlags,
  mappingsFor,
  NUMBER_OPTIONS,
  parseGroups,
  parseNumber,
  PUBLISHED,
} from "./settings.ts";

/** The options as commander gives them; numbers are still text. */
export interface TrainOptions extends Record<string, unknown> {
  model: string;
  data?: string[];
  layers?: string;
  source: string;
  target: string;
  groups?: string;
  dictionary?: string;
  includeBos?: boolean;
  precision: Precision;
  runs: string;
  name?: string;
  resume?: string;
  dryRun?: boolean;
  json?: boolean;
}

/** What is trained, once the command line is understood. */
export interface TrainRequest {
  readonly directory: string;
  readonly settings: RunSettings;
  readonly mappings: readonly Mapping[];
  readonly model: ModelFiles;
  readonly data: DataPaths;
  readonly resumed: readonly LayerConfig[] | null;
  /** Whether a resumed run has nothing left to do. */
  readonly isFinished: boolean;
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
  const isEmbedded = options.model === BUILTIN;
  const settings = settingsFrom(options, isEmbedded ? EMBEDDED : PUBLISHED, command);
  try {
    checkSettings(settings);
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(inFlags(error.message)) : error;
  }
  // What can be refused without the model is refused before it is opened: that may be a download of an hour.
  const asked = options.layers === undefined ? null : parseLayers(options.layers);
  const directoryOf = (name: string) => join(options.runs, checkName(name));
  const given = options.name === undefined ? null : directoryOf(options.name);
  if (given !== null) await checkDirectory(options.runs, given, options.dryRun === true);
  const model = await openModelVisibly(options.model);
  const config = configOf(model), { layers: modelLayers, vocabSize, bosTokenId } = config;
  loadTokenizer(model).checkFitsModel(vocabSize, bosTokenId);
  const layers = asked ?? defaultLayers(modelLayers, isEmbedded);
  const mappings = mappingsFor(layers, options.source, options.target, modelLayers);
  checkWidths(mappings, config);
  const directory = given ?? directoryOf(`${model.name}-${timestamp(new Date())}`);
  if (given === null) await checkDirectory(options.runs, directory, options.dryRun === true);
  const data: DataPaths = options.data ? await pinPaths(options.data) : "builtin";
  // The held-out text is needed last, and a run should not find out then that there is too little of it.
  (await openTokenSource({ tokenizer: model, data, split: "held_out", context: settings.context, seed: null })).close();
  return { directory, settings, mappings, model, data, resumed: null, isFinished: false };
}

function checkName(name: string): string {
  if (/^[^./\\][^/\\]*$/.test(name)) return name;
  throw new UsageError(
    `Cannot name the run "${name}": a name must be that of a directory in --runs, without slashes and no dot in front; ` +
      `choose another --name`,
  );
}

/** Makes sure that the run's directory can be made, which only happens once the first buffer is full. A dry run does not try. */
async function checkDirectory(runs: string, directory: string, isDry: boolean): Promise<void> {
  const runsInfo = await stat(runs).catch(() => null);
  if (runsInfo !== null && !runsInfo.isDirectory()) {
    throw new UserError(`Cannot keep runs in ${runs}: it must be a directory, it is a file; choose another --runs`);
  }
  const taken = await readdir(directory).catch((error) => {
    if (error.code === "ENOENT") return [];
    throw fileError("start a run in", directory, error);
  });
  if (taken.length > 0) {
    const names = taken.toSorted().slice(0, 3).join(", ");
    const resume = taken.some(isLayerName) ? `, or go on with it: mtc train --resume ${directory}` : "";
    throw new UserError(
      `Cannot start a run in ${directory}: it must be empty or new, it holds ${names}; choose another --name${resume}`,
    );
  }
  if (isDry) return;
  try {
    const trial = join(runs, `.${basename(directory)}`);
    const made = await mkdir(trial, { recursive: true });
    await rm(made ?? trial, { recursive: true });
  } catch (error) {
    throw fileError("create", directory, error);
  }
}

function settingsFrom(options: TrainOptions, defaults: RunSettings, command: Command): RunSettings {
  const { precision, includeBos: include_bos = defaults.include_bos } = options;
  const changed: Record<string, unknown> = { include_bos, precision };
  if (options.groups !== undefined) changed.groups = parseGroups(options.groups);
  if (options.dictionary !== undefined) {
    changed.groups = groupsFor(parseNumber("--dictionary", options.dictionary), changed.groups as number[] | undefined);
  }
  for (const { flags, setting } of NUMBER_OPTIONS) {
    const option = command.options.find((candidate) => candidate.flags === flags)!;
    const text = options[option.attributeName()];
    if (text !== undefined) changed[setting] = parseNumber(option.long!, text as string);
  }
  // A shorter run than the default keeps its warm-up in proportion, unless it is given.
  if (changed.steps !== undefined && changed.warmup_steps === undefined) {
    changed.warmup_steps = Math.min(
      defaults.warmup_steps,
      Math.ceil((changed.steps as number) * defaults.warmup_steps / defaults.steps),
    );
  }
  return { ...defaults, ...changed };
}

/**
 * Reads `--resume`: the run's own config.json files say what is to be trained.
 *
 * @param directory The run's directory.
 * @param command The command; any other setting on its line is refused.
 * @returns What is to be trained; the model is open.
 * @throws {UsageError} When settings are given.
 * @throws {UserError} When the directory holds no run that can go on.
 */
export async function resumedRequest(directory: string, command: Command): Promise<TrainRequest> {
  const given = command.options.find((option) => {
    const name = option.attributeName();
    return command.getOptionValueSource(name) === "cli" && !["resume", "json", "dryRun"].includes(name);
  });
  if (given) {
    throw new UsageError(
      `Cannot resume with ${given.long}: a resumed run keeps the settings of its config.json; leave the option out or start another run`,
    );
  }
  const configs = await readConfigs(directory);
  const [first] = configs;
  const finished = await Promise.all(
    configs.map(({ layer }) =>
      stat(join(directory, `layer${layer}`, "transcoder.safetensors")).then(() => true, () => false)
    ),
  );
  return {
    directory,
    settings: settingsOf(first),
    mappings: configs.map(({ layer, source, target }) => ({ layer, source, target })),
    model: await openModelVisibly(first.model.path ?? BUILTIN),
    data: dataOf(first),
    resumed: configs,
    isFinished: finished.every(Boolean),
  };
}

/** The config.json files of a run's layers, by ascending layer. */
async function readConfigs(directory: string): Promise<LayerConfig[]> {
  const entries = await readdir(directory).catch((error) => {
    throw fileError("resume", directory, error);
  });
  const names = entries.filter(isLayerName);
  if (names.length === 0) {
    throw new UserError(
      `Cannot resume ${directory}: it must hold layer<N> directories of an interrupted run, it holds none; give the ` +
        "run's own directory, for example runs/first",
    );
  }
  const configs = await Promise.all(names.map((name) => readLayerConfig(join(directory, name))));
  configs.forEach(({ layer }, i) => {
    if (names[i] === `layer${layer}`) return;
    throw new UserError(
      `Cannot resume ${directory}: ${names[i]} must hold the config.json of that layer, it holds layer ${layer}'s; ` +
        "move what does not belong to this run elsewhere",
    );
  });
  configs.sort((a, b) => a.layer - b.layer);
  const shared = (config: LayerConfig) => JSON.stringify([settingsOf(config), config.model, config.data]);
  const stranger = configs.find((config) => shared(config) !== shared(configs[0]));
  if (stranger === undefined) return configs;
  throw new UserError(
    `Cannot resume ${directory}: its layers must share settings, model and text, those of layer ${stranger.layer} are not ` +
      `those of layer ${configs[0].layer}; move what does not belong to this run elsewhere`,
  );
}

/** Whether a directory's name is that of a layer: layer0, layer17. */
export function isLayerName(name: string): boolean {
  return /^layer\d+$/.test(name);
}

/**
 * The plan of a request.
 *
 * @param request What is to be trained.
 * @param adapter The GPU's name, part of config.json.
 * @returns What training and finishing need.
 */
export function planOf(
  { directory, settings, mappings, model, data, resumed }: TrainRequest,
  adapter: string,
): TrainingPlan {
  const config = configOf(model), { layers, dModel, vocabSize } = config;
  if (resumed && resumed[0].adapter !== adapter) {
    console.error(
      `mtc: the run began on ${
        resumed[0].adapter
      }, this is ${adapter}: its last bits will differ from those of an uninterrupted run`,
    );
  }
  const created = resumed?.[0].created ?? new Date().toISOString();
  return {
    directory,
    settings,
    mappings,
    model,
    data,
    resumed,
    describe: ({ source, target }, { summary }) => ({
      mtc_version: configuration.version,
      adapter,
      created,
      model: { name: model.name, path: model.path, layers, d_model: dModel, vocab_size: vocabSize },
      data: {
        name: data === "builtin" ? "State of the Union addresses" : data.map(nameOfPath).join(", "),
        files: data === "builtin" ? [] : data,
        ...summary,
      },
      d_in: widthOf(config, source.site),
      d_out: widthOf(config, target.site),
      features: featureCount(settings.groups),
    }),
  };
}

function timestamp(now: Date): string {
  return now.toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");
}
