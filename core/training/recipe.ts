/**
 * The recipe of a transcoder: how it is trained. The names are those of config.json.
 * @module
 */

import { MOST_GROUPS } from "../../wgsl/transcoder/step.ts";
import { SettingError } from "../errors.ts";
import { featureCount } from "../transcoder/shape.ts";

/** The settings that define one training run, the same for each of its layers. Tokens never count BOS unless `include_bos`. */
export interface Recipe {
  /** Features per Matryoshka group, from the innermost prefix outwards. */
  readonly groups: readonly number[];
  /** Features kept per token, on average over a batch. */
  readonly k: number;
  /** Optimiser steps. */
  readonly steps: number;
  /** Tokens per step. */
  readonly batch_tokens: number;
  /** Peak learning rate of Adam. */
  readonly learning_rate: number;
  /** Steps of linear warm-up; the first step has learning_rate / warmup_steps. */
  readonly warmup_steps: number;
  /** The share of the peak learning rate that the cosine decay ends at. */
  readonly final_lr_fraction: number;
  /** Adam's decay of the mean gradient. */
  readonly beta1: number;
  /** Adam's decay of the mean squared gradient. */
  readonly beta2: number;
  /** Adam's denominator floor. */
  readonly epsilon: number;
  /** Weight of the auxiliary loss. */
  readonly aux_weight: number;
  /** Dead features kept per token, on average over a batch, to reconstruct the residual. */
  readonly aux_k: number;
  /** Tokens without firing after which a feature counts as dead. */
  readonly dead_after_tokens: number;
  /** Rate of the running mean that becomes the inference threshold. */
  readonly threshold_rate: number;
  /** Seed of everything random. */
  readonly seed: number;
}

/**
 * The learning rate of a step: linear warm-up from learning_rate / warmup_steps (never 0), then a cosine from the peak down to
 * final_lr_fraction of it, reached at the last step.
 *
 * @param recipe The schedule's settings.
 * @param step The step about to be taken, counted from 1.
 * @returns The learning rate.
 */
export function learningRate(recipe: Recipe, step: number): number {
  const { learning_rate, warmup_steps, steps, final_lr_fraction } = recipe;
  if (step <= warmup_steps) return learning_rate * step / warmup_steps;
  const progress = (step - warmup_steps) / (steps - warmup_steps);
  return learning_rate * (final_lr_fraction + (1 - final_lr_fraction) * (1 + Math.cos(Math.PI * progress)) / 2);
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
  const isCount = (n: number) => Number.isInteger(n) && n >= 1;
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
  require(recipe.learning_rate > 0 && Number.isFinite(recipe.learning_rate), "learning_rate", "a positive number");
  require(
    Number.isInteger(recipe.warmup_steps) && recipe.warmup_steps >= 0 && recipe.warmup_steps <= recipe.steps,
    "warmup_steps",
    `a whole number from 0 to the run's ${recipe.steps} steps`,
  );
  require(recipe.final_lr_fraction >= 0 && recipe.final_lr_fraction <= 1, "final_lr_fraction", "from 0 to 1");
  require(recipe.aux_weight >= 0 && Number.isFinite(recipe.aux_weight), "aux_weight", "0 or a positive number");
  require(isCount(recipe.aux_k), "aux_k", "a positive whole number");
  require(
    isCount(recipe.dead_after_tokens) && recipe.dead_after_tokens < 2 ** 32,
    "dead_after_tokens",
    "a positive whole number below 2^32",
  );
  require(
    isCount(recipe.seed + 1) && recipe.seed < Number.MAX_SAFE_INTEGER,
    "seed",
    "a whole number, 0 or more, below 2^53 - 1",
  );
}
