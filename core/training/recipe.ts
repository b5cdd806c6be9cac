/**
 * The recipe of a transcoder: the learning rate that follows from it, and what settings can be.
 * @module
 */

import { MOST_GROUPS } from "../../wgsl/transcoder/step.ts";
import { SettingError } from "../errors.ts";
import { ownSteps, type TranscoderConfig } from "../runs/config.ts";
import type { Recipe, RunSettings } from "../runs/settings.ts";
import { countedPerContext } from "../text/contexts.ts";
import { featureCount } from "../transcoder/shape.ts";

/** What a transcoder's steps may count on from. */
export type Lineage = Pick<TranscoderConfig, "parent">;

/**
 * The learning rate of a step: linear warm-up from learning_rate / warmup_steps (never 0), then a cosine from the peak down to
 * final_lr_fraction of it, reached at the last step. A run that goes on with another begins with a warm-up again.
 *
 * @param recipe The schedule's settings.
 * @param step The step about to be taken, counted from 1.
 * @returns The learning rate.
 */
export function learningRate(recipe: Recipe & Lineage, step: number): number {
  const { learning_rate, warmup_steps, final_lr_fraction } = recipe, steps = ownSteps(recipe);
  const taken = step - (recipe.steps - steps);
  if (taken <= warmup_steps) return learning_rate * taken / warmup_steps;
  const progress = (taken - warmup_steps) / (steps - warmup_steps);
  return learning_rate * (final_lr_fraction + (1 - final_lr_fraction) * (1 + Math.cos(Math.PI * progress)) / 2);
}

/** The text of the samples is in the order of the seed behind this one. */
function isSeed(n: number): boolean {
  return isCount(n + 1) && n < Number.MAX_SAFE_INTEGER;
}

const SEED_REQUIREMENT = "a whole number, 0 or more, below 2^53 - 1";

function isCount(n: number): boolean {
  return Number.isInteger(n) && n >= 1;
}

const MOST_FLOAT32 = 3.4028234663852886e38, LEAST_FLOAT32 = 1.1754943508222875e-38;

/** Whether a kernel gets the number as more than 0 and less than infinite: its float32 has neither denormals nor what is larger. */
function isPositive(n: number): boolean {
  return n >= LEAST_FLOAT32 && n <= MOST_FLOAT32;
}

/** What {@link isPositive} asks for, in the words that say why a number was none. */
function positive(n: number): string {
  return n > 0 ? `a positive number that float32 can hold, from 1.2e-38 to 3.4e+38` : "a positive number";
}

/**
 * Checks what the type cannot say.
 *
 * @param recipe The settings.
 * @throws {SettingError} Naming the first setting that cannot be, its requirement and its value.
 */
export function checkRecipe(recipe: Recipe): void {
  const require = (holds: boolean, setting: keyof Recipe, requirement: string) => {
    if (!holds) throw new SettingError({ setting, value: recipe[setting], requirement: `it must be ${requirement}` });
  };
  const features = featureCount(recipe.groups);
  const { length } = recipe.groups;
  require(
    length > 0 && length <= MOST_GROUPS && recipe.groups.every(isCount),
    "groups",
    `1 to ${MOST_GROUPS} positive whole numbers`,
  );
  require(
    isCount(recipe.k) && recipe.k <= features,
    "k",
    `a whole number from 1 to the dictionary's ${features} features`,
  );
  require(isCount(recipe.steps), "steps", "a positive whole number");
  require(isCount(recipe.batch_tokens), "batch_tokens", "a positive whole number");
  for (const factor of ["learning_rate", "encoder_bias_rate", "whole_weight", "epsilon"] as const) {
    require(isPositive(recipe[factor]), factor, positive(recipe[factor]));
  }
  require(
    Number.isInteger(recipe.warmup_steps) && recipe.warmup_steps >= 0 && recipe.warmup_steps <= recipe.steps,
    "warmup_steps",
    `a whole number from 0 to the run's ${recipe.steps} steps`,
  );
  require(recipe.final_lr_fraction >= 0 && recipe.final_lr_fraction <= 1, "final_lr_fraction", "from 0 to 1");
  for (const beta of ["beta1", "beta2"] as const) {
    require(recipe[beta] >= 0 && recipe[beta] < 1, beta, "0 or more and below 1");
    require(Math.fround(recipe[beta]) < 1, beta, "below 1 as a float32, at most 0.99999994");
  }
  require(recipe.threshold_rate >= 0 && recipe.threshold_rate <= 1, "threshold_rate", "from 0 to 1");
  for (const factor of ["aux_weight", "revival_rate"] as const) {
    require(recipe[factor] === 0 || isPositive(recipe[factor]), factor, `0 or ${positive(recipe[factor])}`);
  }
  require(isCount(recipe.aux_k), "aux_k", "a positive whole number");
  require(
    isCount(recipe.dead_after_tokens) && recipe.dead_after_tokens < 2 ** 32,
    "dead_after_tokens",
    "a positive whole number below 2^32",
  );
  require(isSeed(recipe.seed), "seed", SEED_REQUIREMENT);
}

