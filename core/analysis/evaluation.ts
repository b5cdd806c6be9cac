/**
 * The figures of a transcoder on held-out text: the content of evaluation.json.
 * @module
 */

import type { Interval } from "./bootstrap.ts";
import type { SaebenchFigures } from "./saebench.ts";
import type { TargetFigures } from "./target_figures.ts";
import type { TargetVariance } from "./target_variance.ts";

/** What is measured of any reconstruction. Files of older versions have `fvu` and `ci95` alone. */
export interface ReconstructionFigures {
  /** Fraction of variance unexplained. */
  fvu: number;
  /** Its interval. */
  ci95: Interval;
  /** The same with every dimension scaled to variance 1. */
  fvu_unit_variance?: number;
  /** Mean cosine between target and reconstruction, both less the target's mean; only there where that mean is known beforehand. */
  cosine?: number;
  /** Its interval. */
  cosine_ci95?: Interval;
}

/** The figures of a Matryoshka prefix. */
export interface PrefixFigures extends ReconstructionFigures {
  /** Its end: features below it take part. */
  prefix: number;
  /** Mean number of active features per token that are below it. */
  l0?: number;
  /** Its interval. */
  l0_ci95?: Interval;
}

/** The figures of the best linear map. */
export interface LinearMapFigures extends ReconstructionFigures {
  /** Training tokens that it was fitted on. */
  tokens: number;
}

/** The figures of a transcoder on held-out text with threshold inference; its own `definitions` define each. */
export interface Evaluation {
  /** Held-out tokens that were counted. */
  tokens: number;
  /** Held-out contexts they lie in. */
  contexts: number;
  /** Which held-out part they are of; absent, like all that concerns documents, where an mtc before 0.2 evaluated. */
  split?: "validation" | "test";
  /** Tokens of these contexts that do not count for their ids: special ones, and those of `--exclude-tokens`. */
  excluded_tokens?: number;
  /** Others of these contexts that do not count for their norm at a source; absent where norms do not matter. */
  outlier_tokens?: number;
  /** Documents that they are of. */
  documents?: number;
  /** Documents of that part; null when the text is read as a stream, which nobody counts. */
  split_documents?: number | null;
  /** What the intervals resample. */
  resampled?: "documents" | "contexts";
  /** The FVU of single documents: the least, the median and the largest. */
  fvu_over_documents?: { min: DocumentFvu; median: number; max: DocumentFvu };
  /** Each document's; only there where they are at most {@link LISTED_DOCUMENTS}. */
  fvu_per_document?: DocumentFvu[];
  /** The inference threshold; where features have thresholds of their own, the median of the finite ones. */
  threshold: number;
  /** The least and the largest finite threshold; only there where they differ. */
  threshold_range?: [least: number, most: number];
  /** Fraction of variance unexplained by the whole dictionary; of several targets, which weigh the same, by and large the mean of theirs. */
  fvu: number;
  /** Its interval. */
  fvu_ci95: Interval;
  /** Likewise for each Matryoshka prefix, shortest first. */
  fvu_per_prefix: PrefixFigures[];
  /** Those of each target alone; only there where there are several. */
  fvu_per_target?: TargetFigures[];
  /** FVU with every dimension of the target scaled to variance 1; files of older versions have none of what follows, up to the linear map. */
  fvu_unit_variance?: number;
  /** Its interval. */
  fvu_unit_variance_ci95?: Interval;
  /** How the target's variance is spread over its dimensions. */
  target_variance?: TargetVariance;
  /** Mean cosine between target and reconstruction, both less the target's mean; only there where there is a linear map. */
  cosine?: number;
  /** Its interval. */
  cosine_ci95?: Interval;
  /** What the best linear map does with the same tokens; only there where the run has one. */
  linear_map?: LinearMapFigures;
  /** What the skip connection does alone, without any feature; only there where there is one. */
  skip_alone?: ReconstructionFigures;
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
  /** The k of the training, to hold `l0` against. */
  k: number;
  /** Features that are active on no held-out token. */
  dead_features: number;
  /** `dead_features` divided by the number of features. */
  dead_fraction: number;
  /** What SAEBench has a name for; files of older versions have none. */
  saebench?: SaebenchFigures;
  /** One sentence per metric that says exactly what it is. */
  definitions: Record<string, string>;
}

/** What the transcoder does with text that it was trained on, read as held-out text is. */
export interface TrainingTextFigures {
  /** Its tokens that were counted. */
  tokens: number;
  /** Contexts that they lie in. */
  contexts: number;
  /** Fraction of variance unexplained by the whole dictionary, with threshold inference. */
  fvu: number;
  /** Its interval. */
  fvu_ci95: Interval;
}

/** One document's figure. */
export interface DocumentFvu {
  /** Its name. */
  document: string;
  /** Its tokens that were counted. */
  tokens: number;
  /** Fraction of variance unexplained, by the whole dictionary. */
  fvu: number;
}

/** Documents are listed one by one up to so many. */
export const LISTED_DOCUMENTS = 50;
