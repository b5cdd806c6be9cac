/**
 * The scores that the original project judged its dictionaries by, as it computed them and under its names, so that its figures can be compared.
 * Each stands beside what chance gives; {@link ORIGINAL_DEFINITIONS} says what it cannot say.
 * @module
 */

import { randomGenerator } from "../random.ts";
import { eachWithPartners, shuffledContexts } from "./coactivation.ts";
import { type ActivationColumns, columnsOf, type FeatureRecord } from "./record.ts";
import type { Cosines } from "./similarity.ts";
import { histogram } from "./statistics.ts";

/** Pairs of decoder rows above this are absorbed. */
const ABSORBED = 0.9;

/** Pairs that are active together on more of the tokens are split. */
const SPLIT = 0.5;

/** Features that fire on no more tokens have entropy 0, and bins of the others' activations. */
const FEW_FIRES = 10, BINS = 50;

/** What keeps empty bins and empty groups from dividing by zero. */
const BIN_FLOOR = 1e-10, SEPARATION_FLOOR = 1e-8;

/** Separates the shuffle from other uses of the generator. */
const SHUFFLE_STREAM = 0x6f726967;

/** How alike the decoder rows of a group are to each other, and to those of the next. */
export interface GroupSeparation {
  /** Mean |cosine| within the group, the diagonal counted as zeros. */
  readonly within_similarity: number;
  /** Mean |cosine| between it and the next group; null for the last. */
  readonly between_similarity: number | null;
  /** between_similarity / within_similarity; null for the last. */
  readonly separation_ratio: number | null;
}

/** A group, and what random directions have in its place. */
export interface GroupStatistics extends GroupSeparation {
  /** The group. */
  readonly group: number;
  /** Its features. */
  readonly size: number;
  /** Of as many random directions with the decoder's second moment. */
  readonly by_chance: GroupSeparation;
}

/** The scores of one dictionary. */
export interface OriginalScores {
  /** Tokens of the record. */
  readonly tokens: number;
  /** Share of the pairs of features whose decoder rows have a cosine above 0.9. */
  readonly absorption_score: number;
  /** How many those are. */
  readonly absorbed_pairs: number;
  /** The share among random directions. */
  readonly absorption_by_chance: number;
  /** Share of the pairs of features that are active together on more than half of all tokens. */
  readonly splitting_score: number;
  /** How many those are. */
  readonly split_pairs: number;
  /** The share once contexts are shuffled. */
  readonly splitting_by_chance: number;
  /** Of (1 - frequency + 1 / (1 + entropy)) / 2 over all features. */
  readonly monosemanticity: {
    readonly mean: number;
    /** The lower one of two in the middle. */
    readonly median: number;
    /** Features that never fire, each of which scores 1. */
    readonly never_fire: number;
    /** Others whose entropy is set to 0, because they fire on ten tokens or fewer. */
    readonly few_fires: number;
    /** Mean over the features that fire on more; NaN where there are none. */
    readonly mean_of_others: number;
  };
  /** The groups, in their order. */
  readonly group_stats: readonly GroupStatistics[];
  /** One sentence or two per score: what it is, and what it cannot say. */
  readonly definitions: Readonly<Record<string, string>>;
}

/** What each score is, and what it cannot say. */
export const ORIGINAL_DEFINITIONS: Readonly<Record<string, string>> = {
  absorption_score:
    "Share of the pairs of features whose decoder rows have a cosine above 0.9; by chance: of as many random directions with the same second " +
    "moment. It counts near duplicates and cannot say that a feature stays silent where it belongs because another fires in its place, which " +
    "is what absorption means elsewhere.",
  splitting_score:
    "Share of the pairs of features that are active together on more than half of all tokens; by chance: with shuffled contexts. Only features " +
    "that are active on more than half of the tokens can be in such a pair, so that it says nothing of how a concept is split among sparse ones.",
  monosemanticity:
    "(1 - frequency + 1 / (1 + entropy)) / 2: frequency is the share of tokens that a feature fires on, entropy (in nats) that of its activations in 50 " +
    "bins from its least to its largest, 0 for features that fire on ten tokens or fewer. It knows nothing of tokens or meanings: by chance, each feature's " +
    "activations dealt out to tokens at random, it is the same to the last digit. A feature that never fires has the best score, 1.",
  group_stats:
    "Mean |cosine| of decoder rows within a group (the diagonal counted as zeros) and between it and the next group; by chance: of as many random " +
    "directions with the same second moment in groups of the same sizes. Neither says that a later feature refines an earlier one: see `mtc analyze hierarchy`.",
};

