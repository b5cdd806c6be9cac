/**
 * Figures under the names that SAEBench's core evaluation has for them (version 0.6.0), where they mean the same. What SAEBench says of what an
 * SAE reads and reconstructs is said here of the target and its reconstruction.
 * @module
 */

import type { LossEvaluation } from "./loss.ts";
import type { Cosines } from "./similarity.ts";

/** The categories that text and transcoder alone give. */
export interface SaebenchFigures {
  /** How near reconstructions come. */
  reconstruction_quality: { explained_variance: number; cossim: number };
  /** How long they are. */
  shrinkage: { l2_norm_in: number; l2_norm_out: number; l2_ratio: number; relative_reconstruction_bias: number };
  /** How many features are active. */
  sparsity: { l0: number };
  /** How often features are active. */
  misc_metrics: SaebenchFrequencies;
  /** One sentence per figure that says exactly what it is. */
  definitions: Record<string, string>;
}

/** How often features are active. */
export interface SaebenchFrequencies {
  /** Share of the features that fire. */
  frac_alive: number;
  /** Share of those that fire on more than 1 % of the tokens. */
  freq_over_1_percent: number;
  /** Likewise, 10 %. */
  freq_over_10_percent: number;
  /** Their share of all firings. */
  normalized_freq_over_1_percent: number;
  /** Likewise, 10 %. */
  normalized_freq_over_10_percent: number;
}

/** What joins {@link SaebenchFigures} where the loss was measured. */
export interface SaebenchLoss {
  /** KL from the model as it is. */
  model_behavior_preservation: { kl_div_score: number; kl_div_with_ablation: number; kl_div_with_sae: number };
  /** Next-token cross-entropy. */
  model_performance_preservation: {
    ce_loss_score: number;
    ce_loss_with_ablation: number;
    ce_loss_with_sae: number;
    ce_loss_without_sae: number;
  };
}

/** The exact definition of each figure, as SAEBench computes it. */
export const SAEBENCH_DEFINITIONS: Readonly<Record<string, string>> = {
  explained_variance:
    "1 - E|y - y_hat|^2 / (E|y|^2 - (E|y|^2 / d_out)^2), as SAEBench 0.6.0 computes it: in effect against zero and not against the mean, " +
    "and not the same in another unit. 1 - fvu is what its name says.",
  cossim:
    "Mean over tokens of the cosine between y and y_hat as they are, no mean removed; 0 where either is 0. SAEBench's is no number then.",
  l2_norm_in: "Mean over tokens of |y|.",
  l2_norm_out: "Mean over tokens of |y_hat|.",
  l2_ratio: "Mean over tokens of |y_hat| / |y|, with 1 in the place of |y| below 0.0001.",
  relative_reconstruction_bias: "E|y_hat|^2 / E(y . y_hat): below 1 where reconstructions are too short.",
  l0: "Mean number of active features per token.",
  frac_alive: "Share of the features that are active on at least one token.",
  freq_over_1_percent: "Share of the features that are active on more than 1 % of the tokens.",
  freq_over_10_percent: "Share of the features that are active on more than 10 % of the tokens.",
  normalized_freq_over_1_percent: "Share of all firings that are of features active on more than 1 % of the tokens.",
  normalized_freq_over_10_percent: "Share of all firings that are of features active on more than 10 % of the tokens.",
};

/** What joins {@link SAEBENCH_DEFINITIONS} where the loss was measured. */
export const SAEBENCH_LOSS_DEFINITIONS: Readonly<Record<string, string>> = {
  kl_div_score: "(kl_div_with_ablation - kl_div_with_sae) / kl_div_with_ablation.",
  kl_div_with_ablation:
    "Mean KL(clean || changed) in nats with zeros in the target's place at every counted token. SAEBench puts zeros at BOS too.",
  kl_div_with_sae: "The same with the whole dictionary's reconstruction there.",
  ce_loss_score:
    "(ce_loss_with_ablation - ce_loss_with_sae) / (ce_loss_with_ablation - ce_loss_without_sae): recovered_zero of `loss`.",
  ce_loss_with_ablation: "Mean next-token cross-entropy in nats with zeros in the target's place.",
  ce_loss_with_sae: "The same with the whole dictionary's reconstruction there.",
  ce_loss_without_sae: "The same of the model as it is.",
};

/** What joins {@link SAEBENCH_DEFINITIONS} where all pairs of features were compared. */
export const SAEBENCH_COSINE_DEFINITIONS: Readonly<Record<string, string>> = {
  average_max_encoder_cosine_sim: "Mean over features of the largest cosine of its encoder row with another's.",
  average_max_decoder_cosine_sim: "The same of decoder rows.",
};

