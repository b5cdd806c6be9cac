/**
 * What two dictionaries are like as a whole on the same tokens, beside each other: how many features share the activation, and how far features keep
 * to few tokens and to few documents. Each difference has an interval; what a rare feature would show by chance stands beside it.
 * @module
 */

import { randomGenerator } from "../random.ts";
import { drawResamples, type Interval, interval95, LEAST_RESAMPLED } from "./bootstrap.ts";
import { shuffledContexts } from "./coactivation.ts";
import { medianDifference } from "./comparison.ts";
import type { Hierarchy } from "./hierarchy.ts";
import { columnsOf, type FeatureRecord } from "./record.ts";
import { median } from "./statistics.ts";
import { tokenProfiles } from "./token_profile.ts";

/** Documents, or contexts, are put together to at most so many items that are resampled. */
const MOST_ITEMS = 64;

/** Separates the shuffle from other uses of the generator. */
const SHUFFLE_STREAM = 0x706f7274;

/** A quantity of two dictionaries. */
export interface Trait {
  /** Of the first. */
  readonly a: number;
  /** Of the second. */
  readonly b: number;
  /** What chance gives the first; null where the quantity is one beyond chance already, or has none. */
  readonly a_by_chance: number | null;
  /** What it gives the second. */
  readonly b_by_chance: number | null;
  /** b - a. */
  readonly difference: number;
  /** 95 % bootstrap interval of the difference. */
  readonly ci95: Interval;
}

/** Two dictionaries as a whole. */
export interface Portraits {
  /** exp of the entropy of the features' shares in all activation: how many there are, were they equally active. Intervals resample text. */
  readonly effective_features: Trait;
  /** Median over features of the entropy in bits of the tokens that they fire on. Intervals of medians resample features. */
  readonly token_entropy: Trait;
  /** Median over features of the bits by which that lies below the entropy of as many tokens taken from shuffled contexts. */
  readonly token_bits: Trait;
  /** The same of the documents that they fire in. */
  readonly document_bits: Trait;
  /** Median over features of the share that the commonest token has in their firings. */
  readonly main_token_share: Trait;
  /** Different tokens that are the commonest of a feature. */
  readonly distinct_tokens: readonly [a: number, b: number];
}

/** A dictionary's record, and its features that fire on ten tokens or more. */
export interface Portrayed {
  /** The record. */
  readonly record: FeatureRecord;
  /** The features. */
  readonly judged: Uint32Array;
}

/**
 * Compares two dictionaries as a whole.
 *
 * @param a One.
 * @param b Another one, on the same tokens.
 * @returns The figures.
 */
export function comparePortraits(a: Portrayed, b: Portrayed): Portraits {
  const [first, second] = [a, b].map(profiled);
  const trait = (of: (side: typeof first) => number[], chance?: (side: typeof first) => number[]): Trait => {
    const [valuesA, valuesB] = [of(first), of(second)];
    return {
      ...{ a: median(valuesA), b: median(valuesB) },
      a_by_chance: chance ? median(chance(first)) : null,
      b_by_chance: chance ? median(chance(second)) : null,
      ...medianDifference(valuesA, valuesB),
    };
  };
  const below = (chance: number[], found: number[]) => chance.map((bits, n) => bits - found[n]);
  return {
    effective_features: effectiveFeatures(a.record, b.record),
    token_entropy: trait(({ tokens }) => tokens, ({ tokensByChance }) => tokensByChance),
    token_bits: trait(({ tokens, tokensByChance }) => below(tokensByChance, tokens)),
    document_bits: trait(({ documents, documentsByChance }) => below(documentsByChance, documents)),
    main_token_share: trait(({ shares }) => shares, ({ sharesByChance }) => sharesByChance),
    distinct_tokens: [first.distinct, second.distinct],
  };
}

/** [judged] of what each figure is the median. */
function profiled({ record, judged }: Portrayed) {
  const columns = columnsOf(record, featuresOf(record)), { id, document } = record;
  const beside = shuffledContexts(record, randomGenerator(0, SHUFFLE_STREAM));
  const profilesOf = (label: Uint32Array<ArrayBuffer>) => {
    return tokenProfiles(columns, { id: label }, 1, judged).map(({ tokens: [{ id, count }], entropy }, n) => {
      return { id, entropy, share: count / (columns.start[judged[n] + 1] - columns.start[judged[n]]) };
    });
  };
  const shuffled = (label: Uint32Array) => Uint32Array.from(beside, (token) => label[token]);
  const found = profilesOf(id), chance = profilesOf(shuffled(id));
  const entropies = (profiles: typeof found) => profiles.map(({ entropy }) => entropy);
  return {
    ...{ tokens: entropies(found), tokensByChance: entropies(chance) },
    ...{ shares: found.map(({ share }) => share), sharesByChance: chance.map(({ share }) => share) },
    documents: entropies(profilesOf(document)),
    documentsByChance: entropies(profilesOf(shuffled(document))),
    distinct: new Set(found.map(({ id }) => id)).size,
  };
}