/**
 * Scores a dictionary as the original project did.
 *
 * @param record What it does on a reading set.
 * @param decoder The cosines of its decoder rows, and those of random directions.
 * @returns Its scores, beside what chance gives.
 */
export function originalScores(
  record: FeatureRecord,
  decoder: { readonly cosines: Omit<Cosines, "neighbours">; readonly by_chance: Omit<Cosines, "neighbours"> },
): OriginalScores {
  const { groups } = record, tokens = record.place.length, features = groups.reduce((a, b) => a + b, 0);
  const columns = columnsOf(record, features), pairs = Math.max(1, features * (features - 1) / 2);
  const absorbed = ({ bands }: Omit<Cosines, "neighbours">) => bands.find(({ least }) => least === ABSORBED)!.pairs;
  const beside = shuffledContexts(record, randomGenerator(0, SHUFFLE_STREAM));
  const split = splitPairs(record, columns), by_chance = splitPairs(record, columns, beside);
  return {
    tokens,
    absorption_score: absorbed(decoder.cosines) / pairs,
    absorbed_pairs: absorbed(decoder.cosines),
    absorption_by_chance: absorbed(decoder.by_chance) / pairs,
    splitting_score: split / pairs,
    split_pairs: split,
    splitting_by_chance: by_chance / pairs,
    monosemanticity: monosemanticityOf(columns, tokens),
    group_stats: groups.map((size, group) => ({
      ...{ group, size, ...separation(decoder.cosines.absolute, size, group) },
      by_chance: separation(decoder.by_chance.absolute, size, group),
    })),
    definitions: ORIGINAL_DEFINITIONS,
  };
}

function splitPairs(record: FeatureRecord, columns: ActivationColumns, beside?: Uint32Array): number {
  const features = columns.start.length - 1, most = SPLIT * record.place.length;
  const frequent = Array.from({ length: features }, (_, i) => i)
    .filter((i) => columns.start[i + 1] - columns.start[i] > most);
  let pairs = 0;
  eachWithPartners(columns, record, features, ({ feature, partners, together }) => {
    for (const other of partners) if (other < feature && together[other] > most) pairs++;
  }, { beside, features: frequent });
  return pairs;
}

/**
 * The original project's monosemanticity of each feature.
 *
 * @param columns Activations by feature.
 * @param tokens How many tokens there are.
 * @returns [features]
 */
export function monosemanticities({ start, value }: ActivationColumns, tokens: number): Float64Array {
  return Float64Array.from({ length: start.length - 1 }, (_, i) => {
    const active = value.subarray(start[i], start[i + 1]), frequency = active.length / tokens;
    return (1 - frequency + 1 / (1 + (active.length > FEW_FIRES ? activationEntropy(active) : 0))) / 2;
  });
}

/** Entropy in nats of a histogram of activations, as NumPy's density, which is not of probabilities, makes it. */
function activationEntropy(active: Float32Array): number {
  let low = Infinity, high = -Infinity;
  for (const value of active) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const { edges, counts } = histogram(active, BINS, low, high), width = edges[1] - edges[0];
  const densities = counts.map((count) => count / (active.length * width) + BIN_FLOOR);
  const all = densities.reduce((a, b) => a + b, 0);
  return densities.reduce((sum, density) => sum - density / all * Math.log(density / all), 0);
}

function monosemanticityOf(columns: ActivationColumns, tokens: number): OriginalScores["monosemanticity"] {
  const scores = monosemanticities(columns, tokens), fires = (i: number) => columns.start[i + 1] - columns.start[i];
  const mean = (values: Float64Array) => values.reduce((a, b) => a + b, 0) / values.length;
  const count = (has: (fires: number) => boolean) => scores.filter((_, i) => has(fires(i))).length;
  return {
    mean: mean(scores),
    median: scores.toSorted()[Math.floor((scores.length - 1) / 2)],
    never_fire: count((fires) => fires === 0),
    few_fires: count((fires) => fires > 0 && fires <= FEW_FIRES),
    mean_of_others: mean(scores.filter((_, i) => fires(i) > FEW_FIRES)),
  };
}

function separation(absolute: readonly (readonly number[])[], size: number, group: number): GroupSeparation {
  const within_similarity = size > 1 ? absolute[group][group] * (size - 1) / size : 0;
  const between_similarity = group + 1 < absolute.length ? absolute[group][group + 1] : null;
  return {
    within_similarity,
    between_similarity,
    separation_ratio: between_similarity === null ? null : between_similarity / (within_similarity + SEPARATION_FLOOR),
  };
}
