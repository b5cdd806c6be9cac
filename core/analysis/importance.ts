/**
 * Which features matter: by how strongly they fire, by what the reconstruction loses without them, and by what the model's predictions lose
 * when they are switched off; and how far these rankings agree and can be relied on.
 * @module
 */

import { permutation, randomGenerator } from "../random.ts";
import { type Interval, interval95, type Resampling, resamplingOf } from "./bootstrap.ts";
import { spearman } from "./statistics.ts";

/** The rankings. {@link IMPORTANCE_DEFINITIONS} defines each. */
export const MEASURES = ["mass", "fvu_rise", "ce_rise", "kl"] as const;
/** One of them. */
export type Measure = typeof MEASURES[number];

/** The features whose effect on the model is measured: the first of a ranking, and a random sample of all. */
export const FEATURE_SETS = ["top", "random"] as const;
/** One of the two. */
export type FeatureSet = typeof FEATURE_SETS[number];

/** What switching a feature off does to the model's predictions. */
export interface FeatureEffect {
  /** Why it was measured. */
  sets: FeatureSet[];
  /** How much the mean next-token cross-entropy rises, in nats. */
  ce_rise: number;
  /** Its interval. */
  ce_rise_ci95: Interval;
  /** How much the sum of the cross-entropies rises for each firing, in nats. */
  ce_rise_per_fire: number;
  /** Mean KL(clean || without it), in nats. */
  kl: number;
  /** Its interval. */
  kl_ci95: Interval;
}

/** One feature. */
export interface FeatureImportance {
  /** Index in the dictionary. */
  feature: number;
  /** Index of its Matryoshka group. */
  group: number;
  /** Tokens it fires on. */
  fires: number;
  /** Its mean activation over all tokens, those where it does not fire included. */
  mass: number;
  /** How much the FVU of the whole dictionary rises without it. */
  fvu_rise: number;
  /** What the model loses without it; null where that was not measured. */
  effect: FeatureEffect | null;
}

/** How far two rankings agree. */
export interface RankPair {
  /** One ranking, */
  a: Measure;
  /** and the other. */
  b: Measure;
  /** Spearman's correlation. */
  spearman: number;
  /** Its interval. */
  ci95: Interval;
}

/** The rankings of one set of features, side by side. */
export interface RankAgreement {
  /** Which features. */
  set: FeatureSet;
  /** How many. */
  features: number;
  /** What 95 of 100 correlations of unrelated ranks of so many features stay within, on either side of 0. */
  chance: number;
  /** Every two rankings. */
  pairs: RankPair[];
  /** Of each ranking, how well it would correlate with the same ranking on as much other text. */
  reliability: Record<Measure, number>;
}

/** importance.json, but for what the run adds. */
export interface Importance {
  /** Tokens that were counted, */
  tokens: number;
  /** predictions, */
  predictions: number;
  /** contexts, */
  contexts: number;
  /** and documents that they lie in. */
  documents: number;
  /** What the intervals resample. */
  resampled: "documents" | "contexts";
  /** Mean next-token cross-entropy of the model as it is, in nats. */
  clean_ce: number;
  /** Every feature of the dictionary, in its order. */
  features: FeatureImportance[];
  /** The rankings within the top features, and within the random ones. */
  agreement: RankAgreement[];
  /** One sentence per figure that says exactly what it is. */
  definitions: Record<string, string>;
}

/** The exact definition of every figure. */
export const IMPORTANCE_DEFINITIONS: Readonly<Record<string, string>> = {
  tokens: "Held-out tokens that were counted; a feature fires where it is above its threshold on one of them.",
  predictions:
    "Predictions that were counted: those made at a counted token that a token of the same context follows. The loss of a prediction is " +
    "-log of the probability that the model gives that token.",
  clean_ce: "Mean loss of these predictions by the model as it is, in nats.",
  mass: "The feature's activations summed over all tokens, divided by their number.",
  fvu_rise:
    "How much the FVU of the whole dictionary rises when the feature alone is taken out of the reconstruction: the sum over tokens of " +
    "|y - y_hat + f W_dec|^2 - |y - y_hat|^2 over sum |y - mean(y)|^2; negative where the reconstruction is better without it.",
  ce_rise:
    "How much the mean loss of all predictions rises when the feature alone is switched off: its f W_dec is taken from the target wherever " +
    "it fires, everything else at the target, what the transcoder does not explain included, stays. Negative where the model predicts " +
    "better without it.",
  ce_rise_per_fire: "The same as a sum over predictions, divided by the tokens that the feature fires on.",
  kl:
    "Mean over all predictions of KL(clean || switched off), of the whole distribution over the vocabulary, in nats: how much they change, for " +
    "better or worse.",
  sets:
    "top: the features with the largest fvu_rise on this very text. random: drawn from all features that fire on it, whatever their rank.",
  spearman: "Spearman's correlation of the features' values by two measures.",
  reliability:
    "The correlation of the features' ranks by one half of the contexts with those by the other half, the mean over 100 random halvings, " +
    "raised to the whole text by Spearman and Brown's 2 r / (1 + r): how well the ranks by as much other text of these documents would " +
    "agree; 0 where the halves rank against each other. Two rankings can hardly agree more than the root of their reliabilities' product.",
  ci95:
    "95 % intervals: percentiles 2.5 and 97.5 over 1,000 bootstrap resamples of what `resampled` names; of correlations, each resamples the " +
    "features as well. Documents are resampled where there are five, else contexts; of fewer than five of those there are none.",
};

