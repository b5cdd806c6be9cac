/**
 * `mtc train`: one transcoder per layer from a single forward pass.
 * @module
 */

import { Command } from "commander";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { Evaluation } from "../core/analysis/run_schema.ts";
import { Interrupted, UsageError, UserError } from "../core/errors.ts";
import { fileError } from "../core/files/atomic.ts";
import { BUILTIN, type ModelFiles, openModel } from "../core/gemma2/files.ts";
import { parseGemma2Config } from "../core/gemma2/config.ts";
import { parseLayers } from "../core/gemma2/sites.ts";
import { openGpu } from "../core/gpu/device.ts";
import type { DataPaths } from "../core/text/documents.ts";
import { openTokenSource } from "../core/text/source.ts";
import { loadTokenizer } from "../core/text/tokenizer.ts";
import { finish } from "../core/transcoder/finish.ts";
import { featureCount } from "../core/transcoder/recipe.ts";
import {
  checkSettings,
  dataOf,
  type LayerConfig,
  type Mapping,
  readLayerConfig,
  type RunSettings,
  settingsOf,
} from "../core/transcoder/run_settings.ts";
import type { TrainingPlan } from "../core/transcoder/plan.ts";
import { Diverged, train } from "../core/transcoder/train.ts";
import configuration from "../deno.json" with { type: "json" };
import { TrainDisplay } from "./train_display.ts";
import {
  defaultLayers,
  EMBEDDED,
  groupsFor,
  inFlags,
  mappingsFor,
  NUMBER_OPTIONS,
  parseGroups,
  parseNumber,
  PUBLISHED,
} from "./train_settings.ts";

/** The options as commander gives them; numbers are still text. */
interface Options extends Record<string, unknown> {
  model: string;
  data?: string[];
  layers?: string;
  source: string;
  target: string;
  groups?: string;
  dictionary?: string;
  includeBos?: boolean;
  runs: string;
  name?: string;
  resume?: string;
  json?: boolean;
}

/** What is trained, once the command line is understood. */
interface Request {
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
 * Declares the command.
 *
 * @returns The command, ready to be added to the program.
 */
export function trainCommand(): Command {
  const command = new Command("train")
    .description(
      "Harvests activations and trains one Matryoshka transcoder per layer from one forward pass. Without options it trains on the " +
        "embedded model and text (two to three minutes on two cores); with --model the published Gemma-2-2B recipe is the default.",
    )
    .option("-m, --model <dir>", "a Hugging Face Gemma-2 directory", BUILTIN)
    .option("-d, --data <paths...>", "text: .txt and .jsonl files, or directories of them (default: the embedded text)")
    .option("-l, --layers <list>", "layers to train, for example 8,17 (default: 17 of 26, or that depth)")
    .option(
      "--source <site>",
      "where activations are read: a site of the same layer, or one like layer8.resid_mid",
      "resid_mid",
    )
    .option("--target <site>", "where those to be predicted are", "mlp_out")
    .option("-g, --groups <list>", "features per Matryoshka group, for example 1152,2304,1152")
    .option(
      "--dictionary <n>",
      "features in all: the sum of --groups; without them a quarter, a half and a quarter of it",
    )
    .option("--include-bos", "train on and count BOS tokens too");
  for (const { flags, setting, text } of NUMBER_OPTIONS) {
    const [embedded, published] = [EMBEDDED[setting], PUBLISHED[setting]];
    const value = embedded === published ? String(embedded) : `${published}; embedded: ${embedded}`;
    command.option(flags, `${text} (default: ${value})`);
  }
  return command
    .option("--runs <dir>", "where runs are kept", "runs")
    .option("--name <name>", "the run's name (default: the model's, with the time)")
    .option("--resume <run>", "go on with a run that was interrupted, for example runs/first; takes no other settings")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      "\nExample:\n  mtc train --model gemma-2-2b --data texts/ --layers 8,17 --name first\n  mtc train --resume runs/first",
    )
    .action((options: Options) => run(options, command));
}

async function run(options: Options, command: Command): Promise<void> {
  const request = options.resume === undefined
    ? await newRequest(options, command)
    : await resumedRequest(options.resume, command);
  if (request.isFinished) {
    if (options.json) return await printResult(request, true);
    return console.log(
      `${request.directory} is finished already; read about it with: mtc report --runs ${request.directory}`,
    );
  }
  const gpu = await openGpu();
  const display = new TrainDisplay(request.settings, request.mappings);
  const stop = listenForInterrupts(() => display.interrupting());
  try {
    display.begin(request.directory, gpu.adapter, request.model.name, request.resumed !== null);
    const plan = planOf(request, gpu.adapter);
    const { gemma2, layers } = await train(gpu, plan, { ...display.observer, interrupted: () => stop.requested });
    await finish(gpu, plan, gemma2, layers, {
      ...display.finishObserver,
      checkInterrupt() {
        if (!stop.requested) return;
        throw new Interrupted(
          `Stopped after the last step, before the samples and the evaluation; go on with: mtc train --resume ${request.directory}`,
        );
      },
    });
    display.stop();
    await printResult(request, options.json === true);
  } catch (error) {
    throw await withResume(error, request.directory);
  } finally {
    display.stop();
    stop.end();
    await request.model.weights.close();
    gpu.device.destroy();
  }
}

