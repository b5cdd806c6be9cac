/**
 * The hierarchy of a nested dictionary: for each feature of a later group the feature of an earlier one that it fires under, if there is one
 * beyond chance, the tree that these make, and whether the order of the groups has anything to do with it.
 *
 * The strongest parent j of a child i has the largest excess P(j fires | i fires) - P(j fires) among all features of earlier groups: how much
 * likelier it is where the child fires than anywhere. It is kept where that beats the 99th percentile of what the strongest parents of equally
 * frequent children of the same group have once contexts are shuffled, so one child in a hundred has a parent by chance. For a given pair the
 * excess rises and falls with the lift P(j | i) / P(j); among pairs the lift alone would favour whatever is rare.
 *
 * A frequent feature contains rare ones in any dictionary. So the same figures are made of the same features grouped by how often they
 * fire, and of a dictionary that was trained without nesting, grouped likewise: only what the nested groups have beyond those is due to
 * nesting.
 * @module
 */

import { permutation, randomGenerator } from "../random.ts";
import {
  activationSums,
  eachWithPartners,
  featureCounter,
  type FeatureProgress,
  shuffledContexts,
} from "./coactivation.ts";
import { cosine, type Directions } from "./directions.ts";
import { type ActivationColumns, columnsOf, type FeatureRecord, prefixFvus, rowsOf } from "./record.ts";
import type { SparseRows } from "./samples.ts";
import { median, moments, quantile } from "./statistics.ts";
import { tokenProfiles } from "./token_profile.ts";

/** Children that fire on fewer tokens are not judged: whatever contains three firings may do so by chance. */
export const LEAST_FIRES = 10;

/** The nearest null children that a child is held against, and the percentile that it must beat. */
const NEAREST = 400, PERCENTILE = 0.99;

/** Null children that are wanted in all, and the most shuffles for them: a large dictionary has as many in one. */
const NULL_CHILDREN = 4096, MOST_SHUFFLES = 4;

/** Separates the shuffles from other uses of the generator. */
const SHUFFLE_STREAM = 0x68696572, DEAL_STREAM = 0x7369626c;

/** A family covers its parent where children fire on this share of what chance leaves over. */
const COVERED = 0.5;

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

/** A feature with the children that fire under it. */
export interface Family {
  /** The parent. */
  readonly parent: number;
  /** Its children, at least two, the strongest first. */
  readonly children: readonly number[];
  /** Share of the parent's firings on which a child fires. */
  readonly covered: number;
  /** The same once contexts are shuffled. */
  readonly covered_by_chance: number;
  /** Whether the children cover half of the parent's firings that chance does not: it is split into them. */
  readonly is_split: boolean;
}

/** One Matryoshka group. */
export interface GroupHierarchy {
  /** Its index. */
  readonly group: number;
  /** Its features. */
  readonly features: number;
  /** Those that fire on the reading set. */
  readonly alive: number;
  /** FVU of the prefix that ends with it, on the reading set. */
  readonly fvu: number;
  /** By how much it is lower than that of the prefix before; against 1 for the first. */
  readonly fvu_gained: number;
  /** Median share of tokens that a living feature fires on. */
  readonly median_density: number;
  /** Median entropy in bits of the tokens that a living feature fires on. */
  readonly median_token_entropy: number;
  /** Median over living features of the share of the whole dictionary's error that it alone keeps away, with every prefix that it is in. */
  readonly median_error_removed: readonly number[];
  /** Children judged; 0 in the first group. */
  readonly judged: number;
  /** Share of them without a parent; NaN in the first group. */
  readonly orphans: number;
  /** Mean number of ancestors of the judged. */
  readonly mean_depth: number;
}

