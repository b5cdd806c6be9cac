/**
 * What a run is trained with: the settings that all of its transcoders share, and those that each has for itself. The names are those of
 * config.json.
 * @module
 */

import type { Precision } from "../../wgsl/shared/matmul.ts";

/** The settings that define the steps of one training. Tokens never count BOS unless `include_bos`. */
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
  /** The learning rate of the encoder's biases, as a multiple of it: each of them stands alone where d_in weights move together. */
  readonly encoder_bias_rate: number;
  /** Weight of the whole dictionary's error in the loss, as a multiple of that of each inner prefix. */
  readonly whole_weight: number;
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
  /** How far the bias of a dead feature that nothing activates rises in a step, as a multiple of the biases' learning rate; 0: it stays. */
  readonly revival_rate: number;
  /** Rate of the running mean that becomes the inference threshold. */
  readonly threshold_rate: number;
  /** Seed of the first weights. */
  readonly seed: number;
}

/** All that one transcoder is trained with. */
export interface RunSettings extends Recipe {
  /** Seed of the order of the text, and of that in which a buffer's tokens are drawn; {@link seed} unless it was given. */
  readonly data_seed: number;
  /** Whether the source reaches the targets linearly too, beside the features. */
  readonly skip: boolean;
  /** Tokens per context, BOS included. */
  readonly context: number;
  /** How many times each activation of the shuffle buffer is used. */
  readonly passes: number;
  /** The most tokens in the shuffle buffer. */
  readonly buffer_tokens: number;
  /** Length of the encoder's rows at the start. */
  readonly encoder_norm: number;
  /** Whether BOS tokens are trained on and counted. */
  readonly include_bos: boolean;
  /** Ids of tokens that are left out of training, metrics and samples, wherever they stand but in the first place of a context. */
  readonly exclude_tokens: readonly number[];
  /** Tokens are left out of them too where an activation that is read has a norm above so many times the median; 0 for none. */
  readonly exclude_norm_above: number;
  /** Steps between rows of metrics.csv. */
  readonly log_every: number;
  /** Steps between checkpoints. */
  readonly checkpoint_every: number;
  /** Steps between the batches that training samples are taken from. */
  readonly sample_every: number;
  /** The most samples per feature. */
  readonly samples_per_feature: number;
  /** Activations below this are not sampled. */
  readonly sample_threshold: number;
  /** Tokens that the samples are collected from, read with frozen weights after the last step. */
  readonly sample_tokens: number;
  /** Held-out tokens of the final evaluation. */
  readonly evaluation_tokens: number;
  /** Held-out tokens that the model's loss is measured on after it, with transcoders in place; 0: it is not. */
  readonly loss_tokens: number;
  /** What the forward pass's products round their inputs to. */
  readonly precision: Precision;
}

/** What each transcoder of a run has for itself. */
export type OwnSettings = Omit<Recipe, "steps" | "batch_tokens"> & Pick<RunSettings, "encoder_norm" | "skip">;
/** What all transcoders of a run share: the harvest that feeds them, the steps, and when those are looked at. */
export type SharedSettings = Omit<RunSettings, keyof OwnSettings>;

/** The keys of {@link RunSettings}, in the order of config.json. The type makes sure that none is forgotten. */
const KEYS: { readonly [Key in keyof RunSettings]: Key extends keyof OwnSettings ? "own" : "shared" } = {
  ...{ groups: "own", k: "own", steps: "shared", batch_tokens: "shared", learning_rate: "own", warmup_steps: "own" },
  ...{ final_lr_fraction: "own", beta1: "own", beta2: "own", epsilon: "own", aux_weight: "own", aux_k: "own" },
  ...{ dead_after_tokens: "own", threshold_rate: "own", seed: "own", data_seed: "shared" },
  ...{ context: "shared", passes: "shared", buffer_tokens: "shared", include_bos: "shared" },
  ...{ exclude_tokens: "shared", exclude_norm_above: "shared", log_every: "shared", checkpoint_every: "shared" },
  ...{ sample_every: "shared", samples_per_feature: "shared", sample_threshold: "shared", sample_tokens: "shared" },
  ...{ evaluation_tokens: "shared", loss_tokens: "shared", precision: "shared" },
  ...{ encoder_norm: "own", encoder_bias_rate: "own", whole_weight: "own", revival_rate: "own", skip: "own" },
};