/** What takes the place of {@link IMPORTANCE_DEFINITIONS} where a transcoder has several targets. */
export const DEFINITIONS_OF_SEVERAL_TARGETS: Readonly<Record<string, string>> = {
  fvu_rise:
    "How much the FVU of the whole dictionary rises when the feature alone is taken out of the reconstruction: the sum over tokens of " +
    "|y - y_hat + f W_dec|^2 - |y - y_hat|^2 over sum |y - mean(y)|^2, all targets side by side, each times its target_scales of config.json, " +
    "so that they weigh the same; negative where the reconstruction is better without it.",
  ce_rise:
    "How much the mean loss of all predictions rises when the feature alone is switched off: its f W_dec is taken from every target in the " +
    "same forward pass wherever it fires, everything else there, what a lower target's change makes of a higher one included, stays. " +
    "Negative where the model predicts better without it.",
};

/** How many features to switch off. */
export interface Choice {
  /** Of those with the largest fvu_rise. */
  readonly top: number;
  /** Drawn from all that fire. */
  readonly random: number;
  /** What they are drawn by. */
  readonly seed: number;
}

/** A feature that is switched off, and why. */
export interface ChosenFeature {
  /** Index in the dictionary. */
  readonly feature: number;
  /** The sets it is of, at least one. */
  readonly sets: FeatureSet[];
}

/** Separates these draws from other uses of the generator. */
const CHOICE_STREAM = 0x696d7074, HALVES_STREAM = 0x68616c66, FEATURES_STREAM = 0x66656174;
/** Halvings behind a reliability. */
const HALVINGS = 100;

/**
 * Chooses the features to switch off.
 *
 * @param fires Tokens that each feature fires on.
 * @param error How much the squared error rises without each feature.
 * @param choice How many.
 * @returns The features in the order of the dictionary.
 */
export function chooseFeatures(
  fires: ArrayLike<number>,
  error: ArrayLike<number>,
  { top, random, seed }: Choice,
): ChosenFeature[] {
  const living = Array.from(fires, (_, i) => i).filter((i) => fires[i] > 0);
  const first = living.toSorted((a, b) => error[b] - error[a] || a - b).slice(0, top);
  const order = permutation(living.length, randomGenerator(seed, CHOICE_STREAM));
  const drawn = [...order.subarray(0, random)].map((at) => living[at]);
  const isOf = { top: new Set(first), random: new Set(drawn) };
  return [...new Set([...first, ...drawn])].sort((a, b) => a - b).map((feature) => ({
    feature,
    sets: FEATURE_SETS.filter((set) => isOf[set].has(feature)),
  }));
}

/** Sums over the text, of each context where there are several. */
export interface MeasuredImportance {
  /** How many targets the transcoder has. */
  readonly targets: number;
  /** Each context's document, by number. */
  readonly documents: readonly number[];
  /** Counted tokens, of all contexts. */
  readonly tokens: number;
  /** Predictions of each context, */
  readonly predictions: ArrayLike<number>;
  /** and the sum of their losses by the clean model. */
  readonly cleanLoss: ArrayLike<number>;
  /** sum |y - mean(y)|^2 over all tokens. */
  readonly variance: number;
  /** By feature, over all tokens: firings, */
  readonly fires: ArrayLike<number>;
  /** the sum of the activations, */
  readonly mass: ArrayLike<number>;
  /** and how much the squared error rises without it. */
  readonly error: ArrayLike<number>;
  /** The features that were switched off. */
  readonly ablated: readonly AblatedFeature[];
}

