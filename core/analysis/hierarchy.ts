/**
 * The hierarchy of a nested dictionary: the tree that its features and their parents make, and whether the order of the groups has anything
 * to do with it.
 *
 * A frequent feature contains rare ones in any dictionary. So the same figures are made of the same features grouped by how often they
 * fire, and of a dictionary that was trained without nesting, grouped likewise: only what the nested groups have beyond those is due to
 * nesting.
 * @module
 */

import { randomGenerator } from "../random.ts";
import { featureCounter, type FeatureProgress, shuffledContexts } from "./coactivation.ts";
import type { Directions } from "./directions.ts";
import {
  byDensity,
  groupStarts,
  judgedChildren,
  KEPT_BY_CHANCE,
  LEAST_FIRES,
  type Parent,
  type ParentFigures,
  parentsIn,
} from "./parents.ts";
import { type ActivationColumns, columnsOf, type FeatureRecord, prefixFvus } from "./record.ts";
import { median, moments } from "./statistics.ts";
import { tokenProfiles } from "./token_profile.ts";

/** Null children that are wanted in all, and the most shuffles for them: a large dictionary has as many in one. */
const NULL_CHILDREN = 4096, MOST_SHUFFLES = 4;

/** Separates the shuffles from other uses of the generator. */
const SHUFFLE_STREAM = 0x68696572;

/** A family covers its parent where children fire on this share of what chance leaves over. */
const COVERED = 0.5;

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
  /** Whether they do so more than in a dictionary trained without nesting, grouped by frequency; null likewise, and where none was given. */
  readonly siblings_beyond_flat: "yes" | "no" | "less" | null;
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
  const { share, judged } = nested, chance = KEPT_BY_CHANCE;
  const judge = (difference: number, ...errors: number[]) => {
    const error = 1.96 * Math.hypot(...errors);
    return difference > error ? "yes" : difference < -error ? "less" : "no";
  };
  const compared = (other: ParentFigures) =>
    judge(nested.mean_excess - other.mean_excess, nested.mean_excess_error, other.mean_excess_error);
  const alike = ({ sibling_correlation, sibling_correlation_by_chance }: ParentFigures) =>
    sibling_correlation - sibling_correlation_by_chance;
  const likelier = (other: ParentFigures | null) =>
    nested.families < 2 || other === null || other.families < 2
      ? null
      : judge(alike(nested) - alike(other), nested.sibling_error, other.sibling_error);
  return {
    beyond_chance: share > chance + 1.96 * Math.sqrt(chance * (1 - chance) / judged) ? "yes" : "no",
    beyond_density: compared(by_density),
    beyond_flat: flat && compared(flat),
    siblings_beyond_chance: nested.families < 2
      ? null
      : judge(alike(nested), nested.sibling_error) === "yes"
      ? "yes"
      : "no",
    siblings_beyond_density: likelier(by_density),
    siblings_beyond_flat: likelier(flat),
  };
}

function shufflesOf(record: FeatureRecord, groups: readonly number[]): Uint32Array[] {
  const children = groups.slice(1).reduce((sum, size) => sum + size, 0);
  const shuffles = Math.max(1, Math.min(MOST_SHUFFLES, Math.ceil(NULL_CHILDREN / children)));
  return Array.from({ length: shuffles }, (_, n) => shuffledContexts(record, randomGenerator(0, SHUFFLE_STREAM, n)));
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