/** What there is of a hierarchy in one dictionary. */
export interface Hierarchy {
  /** Tokens that it was looked for on. */
  readonly tokens: number;
  /** [features] the kept parent of each, null where it has none. */
  readonly parents: readonly (Parent | null)[];
  /** The groups as they were trained. */
  readonly groups: readonly GroupHierarchy[];
  /** Parents in the groups as they were trained. */
  readonly nested: ParentFigures;
  /** The same features in groups of the same sizes by falling number of firings. */
  readonly by_density: ParentFigures;
  /** Share of the features that are in the same group either way: where it is near 1, groups and frequency cannot be told apart. */
  readonly same_by_density: number;
  /** Families, the largest first. */
  readonly families: readonly Family[];
}

/** A dictionary that was trained without nesting, beside a nested one. */
export interface FlatFigures {
  /** Its directory. */
  readonly run: string;
  /** Its features. */
  readonly features: number;
  /** Its groups; one where it is really flat. */
  readonly groups: readonly number[];
  /** Its FVU on the reading set, and that of the nested one. */
  readonly fvu: number;
  /** That of the nested one. */
  readonly nested_fvu: number;
  /** Its active features per token, and those of the nested one. */
  readonly l0: number;
  /** Those of the nested one. */
  readonly nested_l0: number;
  /** Parents once its features are grouped by how often they fire. */
  readonly parents: ParentFigures;
}

/** What is looked through: activations with the groups that they are looked through in. */
interface Grouped {
  readonly rows: SparseRows;
  readonly columns: ActivationColumns;
  readonly groups: readonly number[];
  /** [features] the direction of each. */
  readonly direction: Uint32Array;
}

/**
 * Looks for the hierarchy of a dictionary.
 *
 * @param record What it does on a reading set. Its groups are at least two.
 * @param directions Its decoder rows.
 * @param onProgress Hears of the children looked at.
 * @returns The tree and its figures.
 */
export function hierarchy(record: FeatureRecord, directions: Directions, onProgress?: FeatureProgress): Hierarchy {
  const { groups, place: { length: tokens } } = record, features = directions.rows.length / directions.width;
  const columns = columnsOf(record, features), direction = Uint32Array.from({ length: features }, (_, i) => i);
  const shuffles = shufflesOf(record, groups);
  const regrouped = byDensity(columns, groups, tokens), first = groupStarts(groups, features);
  const children = judgedChildren(columns, groups).length + judgedChildren(regrouped.columns, groups).length;
  const onFeature = featureCounter((1 + shuffles.length) * children, onProgress);
  const nested = parentsIn({ rows: record, columns, groups, direction }, directions, tokens, shuffles, onFeature);
  const same = regrouped.direction.filter((feature, rank) => first[feature] === first[rank]).length;
  const { figures } = parentsIn(regrouped, directions, tokens, shuffles, onFeature);
  return {
    tokens,
    parents: nested.parents,
    groups: groupsOf(record, columns, nested.parents),
    nested: nested.figures,
    by_density: figures,
    same_by_density: same / features,
    families: familiesOf(nested.parents, columns, tokens, shuffles[0]),
  };
}

/**
 * What there is of a hierarchy in the groups as they were trained, without what it is held against besides chance.
 *
 * @param record What the dictionary does on a reading set. Its groups are at least two.
 * @param directions Its decoder rows.
 * @param onProgress Hears of the children looked at.
 * @returns Parents and groups.
 */
export function nestedHierarchy(
  record: FeatureRecord,
  directions: Directions,
  onProgress?: FeatureProgress,
): Pick<Hierarchy, "nested" | "groups"> {
  const { groups, place: { length: tokens } } = record, features = directions.rows.length / directions.width;
  const columns = columnsOf(record, features), direction = Uint32Array.from({ length: features }, (_, i) => i);
  const shuffles = shufflesOf(record, groups), children = judgedChildren(columns, groups).length;
  const onFeature = featureCounter((1 + shuffles.length) * children, onProgress);
  const { parents, figures } = parentsIn(
    { rows: record, columns, groups, direction },
    directions,
    tokens,
    shuffles,
    onFeature,
  );
  return { nested: figures, groups: groupsOf(record, columns, parents) };
}