/** Adds how to go on to an error that left a run behind, unless going on would only repeat it. */
async function withResume(error: unknown, directory: string): Promise<unknown> {
  if (!(error instanceof UserError) || error instanceof Interrupted || error instanceof Diverged) return error;
  const entries = await readdir(directory).catch(() => []);
  if (!entries.some(isLayerName)) return error;
  return new UserError(`${error.message}; then go on with: mtc train --resume ${directory}`);
}

/** The first Ctrl-C asks the run to save itself and end; a second one ends it at once. */
function listenForInterrupts(onRequest: () => void): { readonly requested: boolean; end(): void } {
  const state = { requested: false, end: () => remove() };
  const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
  const listener = () => {
    state.requested = true;
    remove();
    onRequest();
  };
  const remove = () => signals.forEach((signal) => Deno.removeSignalListener(signal, listener));
  signals.forEach((signal) => Deno.addSignalListener(signal, listener));
  return state;
}

async function newRequest(options: Options, command: Command): Promise<Request> {
  const isEmbedded = options.model === BUILTIN;
  const settings = settingsFrom(options, isEmbedded ? EMBEDDED : PUBLISHED, command);
  try {
    checkSettings(settings);
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(inFlags(error.message)) : error;
  }
  const model = await openModel(options.model);
  const { layers: modelLayers, vocabSize, bosTokenId } = parseGemma2Config(
    model.config,
    `${model.path ?? model.name}/config.json`,
  );
  loadTokenizer(model).checkFitsModel(vocabSize, bosTokenId);
  const layers = options.layers === undefined ? defaultLayers(modelLayers, isEmbedded) : parseLayers(options.layers);
  const mappings = mappingsFor(layers, options.source, options.target, modelLayers);
  const directory = join(options.runs, checkName(options.name ?? `${model.name}-${timestamp(new Date())}`));
  await checkDirectory(options.runs, directory);
  const data: DataPaths = options.data ? options.data.map((path) => resolve(path)) : "builtin";
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

/** Makes sure that the run's directory can be made, which only happens once the first buffer is full. */
async function checkDirectory(runs: string, directory: string): Promise<void> {
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
  try {
    const trial = join(runs, `.${basename(directory)}`);
    const made = await mkdir(trial, { recursive: true });
    await rm(made ?? trial, { recursive: true });
  } catch (error) {
    throw fileError("create", directory, error);
  }
}

function settingsFrom(options: Options, defaults: RunSettings, command: Command): RunSettings {
  const changed: Record<string, unknown> = { include_bos: options.includeBos ?? defaults.include_bos };
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

async function resumedRequest(directory: string, command: Command): Promise<Request> {
  const given = command.options.find((option) => {
    const name = option.attributeName();
    return command.getOptionValueSource(name) === "cli" && name !== "resume" && name !== "json";
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
    model: await openModel(first.model.path ?? BUILTIN),
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

function isLayerName(name: string): boolean {
  return /^layer\d+$/.test(name);
}

function planOf({ directory, settings, mappings, model, data, resumed }: Request, adapter: string): TrainingPlan {
  const { layers, dModel, vocabSize } = parseGemma2Config(model.config, `${model.path ?? model.name}/config.json`);
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
    describe: (_layer, source) => ({
      mtc_version: configuration.version,
      adapter,
      created,
      model: { name: model.name, path: model.path, layers, d_model: dModel, vocab_size: vocabSize },
      data: {
        name: data === "builtin" ? "State of the Union addresses" : data.map((path) => basename(path)).join(", "),
        files: data === "builtin" ? [] : data,
        ...source.counts,
      },
      d_in: dModel,
      d_out: dModel,
      features: featureCount(settings.groups),
    }),
  };
}

function timestamp(now: Date): string {
  return now.toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");
}

async function printResult({ directory, mappings, settings }: Request, asJson: boolean): Promise<void> {
  const layers = await Promise.all(mappings.map(async ({ layer }) => {
    const path = join(directory, `layer${layer}`);
    const evaluation = JSON.parse(await Deno.readTextFile(join(path, "evaluation.json"))) as Evaluation;
    return { layer, path, evaluation };
  }));
  if (asJson) return console.log(JSON.stringify({ run: directory, layers }, null, 2));
  console.log("\nHeld-out text, threshold inference:");
  for (const { layer, evaluation: { fvu, fvu_per_prefix, l0, dead_features } } of layers) {
    const dead = `dead ${dead_features} of ${featureCount(settings.groups)}`;
    console.log(`  layer ${layer}   FVU ${fvu.toFixed(3)}   L0 ${l0.toFixed(1)} (k ${settings.k})   ${dead}`);
    const prefixes = fvu_per_prefix.slice(0, -1).map((p) => `${p.fvu.toFixed(3)} with ${p.prefix}`).join(", ");
    if (prefixes) console.log(`    FVU ${prefixes} features`);
  }
  console.log(`\nNext: mtc report --runs ${directory} --out analysis_results`);
}
