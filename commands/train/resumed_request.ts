/**
 * `--resume`: an interrupted run goes on; its own config.json files say what is to be trained.
 * @module
 */

import type { Command } from "commander";
import { lstat } from "node:fs/promises";
import { basename, join } from "node:path";
import { SettingError, UsageError, UserError } from "../../core/errors.ts";
import { fileError } from "../../core/files/atomic.ts";
import { exists } from "../../core/files/exists.ts";
import { BUILTIN, type ModelFiles } from "../../core/model/files.ts";
import { configOf } from "../../core/model/config.ts";
import { checkLayer, tapName, widthOf } from "../../core/model/sites.ts";
import { pinPaths } from "../../core/text/files.ts";
import { readingOf } from "../../core/text/summary.ts";
import { checkpointsOf } from "../../core/runs/checkpoints.ts";
import { CONFIG_FILE, dataOf, readConfig, requireTrainedHere, type TranscoderConfig } from "../../core/runs/config.ts";
import { transcodersIn } from "../../core/runs/discovery.ts";
import { filesToMake, FINISHED_FILES, requireMendable } from "../../core/runs/lost_files.ts";
import { ownSettingsOf, type RunSettings, sharedSettingsOf } from "../../core/runs/settings.ts";
import { completeSums } from "../../core/runs/sums.ts";
import { TRANSCODER_FILE } from "../../core/runs/transcoder.ts";
import { directoriesOf } from "../../core/training/plan.ts";
import { checkSettings } from "../../core/training/recipe.ts";
import { openModelVisibly } from "../open_model.ts";
import { Progress } from "../progress.ts";
import type { RunOptions, TrainRequest } from "./request.ts";

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
      !["resume", "model", "data", "badLines", "json", "dryRun", "atOnce", "adapter", "deadline", "log", "tensorboard"]
        .includes(name);
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
    // One of an older mtc, or one whose process was killed at the very end, has no checksums yet; nor does it need them on a disk that
    // takes none.
    if (lost.length === 0) await completeSums(path, FINISHED_FILES).catch(() => {});
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

/**
 * A config.json with what `--bad-lines` says, where that is given.
 *
 * @param config What was read.
 * @param badLines The most records without text that may be left out; undefined where the command line does not say.
 */
export function withBadLines(config: TranscoderConfig, badLines: number | undefined): TranscoderConfig {
  return badLines === undefined ? config : { ...config, data: { ...config.data, bad_lines: badLines } };
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
  requireTrainedHere(action, configs);
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
