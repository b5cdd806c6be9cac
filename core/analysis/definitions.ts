/**
 * What each figure of evaluation.json is, in one sentence each: they travel with the figures.
 * @module
 */

/** The exact definition of every measured key of evaluation.json. */
export const EVALUATION_DEFINITIONS: Readonly<Record<string, string>> = {
  tokens: "Held-out tokens that were counted; BOS is not among them unless include_bos is set.",
  contexts:
    "Held-out contexts that these tokens lie in, each with tokens of one document. Where there are more than were asked for, " +
    "every document gives one as far as they go round, the rest in proportion to its length, evenly spaced in it.",
  split:
    "Every 20th document is held out from training, in turn for the test and for validation, by which choices are made.",
  excluded_tokens:
    "Tokens of these contexts that were left out for their ids wherever they stand: special ones (BOS, EOS, padding) and others " +
    "that were named. What fills up a context behind the end of its document is no token.",
  documents: "Documents of this part of the text that these tokens are of.",
  split_documents: "All documents of this part; null when the text is read as a stream, of which some blocks are read.",
  resampled:
    "What the intervals resample: whole documents, or with fewer than 5 of them whole contexts, which then says " +
    "nothing of how other documents would differ. Fewer than 5 contexts give none.",
  threshold: "A feature is active when relu(x W_enc + b_enc) is strictly above this, the same number for all features.",
  fvu:
    "Fraction of variance unexplained by the whole dictionary: sum |y - y_hat|^2 / sum |y - mean(y)|^2 over all tokens and " +
    "dimensions of the raw target activations, the mean taken per dimension over all tokens evaluated.",
  fvu_ci95:
    "95 % interval of fvu: percentiles 2.5 and 97.5 over 1,000 bootstrap resamples of what `resampled` names, " +
    "each with the variance about its own mean.",
  fvu_per_prefix:
    "The same figures for each Matryoshka prefix: only features below the prefix's end take part in y_hat, and are counted in l0.",
  fvu_unit_variance:
    "FVU with every dimension of the target scaled to variance 1: the mean over dimensions of sum (y - y_hat)^2 / " +
    "sum (y - mean(y))^2, both over all tokens of that dimension; dimensions that do not vary are left out, " +
    "target_variance.constant_dimensions counts them.",
  fvu_unit_variance_ci95:
    "95 % interval of fvu_unit_variance, by the same resamples, each with the variances about its own means.",
  target_variance:
    "How the target's variance is spread: the share of sum |y - mean(y)|^2 that lies in its largest dimension (top_1), in the " +
    "five and in the twenty largest; which dimension is the largest, counted from 0; and how many do not vary.",
  fvu_over_documents:
    "The least, the median and the largest FVU of single documents: a document's squared error over its squared distance " +
    "from the mean of all tokens evaluated, so that fvu is their mean, weighted by that distance.",
  explained_variance:
    "As dictionary_learning defines it: 1 - sum of the residual's variances / sum of the target's variances over " +
    "dimensions, both about their own means, so that a constant error costs nothing; here over all tokens at once.",
  fvu_all_elements:
    "As the original project computed it: sum |y - y_hat|^2 / sum (y - m)^2 with one mean m over all tokens and " +
    "dimensions; smaller than fvu wherever dimensions differ in their means.",
  l0: "Mean number of active features per token.",
  l0_ci95: "95 % interval of l0, by the same resamples.",
  l0_quantiles: "Quantiles over tokens of the number of active features, linear between neighbours.",
  k: "Features per token that batch top-k kept on average in training; l0 is what the threshold gives instead.",
  dead_features: "Features that are active on none of the tokens evaluated.",
  dead_fraction: "dead_features divided by the number of features.",
  saebench:
    "Figures under the names that SAEBench's core evaluation (0.6.0) has for them, in its categories, with their own definitions: what it " +
    "says of an SAE's input and output is said of the target and its reconstruction.",
};

