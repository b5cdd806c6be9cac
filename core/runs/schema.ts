/**
 * The shapes of the files of a run, as `mtc train` writes them: config.json, evaluation.json, and one line of samples.jsonl.
 * JSON has no NaN: a `null` where a number belongs is read as NaN, so that a diverged run can still be reported.
 * @module
 */
import * as v from "valibot";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const positive = v.pipe(v.number(), v.integer(), v.minValue(1));
const measured = v.pipe(v.nullable(v.number()), v.transform((value): number => value ?? NaN));
const interval = v.tuple([measured, measured]);
const site = v.object({ layer: count, site: v.string() });

/** A value that has the shape asked for, or the first thing that is wrong with it. */
export type Checked<T> = { output: T; problem?: undefined } | {
  output?: undefined;
  /** Where in the value (`groups.1`), what was expected there, and what was found. */
  problem: { at: string; message: string; found: unknown };
};

function check<T>(schema: v.GenericSchema<unknown, T>, value: unknown): Checked<T> {
  const result = v.safeParse(schema, value);
  if (result.success) return { output: result.output };
  const [issue] = result.issues;
  return { problem: { at: v.getDotPath(issue) ?? "the file", message: issue.message, found: issue.input } };
}

/** The settings of a run, config.json. Other keys are allowed and ignored. */
export interface RunConfig {
  /** Version of mtc that trained it. */
  mtc_version: string;
  /** Name of the GPU or software driver. */
  adapter: string;
  /** When the run began, ISO 8601. */
  created: string;
  /** The language model: name, layers, hidden size, tokens in the vocabulary. */
  model: { name: string; layers: number; d_model: number; vocab_size: number };
  /** The text: its size, and how its documents are split; null where they were not counted, as the text was read as a stream. */
  data: {
    name: string;
    documents: number | null;
    train_documents: number | null;
    held_out_documents: number | null;
    bytes: number;
    file_count: number;
  };
  /** Where the activations are read. */
  source: { layer: number; site: string };
  /** Where the activations to be predicted are. */
  target: { layer: number; site: string };
  /** The layer that the run is about, counted from 0. */
  layer: number;
  /** Width of the source activations. */
  d_in: number;
  /** Width of the target activations. */
  d_out: number;
  /** Features in the dictionary. */
  features: number;
  /** Sizes of the Matryoshka groups; they add up to `features`. */
  groups: number[];
  /** Active features per token that batch top-k keeps on average. */
  k: number;
  /** Optimiser steps asked for. */
  steps: number;
  /** Tokens per step. */
  batch_tokens: number;
  /** Tokens per context, BOS included. */
  context: number;
  /** Seed of weights and order. */
  seed: number;
  /** Largest learning rate. */
  learning_rate: number;
  /** Steps of linear warm-up. */
  warmup_steps: number;
  /** Learning rate at the last step, as a fraction of the largest. */
  final_lr_fraction: number;
  /** Adam's decay of the mean of the gradients. */
  beta1: number;
  /** Adam's decay of the mean of their squares. */
  beta2: number;
  /** Adam's epsilon. */
  epsilon: number;
  /** Weight of the auxiliary loss. */
  aux_weight: number;
  /** Dead features that the auxiliary loss uses. */
  aux_k: number;
  /** Training tokens without activation after which a feature counts as dead. */
  dead_after_tokens: number;
  /** How often each harvested activation is used. */
  passes: number;
  /** Steps between rows of metrics.csv. */
  log_every: number;
  /** Most samples kept per feature. */
  samples_per_feature: number;
  /** Tokens of the final pass that collects the samples. */
  sample_tokens: number;
  /** Whether BOS tokens are trained on and counted. */
  include_bos: boolean;
}

const configSchema: v.GenericSchema<unknown, RunConfig> = v.pipe(
  v.object({
    mtc_version: v.string(),
    adapter: v.string(),
    created: v.pipe(v.string(), v.isoTimestamp()),
    model: v.object({ name: v.string(), layers: positive, d_model: positive, vocab_size: positive }),
    data: v.object({
      name: v.string(),
      documents: v.nullable(count),
      train_documents: v.nullable(count),
      held_out_documents: v.nullable(count),
      bytes: count,
      file_count: count,
    }),
    source: site,
    target: site,
    layer: count,
    d_in: positive,
    d_out: positive,
    features: positive,
    groups: v.pipe(v.array(positive), v.minLength(1)),
    k: positive,
    steps: positive,
    batch_tokens: positive,
    context: positive,
    seed: v.number(),
    learning_rate: v.number(),
    warmup_steps: count,
    final_lr_fraction: v.number(),
    beta1: v.number(),
    beta2: v.number(),
    epsilon: v.number(),
    aux_weight: v.number(),
    aux_k: count,
    dead_after_tokens: count,
    passes: v.number(),
    log_every: positive,
    samples_per_feature: positive,
    sample_tokens: count,
    include_bos: v.boolean(),
  }),
  v.forward(
    v.check(
      ({ groups, features }) => groups.reduce((sum, group) => sum + group, 0) === features,
      "Expected group sizes that add up to `features`",
    ),
    ["groups"],
  ),
);

/** Lower and upper end of a 95 % bootstrap interval over contexts. */
export type Interval = [number, number];

