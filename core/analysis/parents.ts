/**
 * The parents of a dictionary's features: for each feature of a later group the feature of an earlier one that it fires under, if there is one
 * beyond chance.
 *
 * The strongest parent j of a child i has the largest excess P(j fires | i fires) - P(j fires) among all features of earlier groups: how much
 * likelier it is where the child fires than anywhere. It is kept where that beats the 99th percentile of what the strongest parents of equally
 * frequent children of the same group have once contexts are shuffled, so one child in a hundred has a parent by chance. For a given pair the
 * excess rises and falls with the lift P(j | i) / P(j); among pairs the lift alone would favour whatever is rare.
 * @module
 */

import { permutation, randomGenerator } from "../random.ts";
import { activationSums, eachWithPartners } from "./coactivation.ts";
import { cosine, type Directions } from "./directions.ts";
import { type ActivationColumns, rowsOf } from "./record.ts";
import type { SparseRows } from "./samples.ts";
import { median, moments, quantile } from "./statistics.ts";

/** Children that fire on fewer tokens are not judged: whatever contains three firings may do so by chance. */
export const LEAST_FIRES = 10;

/** Share of children that have a parent by chance: a parent must beat what all but so many strongest parents of null children have. */
export const KEPT_BY_CHANCE = 0.01;

/** The nearest null children that a child is held against. */
const NEAREST = 400;

/** Separates this shuffle from other uses of the generator. */
const DEAL_STREAM = 0x7369626c;

/** A feature and the one that it fires under. */
export interface Parent {
  /** The feature of a later group. */
  readonly child: number;
  /** The feature of an earlier one. */
  readonly parent: number;
  /** Tokens on which both fire. */
  readonly together: number;
  /** P(parent fires | child fires). */
  readonly containment: number;
  /** P(parent fires | child fires) - P(parent fires). */
  readonly excess: number;
  /** P(parent fires | child fires) / P(parent fires). */
  readonly lift: number;
  /** Cosine of both decoder rows. */
  readonly cosine: number;
}

/** How the children of a dictionary stand to features of earlier groups. */
export interface ParentFigures {
  /** Children that fire on {@link LEAST_FIRES} tokens or more. */
  readonly judged: number;
  /** Those with a parent beyond chance. */
  readonly kept: number;
  /** kept / judged; chance gives 0.01. */
  readonly share: number;
  /** Mean over the judged of their kept parent's excess, 0 for those without. */
  readonly mean_excess: number;
  /** Standard error of `mean_excess`, over features. */
  readonly mean_excess_error: number;
  /** Median of P(parent | child) over kept parents. */
  readonly median_containment: number;
  /** Median of their lift. */
  readonly median_lift: number;
  /** Mean cosine of the decoder rows of child and parent. */
  readonly mean_cosine: number;
  /** The same with parents dealt out among the children anew. */
  readonly mean_cosine_by_chance: number;
  /** Parents with two children or more. */
  readonly families: number;
  /** Mean over families of the mean correlation of the activations of two children of one parent; NaN without families. */
  readonly sibling_correlation: number;
  /** The same with parents dealt out anew among the children of a group. */
  readonly sibling_correlation_by_chance: number;
  /** Standard error of their difference, over families. */
  readonly sibling_error: number;
}

/** Activations with the groups that parents are looked for in. */
export interface Grouped {
  /** The features of each token. */
  readonly rows: SparseRows;
  /** The same, by feature. */
  readonly columns: ActivationColumns;
  /** Sizes of the groups: their features follow each other. */
  readonly groups: readonly number[];
  /** [features] the decoder row of each. */
  readonly direction: Uint32Array;
}

/**
 * Looks for the parents of all children that are judged.
 *
 * @param grouped Activations and groups.
 * @param directions Decoder rows.
 * @param tokens Tokens that the activations are of.
 * @param shuffles Per shuffle of contexts the token that stands beside each.
 * @param onFeature Called for each child, once for itself and once for each shuffle.
 * @returns [features] the kept parent of each, null where it has none, and their figures.
 */