/**
 * The parents of a dictionary without groups, once its features are grouped by how often they fire.
 *
 * @param record What it does on a reading set.
 * @param directions Its decoder rows.
 * @param groups Sizes of groups; they are scaled to as many features as it has.
 * @param onProgress Hears of the children looked at.
 * @returns The figures.
 */
export function densityParents(
  record: FeatureRecord,
  directions: Directions,
  groups: readonly number[],
  onProgress?: FeatureProgress,
): ParentFigures {
  const features = directions.rows.length / directions.width, all = groups.reduce((sum, size) => sum + size, 0);
  let end = 0, given = 0;
  const scaled = groups.map((size) => {
    end += size;
    const upTo = Math.round(features * end / all), share = upTo - given;
    given = upTo;
    return share;
  });
  const tokens = record.place.length, regrouped = byDensity(columnsOf(record, features), scaled, tokens);
  const shuffles = shufflesOf(record, scaled), children = judgedChildren(regrouped.columns, scaled).length;
  const onFeature = featureCounter((1 + shuffles.length) * children, onProgress);
  return parentsIn(regrouped, directions, tokens, shuffles, onFeature).figures;
}

/** What the nested order of a dictionary is worth, in three answers: `yes` and `no` are beyond what chance does in one case of twenty. */
export interface HierarchyVerdict {
  /** Whether children have parents more often than by chance. */
  readonly beyond_chance: "yes" | "no";
  /** Whether nested groups order features better than their frequency does. */
  readonly beyond_density: "yes" | "no" | "less";
  /** Whether they do so better than a dictionary trained without nesting, ordered by frequency; null where none was given. */
  readonly beyond_flat: "yes" | "no" | "less" | null;
  /** Whether children of one parent fire more alike than by chance; null where there are not two families. */
  readonly siblings_beyond_chance: "yes" | "no" | null;
  /** Whether they do so more than where features are grouped by their frequency; null likewise. */
  readonly siblings_beyond_density: "yes" | "no" | "less" | null;
}

/**
 * Judges figures by their standard errors.
 *
 * @param hierarchy What was found.
 * @param flat Figures of a dictionary trained without nesting, if there is one.
 * @returns The answers; `less` where the nested groups are worse.
 */
export function hierarchyVerdict(
  { nested, by_density }: Pick<Hierarchy, "nested" | "by_density">,
  flat: ParentFigures | null,
): HierarchyVerdict {
  const { share, judged } = nested, chance = 1 - PERCENTILE;
  const judge = (difference: number, ...errors: number[]) => {
    const error = 1.96 * Math.hypot(...errors);
    return difference > error ? "yes" : difference < -error ? "less" : "no";
  };
  const compared = (other: ParentFigures) =>
    judge(nested.mean_excess - other.mean_excess, nested.mean_excess_error, other.mean_excess_error);
  const alike = ({ sibling_correlation, sibling_correlation_by_chance }: ParentFigures) =>
    sibling_correlation - sibling_correlation_by_chance;
  return {
    beyond_chance: share > chance + 1.96 * Math.sqrt(chance * (1 - chance) / judged) ? "yes" : "no",
    beyond_density: compared(by_density),
    beyond_flat: flat && compared(flat),
    siblings_beyond_chance: nested.families < 2
      ? null
      : judge(alike(nested), nested.sibling_error) === "yes"
      ? "yes"
      : "no",
    siblings_beyond_density: nested.families < 2 || by_density.families < 2
      ? null
      : judge(alike(nested) - alike(by_density), nested.sibling_error, by_density.sibling_error),
  };
}

function shufflesOf(record: FeatureRecord, groups: readonly number[]): Uint32Array[] {
  const children = groups.slice(1).reduce((sum, size) => sum + size, 0);
  const shuffles = Math.max(1, Math.min(MOST_SHUFFLES, Math.ceil(NULL_CHILDREN / children)));
  return Array.from({ length: shuffles }, (_, n) => shuffledContexts(record, randomGenerator(0, SHUFFLE_STREAM, n)));
}