function pick(settings: object, isWanted: (kind: "own" | "shared") => boolean): object {
  const keys = (Object.keys(KEYS) as (keyof RunSettings)[]).filter((key) => isWanted(KEYS[key]));
  return Object.fromEntries(keys.map((key) => [key, (settings as RunSettings)[key]]));
}

/**
 * All settings of a transcoder.
 *
 * @param config Its config.json, or anything else that has them.
 * @returns Those keys of it, in the order of config.json.
 */
export function settingsOf(config: RunSettings): RunSettings {
  return pick(config, () => true) as RunSettings;
}

/** What is only looked at of a training, and changes nothing of it; and the seeds. */
const NOT_LEARNED_WITH: ReadonlySet<string> = new Set<keyof RunSettings>([
  ...[
    "log_every",
    "checkpoint_every",
    "sample_every",
    "samples_per_feature",
    "sample_threshold",
    "sample_tokens",
  ] as const,
  ...["evaluation_tokens", "loss_tokens", "seed", "data_seed"] as const,
]);

/**
 * The settings that seeds of one setting share.
 *
 * @param config Its config.json.
 * @returns All that it learned with but its seeds, in the order of config.json.
 */
export function learnedWith(config: RunSettings): Partial<RunSettings> {
  return Object.fromEntries(Object.entries(settingsOf(config)).filter(([key]) => !NOT_LEARNED_WITH.has(key)));
}

/** What concerns only what follows the last step, and how often a run is saved. */
const NOT_STEPPED_WITH: ReadonlySet<string> = new Set<keyof RunSettings>(
  ["checkpoint_every", "sample_tokens", "evaluation_tokens", "loss_tokens"],
);

/**
 * The settings that the state of a training after any of its steps depends on, samples and metrics included.
 *
 * @param config Its config.json.
 * @returns Those keys of it, in the order of config.json.
 */
export function steppedWith(config: RunSettings): Partial<RunSettings> {
  return Object.fromEntries(Object.entries(settingsOf(config)).filter(([key]) => !NOT_STEPPED_WITH.has(key)));
}

/**
 * The settings that all transcoders of a run share.
 *
 * @param config The config.json of any of them.
 * @returns Those keys of it.
 */
export function sharedSettingsOf(config: SharedSettings): SharedSettings {
  return pick(config, (kind) => kind === "shared") as SharedSettings;
}

/**
 * The settings that a transcoder has for itself.
 *
 * @param config Its config.json.
 * @returns Those keys of it.
 */
export function ownSettingsOf(config: OwnSettings): OwnSettings {
  return pick(config, (kind) => kind === "own") as OwnSettings;
}

/** A setting that nothing but a training has. */
export type TrainingSetting = Exclude<
  keyof RunSettings,
  | "groups"
  | "k"
  | "skip"
  | "context"
  | "include_bos"
  | "exclude_tokens"
  | "exclude_norm_above"
  | "samples_per_feature"
  | "sample_threshold"
  | "sample_tokens"
  | "evaluation_tokens"
  | "loss_tokens"
  | "precision"
>;

/** Those settings of a transcoder whose training is not known. */
export const NO_TRAINING: Readonly<Record<TrainingSetting, 0>> = {
  ...{ steps: 0, batch_tokens: 0, learning_rate: 0, warmup_steps: 0, final_lr_fraction: 0, beta1: 0, beta2: 0 },
  ...{ epsilon: 0, aux_weight: 0, aux_k: 0, dead_after_tokens: 0, threshold_rate: 0, seed: 0, data_seed: 0 },
  ...{ passes: 0, buffer_tokens: 0, log_every: 0, checkpoint_every: 0, sample_every: 0 },
  ...{ encoder_norm: 0, encoder_bias_rate: 0, whole_weight: 0, revival_rate: 0 },
};