export function parentsIn(
  grouped: Grouped,
  directions: Directions,
  tokens: number,
  shuffles: readonly Uint32Array[],
  onFeature?: () => void,
): { parents: (Parent | null)[]; figures: ParentFigures } {
  const { columns: { start }, groups, direction } = grouped;
  const found = candidates(grouped, tokens, undefined, onFeature);
  const nulls = shuffles.map((beside) => candidates(grouped, tokens, beside, onFeature));
  const judged = judgedChildren(grouped.columns, groups), firstOf = groupStarts(groups, start.length - 1);
  const parents: (Parent | null)[] = new Array(start.length - 1).fill(null);
  for (const children of Map.groupBy(judged, (i) => firstOf[i]).values()) {
    const fires = (i: number) => start[i + 1] - start[i];
    const limit = limitByFires(children.flatMap((i) => nulls.map(({ excess }) => [fires(i), excess[i]] as const)));
    for (const child of children) {
      const parent = found.parent[child], excess = found.excess[child];
      if (parent < 0 || !(excess > limit(fires(child)))) continue;
      const together = found.together[child], containment = together / fires(child);
      const lift = containment / (fires(parent) / tokens);
      parents[child] = {
        ...{ child, parent, together, containment, excess, lift },
        cosine: cosine(directions, direction[child], direction[parent]),
      };
    }
  }
  return {
    parents,
    figures: { ...figuresOf(parents, judged, directions, direction), ...siblingsOf(grouped, parents, firstOf, tokens) },
  };
}

/**
 * Groups features by how often they fire.
 *
 * @param columns Activations by feature.
 * @param groups Sizes of the groups.
 * @param tokens Tokens that the activations are of.
 * @returns The most frequent features in the first group, and so on.
 */
export function byDensity(
  { start, token, value }: ActivationColumns,
  groups: readonly number[],
  tokens: number,
): Grouped {
  const fires = (i: number) => start[i + 1] - start[i];
  const direction = Uint32Array.from({ length: start.length - 1 }, (_, i) => i).sort((a, b) =>
    fires(b) - fires(a) || a - b
  );
  const columns = {
    start: new Uint32Array(start.length),
    token: new Uint32Array(token.length),
    value: new Float32Array(value.length),
  };
  direction.forEach((i, rank) => {
    columns.token.set(token.subarray(start[i], start[i + 1]), columns.start[rank]);
    columns.value.set(value.subarray(start[i], start[i + 1]), columns.start[rank]);
    columns.start[rank + 1] = columns.start[rank] + fires(i);
  });
  return { rows: rowsOf(columns, tokens), columns, groups, direction };
}

/**
 * Where groups begin.
 *
 * @param groups Their sizes.
 * @param features Features in all.
 * @returns [features] the first feature of each one's group.
 */
export function groupStarts(groups: readonly number[], features: number): Uint32Array {
  const first = new Uint32Array(features);
  let start = 0;
  for (const size of groups) {
    first.fill(start, start, start + size);
    start += size;
  }
  return first;
}

/**
 * The children that fire often enough to be judged.
 *
 * @param columns Activations by feature.
 * @param groups Sizes of groups.
 * @returns Features of all groups but the first that fire on {@link LEAST_FIRES} tokens or more.
 */
export function judgedChildren({ start }: ActivationColumns, [size]: readonly number[]): number[] {
  const children: number[] = [];
  for (let i = size; i < start.length - 1; i++) if (start[i + 1] - start[i] >= LEAST_FIRES) children.push(i);
  return children;
}

/** [features] the strongest candidate of each child that is judged. */
interface Candidates {
  /** -1 where a feature is not judged or nothing fires with it. */
  readonly parent: Int32Array;
  readonly together: Uint32Array;
  readonly excess: Float64Array;
}

function candidates(
  { rows, columns, groups }: Grouped,
  tokens: number,
  beside?: Uint32Array,
  onFeature?: () => void,
): Candidates {
  const { start } = columns, count = start.length - 1, firstOf = groupStarts(groups, count);
  const parent = new Int32Array(count).fill(-1), together = new Uint32Array(count), excess = new Float64Array(count);
  const judged = judgedChildren(columns, groups);
  eachWithPartners(columns, rows, count, ({ feature, partners, together: both }) => {
    const fires = start[feature + 1] - start[feature];
    for (const partner of partners) {
      const beyond = both[partner] / fires - (start[partner + 1] - start[partner]) / tokens;
      if (
        beyond < excess[feature] || (beyond === excess[feature] && partner >= parent[feature] && parent[feature] >= 0)
      ) {
        continue;
      }
      excess[feature] = beyond;
      parent[feature] = partner;
      together[feature] = both[partner];
    }
  }, { beside, features: judged, limit: (feature) => firstOf[feature], onFeature });
  return { parent, together, excess };
}

