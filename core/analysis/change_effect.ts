/**
 * What a change of the model does to its predictions of a text: means with intervals, and what is moved the most.
 * @module
 */

import { type Interval, interval95, type Resampling, resamplingOf } from "./bootstrap.ts";

/** A prediction of the next token, without the change and with it. */
export interface ChangedPrediction {
  /** The number of its context, */
  readonly context: number;
  /** and of the document of that. */
  readonly document: number;
  /** Cross-entropy of the token that follows without the change, in nats, */
  readonly before: number;
  /** and with it. */
  readonly after: number;
  /** KL(without || with), in nats. */
  readonly kl: number;
  /** 1 where both think the same token the most probable, 0 elsewhere. */
  readonly same: number;
}

/** The figures of a change. {@link CHANGE_DEFINITIONS} defines each. */
export interface EffectFigures {
  /** Predictions that they are of. */
  predictions: number;
  /** Mean cross-entropy with the change. */
  ce: number;
  /** Its interval. */
  ce_ci95: Interval;
  /** By how much it is above that without the change. */
  ce_change: number;
  /** Its interval. */
  ce_change_ci95: Interval;
  /** Mean KL. */
  kl: number;
  /** Its interval. */
  kl_ci95: Interval;
  /** The share of predictions whose most probable token stays. */
  top1: number;
  /** Its interval. */
  top1_ci95: Interval;
}

/** What a document's predictions have become. */
export interface DocumentEffect {
  /** Its number. */
  readonly document: number;
  /** Its predictions. */
  readonly predictions: number;
  /** By how much their mean cross-entropy has risen. */
  readonly ce_change: number;
  /** Their mean KL. */
  readonly kl: number;
}

/** The exact definition of every figure of a change. */
export const CHANGE_DEFINITIONS: Readonly<Record<string, string>> = {
  change:
    "At every counted token the target gets the sum over the features of (f' - f) W_dec[i], f being the feature's activation by " +
    "threshold inference and f' what it is changed to; the rest of the target, the transcoder's error included, stays as the model computes " +
    "it. Tokens that are not counted, such as BOS, are not changed.",
  scale: "f' = factor f: nothing where the feature does not fire; 0 switches it off.",
  set: "f' = value, at every counted token, or (where: firing) only where the feature fires.",
  add: "f' = f + value, likewise.",
  loss_before: "-log of the probability that the model gives the token that follows, in nats, without the change;",
  loss_after: "with the change.",
  kl:
    "KL(without || with the change) of the whole distribution over the next token, in nats. In the mean over predictions where it stands " +
    "for held-out data, over counted tokens, the last one too, where it stands for a text.",
  kl_share: "The token's KL by the sum of all tokens', those that rounding leaves below 0 taken as 0.",
  target_change: "|y' - y| / |y|: how far the target is moved, relative to its length.",
  movers: "The tokens whose probability of being next is moved the most, by the absolute difference.",
  next_tokens:
    "Each token's probability of being next, without the change and with it, as its mean over all predictions. moved: half the sum of the " +
    "absolute differences over the vocabulary; gained and lost: the tokens with the largest difference of either sign.",
  ce:
    "Mean next-token cross-entropy over the predictions, in nats: those made at a counted token that has a successor.",
  ce_change: "The cross-entropy with the change minus that without it, on the same predictions.",
  top1: "The share of the predictions whose most probable token stays the same.",
  firing: "The predictions made at tokens where at least one of the changed features fires without the change.",
  activation_mass: "The sum of the changed features' activations over the counted tokens, without the change.",
  rivals:
    "As many other features, changed in the same way: for each changed one a random one of the 10 others whose activation mass is " +
    "nearest to its own.",
  ci95:
    "95 % intervals: percentiles 2.5 and 97.5 over 1,000 bootstrap resamples of what `resampled` names, whole documents or with fewer " +
    "than 5 of them whole contexts, the same for all figures. Fewer than 5 contexts give none.",
};

/** Sums over the predictions of one context. */
export interface ContextSums {
  /** The context's document. */
  readonly document: number;
  /** Predictions, */
  predictions: number;
  /** their losses without the change, */
  before: number;
  /** and with it, */
  after: number;
  /** their KL, */
  kl: number;
  /** and how many keep their most probable token. */
  same: number;
}