/** The metrics of a finished transcoder on held-out text with threshold inference, evaluation.json. */
export interface Evaluation {
  /** Held-out tokens that were counted. */
  tokens: number;
  /** Held-out contexts they lie in. */
  contexts: number;
  /** The inference threshold; where features have thresholds of their own, the median of the finite ones. */
  threshold: number;
  /** The least and the largest finite threshold; only there where they differ. */
  threshold_range?: [least: number, most: number];
  /** Fraction of variance unexplained by the whole dictionary. */
  fvu: number;
  /** Its interval. */
  fvu_ci95: Interval;
  /** Likewise for each Matryoshka prefix, shortest first. */
  fvu_per_prefix: { prefix: number; fvu: number; ci95: Interval }[];
  /** Explained variance as dictionary_learning defines it. */
  explained_variance: number;
  /** FVU against the variance over all elements, as the original project computed it. */
  fvu_all_elements: number;
  /** Mean number of active features per token. */
  l0: number;
  /** Its interval. */
  l0_ci95: Interval;
  /** Quantiles over tokens of the number of active features. */
  l0_quantiles: { p05: number; p25: number; p50: number; p75: number; p95: number };
  /** The k of the run, to hold `l0` against. */
  k: number;
  /** Features that are active on no held-out token. */
  dead_features: number;
  /** `dead_features` divided by the number of features. */
  dead_fraction: number;
  /** One sentence per metric that says exactly what it is. */
  definitions: Record<string, string>;
}

const evaluationSchema: v.GenericSchema<unknown, Evaluation> = v.object({
  tokens: count,
  contexts: count,
  threshold: measured,
  threshold_range: v.optional(v.tuple([measured, measured])),
  fvu: measured,
  fvu_ci95: interval,
  fvu_per_prefix: v.pipe(v.array(v.object({ prefix: positive, fvu: measured, ci95: interval })), v.minLength(1)),
  explained_variance: measured,
  fvu_all_elements: measured,
  l0: measured,
  l0_ci95: interval,
  l0_quantiles: v.object({ p05: measured, p25: measured, p50: measured, p75: measured, p95: measured }),
  k: positive,
  dead_features: measured,
  dead_fraction: measured,
  definitions: v.record(v.string(), v.string()),
});

/** One activation of one feature with the text around it, as decoded, unescaped. */
export interface Sample {
  /** Value of the feature. */
  activation: number;
  /** Vocabulary id of the active token. */
  token_id: number;
  /** Text of the active token. */
  token: string;
  /** Text of the tokens before it in its context. */
  before: string;
  /** Text of the tokens after it. */
  after: string;
  /** Name of its document. */
  document: string;
  /** Token offset in that document. */
  position: number;
}

/** The samples of one feature, a line of samples.jsonl. */
export interface FeatureSamples {
  /** Index in the dictionary. */
  feature: number;
  /** Index of its Matryoshka group. */
  group: number;
  /** Activations above the threshold in the final pass. */
  fires: number;
  /** The strongest activations, strongest first. */
  top: Sample[];
  /** Activations nearest to quantiles of all its activations. */
  quantiles: (Sample & { quantile: number })[];
}

const sampleEntries = {
  activation: measured,
  token_id: count,
  token: v.string(),
  before: v.string(),
  after: v.string(),
  document: v.string(),
  position: count,
};

const featureSamplesSchema: v.GenericSchema<unknown, FeatureSamples> = v.object({
  feature: count,
  group: count,
  fires: count,
  top: v.array(v.object(sampleEntries)),
  quantiles: v.array(v.object({ ...sampleEntries, quantile: v.number() })),
});

/** Checks a parsed config.json; keys that {@link RunConfig} does not name are dropped. */
export function checkConfig(value: unknown): Checked<RunConfig> {
  return check(configSchema, value);
}

/** Checks a parsed evaluation.json; `null` where a number belongs becomes NaN. */
export function checkEvaluation(value: unknown): Checked<Evaluation> {
  return check(evaluationSchema, value);
}

/** Checks a parsed line of samples.jsonl. */
export function checkFeatureSamples(value: unknown): Checked<FeatureSamples> {
  return check(featureSamplesSchema, value);
}

/** One row of metrics.csv: the values of that step's training batch. */
export interface MetricsRow {
  /** Optimiser step. */
  step: number;
  /** Training tokens seen so far. */
  tokens: number;
  /** Mean squared error averaged over the prefixes, plus the weighted auxiliary loss. */
  loss: number;
  /** Auxiliary loss of the dead features, before its weight. */
  aux_loss: number;
  /** FVU of each Matryoshka prefix, in the order of their ends. */
  fvu_per_prefix: number[];
  /** Active features per token. */
  l0: number;
  /** Features that have not been active for `dead_after_tokens` tokens. */
  dead_features: number;
  /** Learning rate of the step. */
  learning_rate: number;
  /** Running inference threshold. */
  threshold: number;
  /** Seconds since training began. */
  elapsed_s: number;
  /** Training tokens per second since the row before. */
  tokens_per_s: number;
}

/** One row of features.csv. */
export interface FeatureRow {
  /** Index in the dictionary. */
  feature: number;
  /** Index of its Matryoshka group. */
  group: number;
  /** Activations above the threshold in the final pass. */
  fires: number;
  /** `fires` divided by the tokens of the final pass. */
  density: number;
  /** Mean of its activations above the threshold. */
  mean_activation: number;
  /** Largest activation in the final pass. */
  max_activation: number;
  /** Samples kept, at most `samples_per_feature`. */
  sample_count: number;
  /** |W_enc[:, i]|. */
  encoder_norm: number;
  /** |W_dec[i]|. */
  decoder_norm: number;
  /** b_enc[i]. */
  encoder_bias: number;
  /** Cosine of W_enc[:, i] and W_dec[i]; NaN when source and target differ in width. */
  encoder_decoder_cosine: number;
  /** Id of the most frequent token among its top samples; NaN when it has none. */
  top_token_id: number;
  /** That token as decoded. */
  top_token: string;
  /** Share of its top samples that are on that token. */
  top_token_share: number;
  /** Entropy in bits of the tokens of its top samples. */
  token_entropy_bits: number;
  /** True when it never fired in the final pass. */
  dead: boolean;
}
