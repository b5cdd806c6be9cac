/**
 * What a run is trained with: the settings that all of its transcoders share. The names are those of config.json.
 * @module
 */

import type { Precision } from "../../wgsl/shared/matmul.ts";

/** The settings that define one training, the same for each transcoder of a run. Tokens never count BOS unless `include_bos`. */
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
  /** Seed of everything random. */
  readonly seed: number;
}

/** What is the same for all transcoders of a run. */
export interface RunSettings extends Recipe {
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
  /** What the forward pass's products round their inputs to. */
  readonly precision: Precision;
}

/** The keys of {@link RunSettings}. The type makes sure that none is forgotten. */
const KEYS: Readonly<Record<keyof RunSettings, true>> = {
  ...{ groups: true, k: true, steps: true, batch_tokens: true, learning_rate: true, warmup_steps: true },
  ...{ final_lr_fraction: true, beta1: true, beta2: true, epsilon: true, aux_weight: true, aux_k: true },
  ...{ dead_after_tokens: true, threshold_rate: true, seed: true, context: true, passes: true, buffer_tokens: true },
  ...{
    include_bos: true,
    exclude_tokens: true,
    exclude_norm_above: true,
    log_every: true,
    checkpoint_every: true,
    sample_every: true,
    samples_per_feature: true,
  },
  ...{
    sample_threshold: true,
    sample_tokens: true,
    evaluation_tokens: true,
    precision: true,
    encoder_norm: true,
    encoder_bias_rate: true,
    whole_weight: true,
    revival_rate: true,
  },
};

/**
 * The settings that all transcoders of a run share.
 *
 * @param config Any of its config.json files.
 * @returns Those keys of it.
 */
export function settingsOf(config: RunSettings): RunSettings {
  const entries = Object.keys(KEYS).map((key) => [key, config[key as keyof RunSettings]]);
  return Object.fromEntries(entries) as RunSettings;
}