/** A feature that was switched off; each array has one sum per context. */
export interface AblatedFeature extends ChosenFeature {
  /** Its activations. */
  readonly mass: Float64Array;
  /** How much the squared error rises without it. */
  readonly error: Float64Array;
  /** How much the losses of the predictions rise. */
  readonly loss: Float64Array;
  /** KL(clean || without it) of the predictions. */
  readonly kl: Float64Array;
}

/** Where a ranking's sums are. */
const SUMS: Readonly<Record<Measure, "mass" | "error" | "loss" | "kl">> = {
  mass: "mass",
  fvu_rise: "error",
  ce_rise: "loss",
  kl: "kl",
};

/**
 * Makes the figures.
 *
 * @param measured Sums over the text.
 * @param groupOf The Matryoshka group of a feature.
 * @returns Every feature, and how the rankings agree.
 */
export function importanceFigures(measured: MeasuredImportance, groupOf: (feature: number) => number): Importance {
  const { targets, documents, tokens, predictions, cleanLoss, variance, fires, mass, error, ablated } = measured;
  const resampling = resamplingOf(documents), total = sum(predictions);
  const resampledTotal = resampling.sums(predictions);
  const effects = new Map(ablated.map(({ feature, sets, loss, kl }) => {
    const interval = (sums: Float64Array) =>
      interval95(resampling.sums(sums).map((value, r) => value / resampledTotal[r]));
    const effect: FeatureEffect = {
      sets,
      ce_rise: sum(loss) / total,
      ce_rise_ci95: interval(loss),
      ce_rise_per_fire: sum(loss) / fires[feature],
      kl: sum(kl) / total,
      kl_ci95: interval(kl),
    };
    return [feature, effect];
  }));
  return {
    tokens,
    predictions: total,
    contexts: documents.length,
    documents: new Set(documents).size,
    resampled: resampling.resampled,
    clean_ce: sum(cleanLoss) / total,
    features: Array.from(fires, (count, feature) => ({
      feature,
      group: groupOf(feature),
      fires: count,
      mass: mass[feature] / tokens,
      fvu_rise: error[feature] / variance,
      effect: effects.get(feature) ?? null,
    })),
    agreement: FEATURE_SETS.map((set) =>
      agreementOf(set, ablated.filter(({ sets }) => sets.includes(set)), documents.length, resampling)
    ),
    definitions: { ...IMPORTANCE_DEFINITIONS, ...targets > 1 ? DEFINITIONS_OF_SEVERAL_TARGETS : {} },
  };
}

/** How the rankings of some features agree. Their values are sums over the text: what they are divided by changes no rank. */
function agreementOf(
  set: FeatureSet,
  features: readonly AblatedFeature[],
  contexts: number,
  resampling: Resampling,
): RankAgreement {
  const pairs = MEASURES.flatMap((a, i) => MEASURES.slice(i + 1).map((b) => ({ a, b })));
  const values = byMeasure((measure) => features.map((feature) => sum(feature[SUMS[measure]])));
  const resampled = byMeasure((measure) => features.map((feature) => resampling.sums(feature[SUMS[measure]])));
  const random = randomGenerator(0, FEATURES_STREAM, features.length);
  const draws = resampling.resamples.map(() => features.map(() => random.below(features.length)));
  return {
    set,
    features: features.length,
    chance: 1.96 / Math.sqrt(features.length - 1),
    pairs: pairs.map(({ a, b }) => ({
      ...{ a, b, spearman: spearman(values[a], values[b]) },
      ci95: interval95(Float64Array.from(draws, (drawn, r) => {
        const [of, and] = [a, b].map((measure) => drawn.map((feature) => resampled[measure][feature][r]));
        return spearman(of, and);
      })),
    })),
    reliability: byMeasure((measure) => reliabilityOf(features.map((feature) => feature[SUMS[measure]]), contexts)),
  };
}

/** The reliability of the ranks of features, each with one sum per context; 0 where halves rank against each other. */
function reliabilityOf(features: readonly Float64Array[], contexts: number): number {
  const random = randomGenerator(0, HALVES_STREAM, contexts);
  let correlations = 0;
  for (let halving = 0; halving < HALVINGS; halving++) {
    const half = permutation(contexts, random).subarray(0, Math.floor(contexts / 2));
    const first = features.map((sums) => half.reduce((part, context) => part + sums[context], 0));
    correlations += spearman(first, features.map((sums, i) => sum(sums) - first[i]));
  }
  const correlation = Math.max(0, correlations / HALVINGS);
  return 2 * correlation / (1 + correlation);
}

function byMeasure<T>(make: (measure: Measure) => T): Record<Measure, T> {
  return Object.fromEntries(MEASURES.map((measure) => [measure, make(measure)])) as Record<Measure, T>;
}

function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}
