/**
 * Every figure of the reports, defined once.
 * @module
 */
import type { TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { DETECTOR_SHARE, JUDGED_FIRES } from "../../core/analysis/token_binding.ts";
import { decimal, integer, percent } from "../format.ts";
import { bullets, plain } from "./markdown.ts";

/** Readable names of the metrics that evaluation.json defines. */
const metricNames: Record<string, string> = {
  fvu: "FVU",
  fvu_ci95: "95 % CI",
  fvu_per_prefix: "FVU per prefix",
  fvu_per_target: "FVU per target",
  fvu_unit_variance: "FVU at unit variance",
  fvu_unit_variance_ci95: "95 % CI of FVU at unit variance",
  target_variance: "Target variance",
  cosine: "Cosine",
  cosine_ci95: "95 % CI of the cosine",
  linear_map: "Best linear map",
  skip_alone: "Skip connection alone",
  explained_variance: "Explained variance",
  fvu_all_elements: "FVU, all elements",
  l0: "L0",
  l0_ci95: "95 % CI of L0",
  l0_quantiles: "L0 quantiles",
  dead_features: "Dead features",
  dead_fraction: "Dead fraction",
  threshold: "Threshold",
  threshold_range: "Threshold range",
  tokens: "Held-out tokens",
  contexts: "Held-out contexts",
  split: "Held-out part",
  excluded_tokens: "Tokens left out",
  outlier_tokens: "Outlier tokens",
  token_counts: "Training text left out",
  documents: "Documents read",
  split_documents: "Documents of the part",
  resampled: "Resampled",
  fvu_over_documents: "FVU over documents",
  fvu_per_document: "FVU per document",
  k: "k",
  saebench: "SAEBench's names",
};

/** Those of its section on the model's predictions. */
const lossNames: Record<string, string> = {
  tokens: "Held-out predictions",
  contexts: "Their contexts",
  documents: "Their documents",
  resampled: "Resampled for losses",
  clean: "The model's own",
  ce: "Cross-entropy",
  kl: "KL from the model",
  top1: "Same top token",
  zero: "Zeros in place",
  mean: "Means in place",
  per_prefix: "Features in place",
  recovered_zero: "Recovered, of zeros",
  recovered_mean: "Recovered, of means",
  replacement_model: "All at once",
  ci95: "95 % CI of losses",
};

/** A bullet per figure: the evaluation's own definitions of the held-out metrics, then those of the feature tables. */
export function glossary({ evaluation, config, statistics }: TranscoderAnalysis): string {
  const defined = (definitions: Record<string, string>, names: Record<string, string>) =>
    Object.entries(definitions).map(([name, sentence]) => `**${names[name] ?? plain(name)}**: ${plain(sentence)}`);
  const pass = `the final pass, ${integer(statistics.passTokens)} tokens read with frozen weights`;
  return bullets([
    ...defined(evaluation.definitions, metricNames),
    ...defined(evaluation.loss?.definitions ?? {}, lossNames),
    `**Max activation**: the largest value of the feature in ${pass}.${
      config.imported
        ? ""
        : ` Its unit: a feature at 1 adds a vector of length 1 to targets as they are prepared for training, whose root mean square length is √${config.d_out} = ${
          decimal(Math.sqrt(config.d_out), 1)
        }.`
    }`,
    `**Fires**: how often the feature is above the inference threshold in the final pass. ` +
    `**Density**: fires divided by tokens.`,
    `**Samples**: activations kept with their context, the strongest first, at most ${config.samples_per_feature} per feature.`,
    `**Top token**: the most frequent token among the feature's samples; the percentage is its share of them.`,
    `**Sample entropy**: entropy in bits of the samples' tokens, those of the strongest activations. The feature analysis has that of the tokens of all ` +
    `firings, which may order groups and layers the other way round. 0 bits: always the same token; ` +
    `each further bit doubles the number of equally frequent tokens that would be as mixed. Of n samples it is log2 n at most, so that ` +
    `medians are over features with all ${config.samples_per_feature}.`,
    `**Token detector**: a feature with at least ${
      percent(DETECTOR_SHARE, 0)
    } of all its activations in the final pass on one token ` +
    `(main_token in features.csv). Features with fewer than ${JUDGED_FIRES} activations are not judged. ` +
    `In the embedded model 2 % of random directions that fire as often are token detectors (reports/sentences.md).`,
    ...config.imported ? [] : [
      `**Gain per doubling**: the share of FVU that twice the steps would take away, by a line through log FVU over log ` +
      `step of the training batches, without the warm-up and the first fifth. ± is twice its standard error. On runs of the embedded model it ` +
      `was off by 2 % of the FVU (root mean square).`,
    ],
    `**Feature norm**: the Euclidean length of the feature's encoder column, |W_enc[:, i]|. ` +
    `**Decoder norm**: that of its decoder row, |W_dec[i]|${config.imported ? "." : ", "}${
      config.imported
        ? ""
        : config.targets.length > 1
        ? "of raw activations; training, where the targets weigh the same, keeps it at 1."
        : "equal for all features because training normalises it."
    }`,
    `**Group, prefix**: Matryoshka groups are nested; prefix p holds the features of the first p groups${
      config.imported ? "" : " and is trained to reconstruct the target on its own"
    }.`,
    `**Group's gain**: how much lower FVU is with the prefix's last group than without it; the first group is held against ${
      config.skip ? "the skip connection alone, and that against the mean" : "the mean"
    }.`,
    `**Std**: population standard deviation.`,
  ]);
}