function featuresOf({ groups }: FeatureRecord): number {
  return groups.reduce((sum, size) => sum + size, 0);
}

/** Resamples whole documents, of fewer than five of them contexts, of both records the same. */
function effectiveFeatures(a: FeatureRecord, b: FeatureRecord): Trait {
  const { items, itemOf } = resampledItems(a), resamples = drawResamples(items);
  const [first, second] = [a, b].map((record) => {
    const features = featuresOf(record), mass = new Float64Array(items * features), { rowStart, index, value } = record;
    itemOf.forEach((item, t) => {
      for (let e = rowStart[t]; e < rowStart[t + 1]; e++) mass[item * features + index[e]] += value[e];
    });
    const drawn = new Float64Array(features);
    const number = (counts: ArrayLike<number>) => {
      drawn.fill(0);
      for (let item = 0; item < items; item++) {
        const times = counts[item], from = item * features;
        if (times > 0) { for (let i = 0; i < features; i++) drawn[i] += times * mass[from + i]; }
      }
      return exponentOfEntropy(drawn);
    };
    return { value: number(new Uint8Array(items).fill(1)), resampled: Float64Array.from(resamples, number) };
  });
  return {
    ...{ a: first.value, b: second.value, a_by_chance: null, b_by_chance: null },
    difference: second.value - first.value,
    ci95: interval95(second.resampled.map((value, r) => value - first.resampled[r])),
  };
}

function exponentOfEntropy(mass: Float64Array): number {
  let all = 0, weighted = 0;
  for (const one of mass) {
    if (!(one > 0)) continue;
    all += one;
    weighted += one * Math.log(one);
  }
  return Math.exp(Math.log(all) - weighted / all);
}

/** [tokens] the item that each token belongs to: neighbouring documents, or contexts, about as many in each. */
function resampledItems({ document, place, context }: FeatureRecord): { items: number; itemOf: Uint32Array } {
  const byDocument = new Set(document).size >= LEAST_RESAMPLED;
  const unit = byDocument ? document : place.map((one) => Math.floor(one / context));
  const numbers = new Map([...new Set(unit)].map((one, n) => [one, n])), items = Math.min(MOST_ITEMS, numbers.size);
  return { items, itemOf: unit.map((one) => Math.floor(numbers.get(one)! * items / numbers.size)) };
}

/** How far the nested groups of two dictionaries make a hierarchy. */
export interface HierarchyContrast {
  /** Share of the features of later groups that have a parent beyond chance, which gives 1 %; the interval is over features. */
  readonly with_parent: Trait;
  /** Mean number of ancestors of the features of later groups. */
  readonly mean_depth: readonly [a: number, b: number];
}

/** What is compared of a hierarchy. */
export type ComparedHierarchy = Pick<Hierarchy, "nested" | "groups">;

/**
 * Compares two hierarchies.
 *
 * @param a One.
 * @param b Another one.
 * @returns The figures.
 */
export function compareHierarchies(a: ComparedHierarchy, b: ComparedHierarchy): HierarchyContrast {
  const variance = ({ share, judged }: ComparedHierarchy["nested"]) => share * (1 - share) / judged;
  const difference = b.nested.share - a.nested.share;
  const error = 1.96 * Math.sqrt(variance(a.nested) + variance(b.nested));
  const depth = ({ groups }: ComparedHierarchy) => {
    const later = groups.filter(({ judged }) => judged > 0),
      judged = later.reduce((sum, { judged }) => sum + judged, 0);
    return later.reduce((sum, group) => sum + group.judged * group.mean_depth, 0) / judged;
  };
  return {
    with_parent: {
      ...{ a: a.nested.share, b: b.nested.share, a_by_chance: 0.01, b_by_chance: 0.01 },
      ...{ difference, ci95: [difference - error, difference + error] },
    },
    mean_depth: [depth(a), depth(b)],
  };
}
