/**
 * What a command line makes of the default settings.
 * @module
 */

import { type Command, Option } from "commander";
import { SettingError } from "../../core/errors.ts";
import { ownSteps } from "../../core/runs/config.ts";
import { type RunSettings, settingsOf } from "../../core/runs/settings.ts";
import { checkSettings } from "../../core/training/recipe.ts";
import type { Parent } from "./parents.ts";
import { groupsFor, inFlags, NUMBER_OPTIONS } from "./settings.ts";
import type { TrainOptions } from "./request.ts";

/** So few held-out tokens tell the shares recovered to about five hundredths. */
const LEAST_LOSS_TOKENS = 2048;

/**
 * The settings of a transcoder.
 *
 * @param options The command line.
 * @param defaults What holds where it says nothing.
 * @param harvested What a harvest decides.
 * @param command The command, which knows what was given and what is a default.
 * @returns Settings that nobody has checked.
 */
export function settingsFrom(
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
 * Refuses settings that cannot be, in the flags that a user knows.
 *
 * @param settings The settings.
 * @returns The same.
 * @throws {UsageError} When one cannot be.
 */
export function checkedSettings(settings: RunSettings): RunSettings {
  try {
    checkSettings(settings);
  } catch (error) {
    throw error instanceof SettingError ? new SettingError(error.bad, inFlags) : error;
  }
  return settings;
}

/**
 * A parent's settings as defaults; its steps are those that it took itself.
 *
 * @param parent The parent.
 */
export function inherited({ config }: Parent): RunSettings {
  return { ...settingsOf(config), steps: ownSteps(config) };
}
