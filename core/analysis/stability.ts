/**
 * Which features of a dictionary are found again in one that differs in its seed alone, by what they write, and how many of as many random
 * directions would be.
 * @module
 */
import { randomGenerator } from "../random.ts";
import { type Directions, mixedDirection } from "./directions.ts";
import { SAME_FEATURE } from "./matching.ts";

/** Multiplications for one dictionary against another, as far as that leaves the least number of features. */
const MOST_PRODUCTS = 2e9;

/** So many features of each group are judged, or all of them. */
const LEAST_JUDGED = 32;

/** Separates these draws from other uses of the generator. */
const RANDOM_STREAM = 0x73656564;

/** Directions that were looked for, and those that were found. */
export interface Found {
  /** How many were looked for. */
  readonly judged: number;
  /** Those with a cosine above 0.7 to a feature of the other dictionary. */
  readonly found: number;
}

/** The features of a dictionary, or of several of the same groups, that are found in another. */
export interface Stability {
  /** Of each group: how large it is, and what was found of it. */
  readonly groups: readonly (Found & { readonly features: number })[];
  /** The same of random directions with the second moment of the dictionary's. */
  readonly random: Found;
}

/** The share of a dictionary that is found again, beside chance. */
export interface StableShare {
  /** Over the whole dictionary. */
  readonly share: number;
  /** Of random directions. */
  readonly random: number;
  /** Standard error of the difference of the two, as if features were independent. */
  readonly error: number;
}

/**
 * Looks for a dictionary's features in another.
 *
 * @param a The decoder rows of the one.
 * @param b Those of the other, of equal width.
 * @param groups Features per group of `a`.
 * @param draw Separates the random directions of one call from those of others.
 * @returns What is found. Of large dictionaries evenly spaced features of each group stand for it.
 */
export function foundAgain(a: Directions, b: Directions, groups: readonly number[], draw: number): Stability {
  const perGroup = Math.max(LEAST_JUDGED, Math.floor(MOST_PRODUCTS / b.rows.length / groups.length));
  const row = (i: number) => a.rows.subarray(i * a.width, (i + 1) * a.width);
  let first = 0;
  const found = groups.map((features) => {
    const judged = Math.min(features, perGroup);
    const rows = Array.from({ length: judged }, (_, n) => row(first + Math.floor(n * features / judged)));
    first += features;
    return { features, judged, found: rows.filter((direction) => isIn(b, direction)).length };
  });
  const random = randomGenerator(0, RANDOM_STREAM, draw), count = found.reduce((sum, { judged }) => sum + judged, 0);
  const mixed = () => mixedDirection(a.rows.length / a.width, row, a.width, random);
  const chance = Array.from({ length: count }, () => isIn(b, mixed()));
  return { groups: found, random: { judged: count, found: chance.filter((is) => is).length } };
}

/** Whether a row of the dictionary is above the limit. */
function isIn({ rows, width }: Directions, direction: Float32Array): boolean {
  for (let at = 0; at < rows.length; at += width) {
    // Two sums need not wait for each other.
    let even = 0, odd = 0, c = 0;
    for (; c + 1 < width; c += 2) {
      even += rows[at + c] * direction[c];
      odd += rows[at + c + 1] * direction[c + 1];
    }
    if (c < width) even += rows[at + c] * direction[c];
    if (even + odd > SAME_FEATURE) return true;
  }
  return false;
}

/**
 * Adds up what was found in several pairs of dictionaries of the same groups.
 *
 * @param pairs At least one.
 * @returns The sums; sizes of groups stay.
 */
export function together(pairs: readonly Stability[]): Stability {
  const sum = (of: (pair: Stability) => Found): Found => ({
    judged: pairs.reduce((total, pair) => total + of(pair).judged, 0),
    found: pairs.reduce((total, pair) => total + of(pair).found, 0),
  });
  return {
    groups: pairs[0].groups.map(({ features }, g) => ({ features, ...sum(({ groups }) => groups[g]) })),
    random: sum(({ random }) => random),
  };
}

/**
 * The share of a dictionary that is found again.
 *
 * @param stability What was found.
 * @returns The groups' shares weighted by their sizes, and that of random directions.
 */
export function stableShare({ groups, random }: Stability): StableShare {
  const features = groups.reduce((sum, group) => sum + group.features, 0);
  const part = ({ judged, found }: Found) => ({ p: found / judged, variance: found * (judged - found) / judged ** 3 });
  const parts = groups.map((group) => ({ weight: group.features / features, ...part(group) })), chance = part(random);
  return {
    share: parts.reduce((sum, { weight, p }) => sum + weight * p, 0),
    random: chance.p,
    error: Math.sqrt(parts.reduce((sum, { weight, variance }) => sum + weight ** 2 * variance, chance.variance)),
  };
}
