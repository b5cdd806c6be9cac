/**
 * What a transcoder in the place of the MLP, or of whatever it predicts, does to the model's predictions; summed in float64 by context.
 * @module
 */

import { drawResamples, type Interval, interval95, LEAST_RESAMPLED, resampledSums } from "./bootstrap.ts";

/** The figures of a changed model's predictions. {@link LOSS_DEFINITIONS} defines each. */
export interface PredictionFigures {
  /** Mean next-token cross-entropy, in nats. */
  ce: number;
  /** Its interval. */
  ce_ci95: Interval;
  /** Mean KL(clean || changed), in nats. */
  kl: number;
  /** Its interval. */
  kl_ci95: Interval;
  /** The share of predictions whose most probable token is the clean model's. */
  top1: number;
  /** Its interval. */
  top1_ci95: Interval;
}

/** Those of a model with transcoders spliced in. */
export interface SplicedFigures extends PredictionFigures {
  /** (CE_zero - CE) / (CE_zero - CE_clean) */
  recovered_zero: number;
  /** Its interval. */
  recovered_zero_ci95: Interval;
  /** (CE_mean - CE) / (CE_mean - CE_clean) */
  recovered_mean: number;
  /** Its interval. */
  recovered_mean_ci95: Interval;
}

/** Ablations of some targets, and transcoders in their place. */
export interface Replacement<Prefix> {
  /** The targets are zero. */
  zero: PredictionFigures;
  /** The targets are their means. */
  mean: PredictionFigures;
  /** Transcoders in their place, the shortest prefix first, the whole dictionary last. */
  per_prefix: (Prefix & SplicedFigures)[];
}

/** The section `loss` of evaluation.json. */
export interface LossEvaluation extends Replacement<{ prefix: number }> {
  /** Predictions that were counted. */
  tokens: number;
  /** Held-out contexts they lie in, */
  contexts: number;
  /** and documents. */
  documents: number;
  /** What the intervals resample. */
  resampled: "documents" | "contexts";
  /** The model as it is. */
  clean: { ce: number; ce_ci95: Interval };
  /** This transcoder and others of the run at once, where there are some: `layer2.resid_mid -> layer2.mlp_out`; of each the prefix of one rank. */
  replacement_model?: Replacement<{ prefixes: number[] }> & { transcoders: string[] };
  /** One sentence per figure that says exactly what it is. */
  definitions: Record<string, string>;
}

/** The exact definition of every figure of the section `loss`. */
export const LOSS_DEFINITIONS: Readonly<Record<string, string>> = {
  tokens:
    "Predictions that were counted: those made at a counted token that is not the last of its context. The loss of a prediction at " +
    "token i is -log of the probability that the model gives token i + 1. Every counted token's target is replaced, also the last one's of a " +
    "context; tokens that are not counted, such as BOS, keep what the model computes for them.",
  contexts: "Held-out contexts that these predictions lie in.",
  documents: "Documents that these contexts begin with.",
  resampled:
    "What the intervals resample: whole documents, or with fewer than 5 of them whole contexts, which then says nothing of how other " +
    "documents would differ. Fewer than 5 contexts give none.",
  clean: "The model as it is.",
  ce: "Mean next-token cross-entropy over the predictions, in nats.",
  kl: "Mean over the predictions of KL(clean || changed), of the whole distribution over the vocabulary, in nats.",
  top1: "The share of the predictions whose most probable token is the clean model's.",
  zero: "The target is zero at every counted token.",
  mean:
    "The target is its mean over the counted tokens of the very contexts that are measured, at every counted token.",
  per_prefix:
    "The target is the transcoder's reconstruction with threshold inference at every counted token; only features below the prefix's " +
    "end take part.",
  recovered_zero:
    "(CE_zero - CE_spliced) / (CE_zero - CE_clean): 1 where the model loses nothing, 0 where it loses as much as by zeros.",
  recovered_mean: "(CE_mean - CE_spliced) / (CE_mean - CE_clean).",
  replacement_model:
    "The targets of several transcoders of the run ablated at once, or all of them spliced in at once: each reads its source from the model " +
    "that those below it have changed already.",
  ci95:
    "95 % intervals: percentiles 2.5 and 97.5 over 1,000 bootstrap resamples of what `resampled` names, the same for all figures, so that " +
    "a share recovered is that of one resample.",
};

/**
 * What means in the targets' place recover of what zeros cost there: the share that a transcoder must exceed to be worth more than a
 * constant.
 *
 * @param figures The ablations beside the model as it is.
 * @returns (CE_zero - CE_mean) / (CE_zero - CE_clean)
 */
export function meanRecovered({ zero, mean, clean }: Pick<LossEvaluation, "zero" | "mean" | "clean">): number {
  return (zero.ce - mean.ce) / (zero.ce - clean.ce);
}

/** Some predictions of one model. */
export interface MeasuredPredictions {
  /** The context of each: a number that no other context of any batch has. */
  readonly context: ArrayLike<number>;
  /** The document of its context, by number. */
  readonly document: ArrayLike<number>;
  /** Its loss, in nats. */
  readonly loss: ArrayLike<number>;
  /** KL(clean || this model), in nats. */
  readonly kl: ArrayLike<number>;
  /** 1 where both models' most probable token is the same, 0 elsewhere. */
  readonly same: ArrayLike<number>;
}

/** The sums over the predictions of one context. */
export interface ContextPredictions {
  /** The context's document. */
  readonly document: number;
  /** Predictions, */
  tokens: number;
  /** their losses, */
  loss: number;
  /** their KL, */
  kl: number;
  /** and how many agree with the clean model. */
  same: number;
}