/** The features in the order of how often they fire, in groups of these sizes. */
function byDensity({ start, token, value }: ActivationColumns, groups: readonly number[], tokens: number): Grouped {
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

/** [features] the first feature of each one's group. */
function groupStarts(groups: readonly number[], features: number): Uint32Array {
  const first = new Uint32Array(features);
  let start = 0;
  for (const size of groups) {
    first.fill(start, start, start + size);
    start += size;
  }
  return first;
}

function judgedChildren({ start }: ActivationColumns, [size]: readonly number[]): number[] {
  const children: number[] = [];
  for (let i = size; i < start.length - 1; i++) if (start[i + 1] - start[i] >= LEAST_FIRES) children.push(i);
  return children;
}

function parentsIn(
  grouped: Grouped,
  directions: Directions,
  tokens: number,
  shuffles: readonly Uint32Array[],
  onFeature?: () => void,
) {
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
      limit = quantile(near.sort((a, b) => a - b), PERCENTILE);
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

function familiesOf(
  parents: readonly (Parent | null)[],
  { start, token }: ActivationColumns,
  tokens: number,
  beside: Uint32Array,
): Family[] {
  const stamp = new Uint32Array(tokens);
  const kept = parents.filter((parent) => parent !== null);
  const families = [...Map.groupBy(kept, ({ parent }) => parent)].filter(([, children]) => children.length > 1);
  return families.map(([parent, members], n) => {
    const children = members.sort((a, b) => b.excess - a.excess || a.child - b.child).map(({ child }) => child);
    for (const child of children) for (let at = start[child]; at < start[child + 1]; at++) stamp[token[at]] = n + 1;
    let covered = 0, chance = 0;
    for (let at = start[parent]; at < start[parent + 1]; at++) {
      if (stamp[token[at]] === n + 1) covered++;
      if (stamp[beside[token[at]]] === n + 1) chance++;
    }
    const fires = start[parent + 1] - start[parent];
    return {
      ...{ parent, children, covered: covered / fires, covered_by_chance: chance / fires },
      is_split: covered - chance > COVERED * (fires - chance),
    };
  }).sort((a, b) => b.children.length - a.children.length || a.parent - b.parent);
}

function groupsOf(
  record: FeatureRecord,
  columns: ActivationColumns,
  parents: readonly (Parent | null)[],
): GroupHierarchy[] {
  const { groups, place: { length: tokens }, errorRemoved } = record, { start } = columns, fvus = prefixFvus(record);
  const profiles = tokenProfiles(columns, record, 0), prefixes = groups.length;
  const depth = (feature: number): number => {
    let ancestors = 0;
    for (let at = parents[feature]; at !== null; at = parents[at.parent]) ancestors++;
    return ancestors;
  };
  const squared = Float64Array.from(groups, (_, p) => fvus[p] * record.targetVariation);
  let end = 0;
  return groups.map((features, group) => {
    const first = end;
    end += features;
    const all = Array.from({ length: features }, (_, i) => first + i), fires = (i: number) => start[i + 1] - start[i];
    const alive = all.filter((i) => fires(i) > 0);
    const judged = group === 0 ? [] : all.filter((i) => fires(i) >= LEAST_FIRES);
    return {
      ...{ group, features, alive: alive.length, fvu: fvus[group] },
      fvu_gained: (group === 0 ? 1 : fvus[group - 1]) - fvus[group],
      median_density: median(alive.map((i) => fires(i) / tokens)),
      median_token_entropy: median(alive.map((i) => profiles[i].entropy)),
      median_error_removed: groups.map((_, p) =>
        p < group ? 0 : median(alive.map((i) => errorRemoved[i * prefixes + p] / squared[p]))
      ),
      judged: judged.length,
      orphans: judged.filter((i) => parents[i] === null).length / judged.length,
      mean_depth: moments(judged.map(depth)).mean,
    };
  });
}