/**
 * Checks what the types cannot say of all that a transcoder is trained with.
 *
 * @param settings Its settings.
 * @throws {SettingError} Naming the first setting that cannot be.
 */
export function checkSettings(settings: RunSettings): void {
  checkRecipe(settings);
  const counts = [
    "passes",
    "buffer_tokens",
    "log_every",
    "checkpoint_every",
    "sample_every",
    "samples_per_feature",
    "sample_tokens",
    "evaluation_tokens",
  ] as const;
  for (const name of counts) {
    if (isCount(settings[name])) continue;
    throw new SettingError({ setting: name, value: settings[name], requirement: "it must be a positive whole number" });
  }
  if (!isSeed(settings.data_seed)) {
    const requirement = `it must be ${SEED_REQUIREMENT}`;
    throw new SettingError({ setting: "data_seed", value: settings.data_seed, requirement });
  }
  const { context, sample_threshold, encoder_norm, buffer_tokens, passes, batch_tokens, exclude_norm_above } = settings;
  const { loss_tokens, include_bos } = settings;
  if (exclude_norm_above !== 0 && !(exclude_norm_above > 1 && Number.isFinite(exclude_norm_above))) {
    throw new SettingError({
      setting: "exclude_norm_above",
      value: exclude_norm_above,
      requirement: "it must be above 1, times the median norm, or 0 for no limit",
    });
  }
  if (buffer_tokens * passes < batch_tokens) {
    throw new SettingError({
      setting: "buffer_tokens",
      value: buffer_tokens,
      requirement: `it must hold the tokens of a step, at least ${Math.ceil(batch_tokens / passes)}`,
      given: { batch_tokens, passes },
    });
  }
  if (!Number.isInteger(context) || context < 2) {
    const requirement = "it must be a whole number, 2 or more, as BOS takes the first place";
    throw new SettingError({ setting: "context", value: context, requirement });
  }
  if (loss_tokens !== 0 && !isCount(loss_tokens)) {
    const requirement = "it must be a whole number, 0 for no measurement";
    throw new SettingError({ setting: "loss_tokens", value: loss_tokens, requirement });
  }
  if (loss_tokens > 0 && countedPerContext(context, include_bos) < 2) {
    const requirement = "it must be 0 where no counted token has a successor in its context,";
    throw new SettingError({ setting: "loss_tokens", value: loss_tokens, requirement, given: { context } });
  }
  if (!isPositive(encoder_norm)) {
    const requirement = `it must be ${positive(encoder_norm)}`;
    throw new SettingError({ setting: "encoder_norm", value: encoder_norm, requirement });
  }
  if (!(sample_threshold >= 0)) {
    throw new SettingError({
      setting: "sample_threshold",
      value: sample_threshold,
      requirement: "it must be 0 or more",
    });
  }
}