/** What is summed over tokens y with reconstructions y_hat. */
export class SaebenchSums {
  readonly #width: number;
  #tokens = 0;
  #cosine = 0;
  #length = 0;
  #reconstructedLength = 0;
  #ratio = 0;
  #squares = 0;
  #reconstructedSquares = 0;
  #products = 0;
  #errors = 0;

  /**
   * Starts at zero.
   *
   * @param width The width of the target.
   */
  constructor(width: number) {
    this.#width = width;
  }

  /**
   * Adds a token.
   *
   * @param square |y|^2
   * @param reconstructed |y_hat|^2
   * @param product y . y_hat
   * @param error |y_hat - y|^2
   */
  add(square: number, reconstructed: number, product: number, error: number): void {
    const length = Math.sqrt(square), length_out = Math.sqrt(reconstructed);
    this.#tokens++;
    this.#cosine += length > 0 && length_out > 0 ? product / (length * length_out) : 0;
    this.#length += length;
    this.#reconstructedLength += length_out;
    this.#ratio += length_out / (length < 1e-4 ? 1 : length);
    this.#squares += square;
    this.#reconstructedSquares += reconstructed;
    this.#products += product;
    this.#errors += error;
  }

  /**
   * The figures over all tokens.
   *
   * @param l0 Mean number of active features.
   * @param fires [features] on how many of the tokens each is active.
   * @returns The figures, with their definitions.
   */
  result(l0: number, fires: Float64Array): SaebenchFigures {
    const tokens = this.#tokens, square = this.#squares / tokens;
    return {
      reconstruction_quality: {
        explained_variance: 1 - this.#errors / tokens / (square - (square / this.#width) ** 2),
        cossim: this.#cosine / tokens,
      },
      shrinkage: {
        l2_norm_in: this.#length / tokens,
        l2_norm_out: this.#reconstructedLength / tokens,
        l2_ratio: this.#ratio / tokens,
        relative_reconstruction_bias: this.#reconstructedSquares / this.#products,
      },
      sparsity: { l0 },
      misc_metrics: frequencies(fires, tokens),
      definitions: { ...SAEBENCH_DEFINITIONS },
    };
  }
}

function frequencies(fires: Float64Array, tokens: number): SaebenchFrequencies {
  const sum = (values: Float64Array) => values.reduce((a, b) => a + b, 0), all = sum(fires);
  const above = (least: number) => fires.filter((count) => count > least * tokens);
  const share = (least: number) => above(least).length / fires.length;
  const ofFirings = (least: number) => all > 0 ? sum(above(least)) / all : 0;
  return {
    frac_alive: share(0),
    freq_over_1_percent: share(0.01),
    freq_over_10_percent: share(0.1),
    normalized_freq_over_1_percent: ofFirings(0.01),
    normalized_freq_over_10_percent: ofFirings(0.1),
  };
}

/** What `mtc evaluate` tells under SAEBench's names. */
export interface ToldSaebench extends SaebenchFigures, Partial<SaebenchLoss> {
  /** With two more where all pairs of features were compared. */
  misc_metrics: SaebenchFrequencies & {
    average_max_encoder_cosine_sim?: number;
    average_max_decoder_cosine_sim?: number;
  };
}

/**
 * Joins what other measurements give.
 *
 * @param figures What text and transcoder give.
 * @param measured The loss and the cosines of all pairs, as far as they were measured.
 * @returns All figures, with their definitions.
 */
export function toldSaebench(
  figures: SaebenchFigures,
  { loss, cosines }: { loss?: LossEvaluation; cosines?: { encoder: Cosines; decoder: Cosines } },
): ToldSaebench {
  const { misc_metrics, definitions, ...others } = figures;
  return {
    ...loss && lossOf(loss),
    ...others,
    misc_metrics: {
      ...misc_metrics,
      ...cosines && {
        average_max_encoder_cosine_sim: cosines.encoder.largest.mean,
        average_max_decoder_cosine_sim: cosines.decoder.largest.mean,
      },
    },
    definitions: {
      ...definitions,
      ...loss && SAEBENCH_LOSS_DEFINITIONS,
      ...cosines && SAEBENCH_COSINE_DEFINITIONS,
    },
  };
}

function lossOf({ clean, zero, per_prefix }: LossEvaluation): SaebenchLoss {
  const spliced = per_prefix[per_prefix.length - 1];
  return {
    model_behavior_preservation: {
      kl_div_score: (zero.kl - spliced.kl) / zero.kl,
      kl_div_with_ablation: zero.kl,
      kl_div_with_sae: spliced.kl,
    },
    model_performance_preservation: {
      ce_loss_score: spliced.recovered_zero,
      ce_loss_with_ablation: zero.ce,
      ce_loss_with_sae: spliced.ce,
      ce_loss_without_sae: clean.ce,
    },
  };
}