/** Adds up predictions, context by context, in float64. */
export class EffectSums {
  readonly #contexts = new Map<number, ContextSums>();

  /**
   * Adds a prediction.
   *
   * @param prediction The prediction.
   */
  add({ context, document, before, after, kl, same }: ChangedPrediction): void {
    const sums = this.#contexts.get(context) ?? { document, predictions: 0, before: 0, after: 0, kl: 0, same: 0 };
    sums.predictions++;
    sums.before += before;
    sums.after += after;
    sums.kl += kl;
    sums.same += same;
    this.#contexts.set(context, sums);
  }

  /** The sums of each context, by its number. */
  get contexts(): ReadonlyMap<number, Readonly<ContextSums>> {
    return this.#contexts;
  }

  /** What becomes of each document, in the order in which they first came. */
  get documents(): DocumentEffect[] {
    const grouped = Map.groupBy(this.#contexts.values(), ({ document }) => document);
    return [...grouped].map(([document, contexts]) => {
      const sum = (key: "predictions" | "before" | "after" | "kl") =>
        contexts.reduce((sum, sums) => sum + sums[key], 0);
      const predictions = sum("predictions");
      const ce_change = (sum("after") - sum("before")) / predictions;
      return { document, predictions, ce_change, kl: sum("kl") / predictions };
    });
  }
}

/** Means with intervals, all on one set of resamples. */
export class EffectMeans {
  /** What the intervals resample. */
  readonly resampled: "documents" | "contexts";
  /** Contexts that have predictions, */
  readonly contexts: number;
  /** and documents that these are of. */
  readonly documents: number;
  readonly #numbers: readonly number[];
  readonly #resampling: Resampling;

  /**
   * Draws the resamples.
   *
   * @param all Every prediction of the text, at least one.
   */
  constructor({ contexts }: EffectSums) {
    const documents = [...contexts.values()].map(({ document }) => document);
    this.contexts = contexts.size;
    this.documents = new Set(documents).size;
    this.#numbers = [...contexts.keys()];
    this.#resampling = resamplingOf(documents);
    this.resampled = this.#resampling.resampled;
  }

  /**
   * The figures of some predictions.
   *
   * @param sums All predictions of the text under a change, or some; at least one.
   * @returns Their means. An interval is NaN where a resample has none of them.
   */
  of(sums: EffectSums): EffectFigures {
    const after = this.#mean(sums, "after"), before = this.#mean(sums, "before");
    const kl = this.#mean(sums, "kl"), same = this.#mean(sums, "same");
    return {
      predictions: this.#sum(sums, "predictions").value,
      ce: after.value,
      ce_ci95: interval95(after.resampled),
      ce_change: after.value - before.value,
      ce_change_ci95: interval95(after.resampled.map((ce, r) => ce - before.resampled[r])),
      kl: kl.value,
      kl_ci95: interval95(kl.resampled),
      top1: same.value,
      top1_ci95: interval95(same.resampled),
    };
  }

  /**
   * The cross-entropy without the change.
   *
   * @param sums All predictions of the text.
   * @returns Its mean.
   */
  before(sums: EffectSums): { ce: number; ce_ci95: Interval } {
    const { value: ce, resampled } = this.#mean(sums, "before");
    return { ce, ce_ci95: interval95(resampled) };
  }

  #mean(sums: EffectSums, key: Exclude<keyof ContextSums, "document">): Sums {
    const { value, resampled } = this.#sum(sums, key), predictions = this.#sum(sums, "predictions");
    return {
      value: value / predictions.value,
      resampled: resampled.map((sum, r) => sum / predictions.resampled[r]),
    };
  }

  #sum({ contexts }: EffectSums, key: Exclude<keyof ContextSums, "document">): Sums {
    const perContext = this.#numbers.map((number) => contexts.get(number)?.[key] ?? 0);
    return { value: perContext.reduce((sum, value) => sum + value, 0), resampled: this.#resampling.sums(perContext) };
  }
}

/** A figure over all contexts, and over each resample. */
interface Sums {
  readonly value: number;
  readonly resampled: Float64Array;
}