/** How alike children of one parent fire, beside children that are dealt out to parents anew. */
function siblingsOf(
  { rows, columns, direction: { length: features } }: Grouped,
  parents: readonly (Parent | null)[],
  firstOf: Uint32Array,
  tokens: number,
): Pick<ParentFigures, "families" | "sibling_correlation" | "sibling_correlation_by_chance" | "sibling_error"> {
  const sums = activationSums(columns, tokens), kept = parents.filter((parent) => parent !== null);
  const children = kept.map(({ child }) => child), random = randomGenerator(0, DEAL_STREAM);
  const found = new Int32Array(features).fill(-1), dealt = found.slice();
  for (const { child, parent } of kept) found[child] = parent;
  for (const members of Map.groupBy(children, (child) => firstOf[child]).values()) {
    permutation(members.length, random).forEach((from, to) => dealt[members[to]] = found[members[from]]);
  }
  const meansOf = (parentOf: Int32Array) => {
    const means = new Float64Array(features), sizes = new Uint32Array(features), correlations = means.slice();
    for (const child of children) {
      means[parentOf[child]] += sums.mean[child] * sums.scale[child];
      sizes[parentOf[child]]++;
    }
    const take = (child: number, product: number) => {
      const parent = parentOf[child], others = means[parent] - sums.mean[child] * sums.scale[child];
      correlations[parent] += (product - sums.sum[child] * others) * sums.scale[child];
    };
    return { parentOf, sizes, correlations, take };
  };
  const ways = [found, dealt].map(meansOf);
  eachWithPartners(columns, rows, features, ({ feature, partners, products }) => {
    for (const { parentOf, take } of ways) {
      let product = 0;
      for (const other of partners) {
        if (other !== feature && parentOf[other] === parentOf[feature]) product += products[other] * sums.scale[other];
      }
      take(feature, product);
    }
  }, { features: children });
  const [{ sizes }] = ways, families = Array.from(sizes.keys()).filter((parent) => sizes[parent] > 1);
  // Dealt out within groups, each parent has as many children as before.
  const [alike, byChance] = ways.map(({ correlations }) =>
    families.map((parent) => correlations[parent] / (sizes[parent] * (sizes[parent] - 1)))
  );
  return {
    families: families.length,
    sibling_correlation: moments(alike).mean,
    sibling_correlation_by_chance: moments(byChance).mean,
    sibling_error: moments(alike.map((one, n) => one - byChance[n])).std / Math.sqrt(families.length),
  };
}

/** What a child of so many firings must beat: a percentile of the null children that fire about as often. */
function limitByFires(pairs: (readonly [fires: number, excess: number])[]): (fires: number) => number {
  const sorted = pairs.toSorted(([a], [b]) => a - b), limits = new Map<number, number>();
  const placeOf = (fires: number) => {
    let low = 0, high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle][0] < fires) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return (fires) => {
    let limit = limits.get(fires);
    if (limit === undefined) {
      const below = placeOf(fires), above = placeOf(fires + 1), spare = Math.max(0, NEAREST - (above - below));
      const first = Math.max(0, Math.min(below - Math.floor(spare / 2), sorted.length - NEAREST));
      const near = sorted.slice(first, Math.max(above, first + NEAREST)).map(([, excess]) => excess);
      limit = quantile(near.sort((a, b) => a - b), 1 - KEPT_BY_CHANCE);
      limits.set(fires, limit);
    }
    return limit;
  };
}

function figuresOf(
  parents: readonly (Parent | null)[],
  judged: readonly number[],
  directions: Directions,
  direction: Uint32Array,
): Omit<ParentFigures, keyof ReturnType<typeof siblingsOf>> {
  const kept = parents.filter((parent) => parent !== null), excesses = judged.map((i) => parents[i]?.excess ?? 0);
  const { mean, std } = moments(excesses);
  const dealt = kept.map(({ child }, n) => {
    const { parent } = kept[(n + Math.floor(kept.length / 2)) % kept.length];
    return cosine(directions, direction[child], direction[parent]);
  });
  return {
    judged: judged.length,
    kept: kept.length,
    share: kept.length / judged.length,
    mean_excess: mean,
    mean_excess_error: std / Math.sqrt(judged.length),
    median_containment: median(kept.map(({ containment }) => containment)),
    median_lift: median(kept.map(({ lift }) => lift)),
    mean_cosine: moments(kept.map(({ cosine }) => cosine)).mean,
    mean_cosine_by_chance: moments(dealt).mean,
  };
}