/** What joins {@link EVALUATION_DEFINITIONS} where there is a linear map. */
export const DEFINITIONS_OF_THE_LINEAR_MAP: Readonly<Record<string, string>> = {
  linear_map:
    "The same figures of the best affine map y = x W + b from source to target on the same held-out tokens: least squares with a ridge " +
    "of 1e-4 of the mean variance of the source's dimensions, each scaled to variance 1, fitted on linear_map.tokens tokens of " +
    "training text. A transcoder whose fvu is not below the map's has found nothing that a matrix would not.",
  cosine:
    "Mean over tokens of the cosine between y - m and y_hat - m, where m is the target's mean over the training tokens that the " +
    "linear map was fitted on; 0 for a token where either is 0.",
  cosine_ci95: "95 % interval of cosine, by the same resamples.",
};

/** What joins {@link EVALUATION_DEFINITIONS} where norms decide which tokens count. */
export const DEFINITIONS_OF_OUTLIERS: Readonly<Record<string, string>> = {
  outlier_tokens:
    "Other tokens of these contexts that were left out because the Euclidean norm of an activation that a transcoder of the run reads " +
    "is above exclude_norm_above times the median there, median_norms of config.json, which the first shuffle buffer gave.",
};

/** What takes the place of, and what joins, {@link EVALUATION_DEFINITIONS} where a transcoder has several targets. */
export const DEFINITIONS_OF_SEVERAL_TARGETS: Readonly<Record<string, string>> = {
  fvu:
    "Fraction of variance unexplained by the whole dictionary: sum |y - y_hat|^2 / sum |y - mean(y)|^2 over all tokens and " +
    "dimensions of all targets, the mean taken per dimension over all tokens evaluated. Like every figure but those of fvu_per_target " +
    "it is of raw target activations times target_scales of config.json, which gave each target the same weight in the first shuffle " +
    "buffer: by and large the mean of the targets' own.",
  fvu_per_target:
    "The same figures of each target alone, of its raw activations: fvu with its interval, that of each prefix, at unit variance, and of " +
    "the best linear map, which maps to all targets at once.",
};

/** What joins {@link EVALUATION_DEFINITIONS} where a transcoder has a skip connection. */
export const DEFINITIONS_OF_THE_SKIP_CONNECTION: Readonly<Record<string, string>> = {
  skip_alone:
    "The same figures of y_hat = x W_skip + b_dec on the same held-out tokens, a prefix of no features: what the skip connection, which " +
    "every prefix has, does alone.",
};

/** What joins {@link EVALUATION_DEFINITIONS} where documents are few enough to be listed. */
export const DEFINITIONS_OF_LISTED_DOCUMENTS: Readonly<Record<string, string>> = {
  fvu_per_document: "The FVU of every document, in the order of the text; fvu_over_documents defines it.",
};

/** What takes the place of, and what joins, {@link EVALUATION_DEFINITIONS} where features have thresholds of their own. */
export const DEFINITIONS_OF_THRESHOLDS: Readonly<Record<string, string>> = {
  threshold:
    "A feature is active when relu(x W_enc + b_enc) is strictly above its own threshold; this is the median of those that " +
    "are finite.",
  threshold_range: "The least and the largest finite threshold; a feature whose threshold is infinite is never active.",
};

/** What takes the place of one of {@link EVALUATION_DEFINITIONS} where only some of a token's activations count. */
export const DEFINITIONS_OF_TOP_K: Readonly<Record<string, string>> = {
  threshold:
    "A feature is active when relu(x W_enc + b_enc) is strictly above this and among the k largest of its token.",
};

/** What takes the place of some of {@link EVALUATION_DEFINITIONS} where a transcoder was trained elsewhere. */
export const DEFINITIONS_OF_IMPORTS: Readonly<Record<string, string>> = {
  k: "Where of each token the k largest activations count, that k; else no number of features was fixed that is known here, and this is the L0 that was " +
    "measured when the transcoder was imported, rounded.",
  split:
    "Every 20th document is held out, in turn for the test and for validation, as from the training of other runs on this text; whether " +
    "the transcoder's own training saw it is not known.",
};