/** Adds up the predictions of one model, context by context. */
export class PredictionSums {
  readonly #contexts = new Map<number, ContextPredictions>();

  /**
   * Adds a batch.
   *
   * @param batch Its predictions.
   */
  add({ context, document, loss, kl, same }: MeasuredPredictions): void {
    for (let i = 0; i < context.length; i++) {
      const sums = this.#contexts.get(context[i]) ?? { document: document[i], tokens: 0, loss: 0, kl: 0, same: 0 };
      sums.tokens++;
      sums.loss += loss[i];
      sums.kl += kl[i];
      sums.same += same[i];
      this.#contexts.set(context[i], sums);
    }
  }

  /** The sums of each context, in the order in which they first came. */
  get contexts(): ContextPredictions[] {
    return [...this.#contexts.values()];
  }
}

/** The same predictions of models with some targets ablated, and with transcoders in their place. */
export interface ReplacementSums {
  /** With zeros. */
  readonly zero: PredictionSums;
  /** With means. */
  readonly mean: PredictionSums;
  /** With each prefix. */
  readonly prefixes: readonly PredictionSums[];
}

/** Means and shares recovered, on one set of resamples. */
export class LossFigures {
  readonly #contexts: number;
  readonly #documents: number;
  readonly #resampled: LossEvaluation["resampled"];
  /** What each context is resampled with: its number among documents, or among contexts. */
  readonly #units: readonly number[];
  readonly #resamples: readonly Uint16Array[];
  readonly #tokens: Means;
  readonly #cleanLoss: Means;

  /**
   * Draws the resamples.
   *
   * @param clean The predictions of the model as it is; at least one.
   */
  constructor({ contexts }: PredictionSums) {
    const documents = [...new Set(contexts.map(({ document }) => document))];
    this.#contexts = contexts.length;
    this.#documents = documents.length;
    this.#resampled = documents.length < LEAST_RESAMPLED ? "contexts" : "documents";
    const isByDocument = this.#resampled === "documents";
    this.#units = contexts.map(({ document }, c) => isByDocument ? documents.indexOf(document) : c);
    this.#resamples = drawResamples(isByDocument ? documents.length : contexts.length);
    this.#tokens = this.#sums(contexts.map(({ tokens }) => tokens));
    this.#cleanLoss = this.#means(contexts.map(({ loss }) => loss));
  }

  /**
   * What all transcoders share.
   *
   * @returns Counts, and the model as it is.
   */
  common(): Pick<LossEvaluation, "tokens" | "contexts" | "documents" | "resampled" | "clean"> {
    const { value: ce, resampled } = this.#cleanLoss;
    return {
      tokens: this.#tokens.value,
      contexts: this.#contexts,
      documents: this.#documents,
      resampled: this.#resampled,
      clean: { ce, ce_ci95: interval95(resampled) },
    };
  }

  /**
   * The figures of a replacement.
   *
   * @param sums Of the same predictions as the clean model's.
   * @param named What is said of each prefix beside its figures.
   * @returns Ablations and prefixes.
   */
  replacement<Prefix>({ zero, mean, prefixes }: ReplacementSums, named: readonly Prefix[]): Replacement<Prefix> {
    const clean = this.#cleanLoss,
      lossOf = ({ contexts }: PredictionSums) => this.#means(contexts.map(({ loss }) => loss));
    const shareOf = (ablated: PredictionSums, spliced: PredictionSums): [number, Interval] => {
      const without = lossOf(ablated), within = lossOf(spliced);
      const shares = without.resampled.map((ce, r) => (ce - within.resampled[r]) / (ce - clean.resampled[r]));
      return [(without.value - within.value) / (without.value - clean.value), interval95(shares)];
    };
    return {
      zero: this.#figures(zero),
      mean: this.#figures(mean),
      per_prefix: prefixes.map((spliced, p) => {
        const [recovered_zero, recovered_zero_ci95] = shareOf(zero, spliced);
        const [recovered_mean, recovered_mean_ci95] = shareOf(mean, spliced);
        const recovered = { recovered_zero, recovered_zero_ci95, recovered_mean, recovered_mean_ci95 };
        return { ...named[p], ...this.#figures(spliced), ...recovered };
      }),
    };
  }

  #figures({ contexts }: PredictionSums): PredictionFigures {
    const [ce, kl, top1] = (["loss", "kl", "same"] as const).map((key) =>
      this.#means(contexts.map((sums) => sums[key]))
    );
    return {
      ce: ce.value,
      ce_ci95: interval95(ce.resampled),
      kl: kl.value,
      kl_ci95: interval95(kl.resampled),
      top1: top1.value,
      top1_ci95: interval95(top1.resampled),
    };
  }

  #means(perContext: readonly number[]): Means {
    const { value, resampled } = this.#sums(perContext), tokens = this.#tokens;
    return { value: value / tokens.value, resampled: resampled.map((sum, r) => sum / tokens.resampled[r]) };
  }

  #sums(perContext: readonly number[]): Means {
    const perUnit = new Float64Array(this.#resamples[0].length);
    perContext.forEach((value, c) => perUnit[this.#units[c]] += value);
    return {
      value: perContext.reduce((sum, value) => sum + value, 0),
      resampled: resampledSums(this.#resamples, perUnit),
    };
  }
}

/** A figure over all contexts, and over each resample. */
interface Means {
  readonly value: number;
  readonly resampled: Float64Array;
}
