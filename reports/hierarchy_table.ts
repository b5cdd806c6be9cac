/**
 * What is said of the hierarchy of a nested dictionary.
 * @module
 */

import type { FlatFigures, Hierarchy, HierarchyVerdict } from "../core/analysis/hierarchy.ts";
import type { Parent, ParentFigures } from "../core/analysis/parents.ts";
import { capital, counted, decimal, integer, known, percent, significant } from "./format.ts";
import { numeric, table } from "./markdown/markdown.ts";

/** What is told of a dictionary. */
export interface ToldHierarchy extends Omit<Hierarchy, "parents"> {
  /** A dictionary to compare with; null where none was given. */
  readonly flat: FlatFigures | null;
  /** What follows from the figures. */
  readonly verdict: HierarchyVerdict;
  /** The parents that were kept. */
  readonly parents: readonly Parent[];
}

/** Families and pairs that a reader is shown. */
export const SHOWN = 10;

/** The names of a few children in a line. */
const CHILDREN = 4;

/** All that is printed of one dictionary; `name` says what a feature fires on. */
export function hierarchyText(told: ToldHierarchy, name: (feature: number) => string): string {
  const { tokens, families, parents } = told;
  const shown = families.slice(0, SHOWN), split = families.filter(({ is_split }) => is_split).length;
  return [
    `${integer(tokens)} tokens of the reading set.`,
    groupTable(told),
    orderTable(told),
    ...hierarchyAnswers(told).map(({ lead, text }) => `${lead} ${text}`),
    verdictSentences(told).join(" "),
    ...shown.length > 0
      ? [
        `${counted(families.length, "family", "families")} of a parent with two children or more; in ${
          integer(split)
        } the children ` +
        "together cover half of what chance leaves of the parent's firings: it is split into them. The largest:",
        familyTable(shown, name),
      ]
      : [],
    ...parents.length > 0 ? ["The children that are most where their parents are:", parentTable(parents, name)] : [],
    HIERARCHY_NOTES,
  ].join("\n\n");
}

/** Each group as it was trained. */
export function groupTable({ groups }: Pick<Hierarchy, "groups">): string {
  const headings = [
    "Group",
    "Features",
    "Alive",
    "FVU",
    "Gained",
    "Density",
    "Token entropy",
    "Error kept away",
    "Orphans",
    "Depth",
  ];
  return table(
    headings.map(numeric),
    groups.map((one) => [
      String(one.group),
      ...[one.features, one.alive].map(integer),
      decimal(one.fvu, 4),
      decimal(one.fvu_gained, 4),
      known(one.median_density, (share) => percent(share, 2)),
      known(one.median_token_entropy, (entropy) => `${decimal(entropy, 1)} bits`),
      known(one.median_error_removed[one.median_error_removed.length - 1], (share) => percent(share, 2)),
      one.judged > 0 ? percent(one.orphans, 1) : "–",
      one.judged > 0 ? decimal(one.mean_depth, 2) : "–",
    ]),
  );
}

/** Parents in the trained groups, in the order of frequency, and in a dictionary without nesting. */
export function orderTable(
  { nested, by_density, flat }: Pick<ToldHierarchy, "nested" | "by_density" | "flat">,
): string {
  const rows: [string, ParentFigures][] = [
    ["groups as trained", nested],
    ["the same features, by how often they fire", by_density],
    ...flat ? [[`${flat.run}, by how often they fire`, flat.parents] as [string, ParentFigures]] : [],
  ];
  const headings = ["Judged", "With parent", "Excess", "Containment", "Lift", "Decoder cosine", "By chance"];
  return table(
    ["Order of the features", ...headings.map(numeric)],
    rows.map(([order, figures]) => [
      order,
      integer(figures.judged),
      known(figures.share, (share) => percent(share, 1)),
      known(figures.mean_excess, (mean) => `${decimal(mean, 3)} ± ${decimal(1.96 * figures.mean_excess_error, 3)}`),
      known(figures.median_containment, (share) => decimal(share, 3)),
      known(figures.median_lift, (lift) => significant(lift, 3)),
      ...[figures.mean_cosine, figures.mean_cosine_by_chance].map((one) => known(one, (cosine) => decimal(cosine, 3))),
    ]),
  );
}

/** An answer in a word or two, and what it rests on. */
export interface Answer {
  /** The answer. */
  readonly lead: string;
  /** What it rests on. */
  readonly text: string;
}

/** Whether the nested groups give a useful hierarchy, and whether related features can be grouped by it; each could have been another. */
export function hierarchyAnswers(
  { nested, by_density, flat, verdict }: Pick<ToldHierarchy, "nested" | "by_density" | "flat" | "verdict">,
): Answer[] {
  return [usefulness(nested.judged, verdict), grouping(nested, by_density, flat, verdict)];
}

function usefulness(judged: number, { beyond_chance, beyond_density, beyond_flat }: HierarchyVerdict): Answer {
  if (judged === 0) {
    return { lead: "Nested groups: not to be judged.", text: "Too few features of later groups fire often enough." };
  }
  if (beyond_chance === "no") {
    return {
      lead: "Nested groups: no hierarchy.",
      text: "Features of later groups fire under others no more than chance has it.",
    };
  }
  if (beyond_density !== "yes") {
    const found = `Features do fire under others, but sorting the same features by how often they fire finds ${
      beyond_density === "less" ? "more" : "as much"
    } of that`;
    return beyond_flat === "yes"
      ? {
        lead: "Nested groups: a hierarchy, which frequency shows as well.",
        text: `${found}; a transcoder trained without nesting has less.`,
      }
      : {
        lead: "Nested groups: no useful hierarchy.",
        text: `${found}; beside that, nothing is seen of the order of training${
          beyond_flat === null
            ? ""
            : `, and a transcoder trained without nesting has ${
              beyond_flat === "less" ? "more" : "as much"
            } by frequency`
        }.`,
      };
  }
  return {
    yes: {
      lead: "Nested groups: a hierarchy that nesting makes.",
      text: "It is beyond what frequency gives, in this transcoder and in one that was trained without nesting.",
    },
    no: {
      lead: "Nested groups: a hierarchy, but not by nesting.",
      text:
        "It is beyond what frequency gives here, and a transcoder trained without nesting has as much by frequency.",
    },
    less: {
      lead: "Nested groups: a hierarchy, but not by nesting.",
      text: "It is beyond what frequency gives here, and a transcoder trained without nesting has more by frequency.",
    },
    unknown: {
      lead: "Nested groups: a hierarchy beyond frequency.",
      text: "The groups as trained tell more of what fires under what than the features' frequency does.",
    },
  }[beyond_flat ?? "unknown"];
}

function grouping(
  nested: ParentFigures,
  by_density: ParentFigures,
  flat: FlatFigures | null,
  { siblings_beyond_chance, siblings_beyond_density, siblings_beyond_flat }: HierarchyVerdict,
): Answer {
  if (siblings_beyond_chance === null) {
    return { lead: "Grouping by parent: not to be judged.", text: "There are not two parents with two children each." };
  }
  const alike = ({ sibling_correlation, sibling_correlation_by_chance, sibling_error }: ParentFigures) =>
    `${decimal(sibling_correlation, 3)} on average, ${
      decimal(sibling_correlation_by_chance, 3)
    } once parents are dealt out anew (their difference is known to ± ${decimal(1.96 * sibling_error, 3)})`;
  const figures = `The activations of two children of one parent correlate by ${alike(nested)}, over ${
    counted(nested.families, "family", "families")
  }.`;
  if (siblings_beyond_chance === "no") return { lead: "Grouping by parent: no better than by chance.", text: figures };
  const others = [
    ...by_density.families > 1 ? [`where groups are made by frequency, by ${alike(by_density)}`] : [],
    ...flat && flat.parents.families > 1 ? [`in ${flat.run}, by ${alike(flat.parents)}`] : [],
  ];
  const compared = others.length > 0 ? ` ${capital(others.join("; "))}.` : "";
  const lead = siblings_beyond_density === "yes"
    ? siblings_beyond_flat === "no" || siblings_beyond_flat === "less"
      ? "Grouping by parent: related features, but not by nesting."
      : "Grouping by parent: related features, beyond frequency."
    : siblings_beyond_density === null
    ? "Grouping by parent: related features."
    : "Grouping by parent: related features, but groups by frequency do as well.";
  const without = {
    yes: " Without nesting they are less alike.",
    no: " With nesting and without they are as alike, as far as can be told.",
    less: " Without nesting they are more alike.",
  };
  return { lead, text: figures + compared + (siblings_beyond_flat === null ? "" : without[siblings_beyond_flat]) };
}

/** What follows, a sentence for each comparison; each could have been another. `how` says how to compare with a flat dictionary. */
export function verdictSentences(
  { nested, by_density, same_by_density, flat, verdict }: Pick<
    ToldHierarchy,
    "nested" | "by_density" | "same_by_density" | "flat" | "verdict"
  >,
  how: string = "--against",
): string[] {
  const excess = ({ mean_excess, mean_excess_error }: ParentFigures) =>
    `${decimal(mean_excess, 3)} ± ${decimal(1.96 * mean_excess_error, 3)}`;
  if (nested.judged === 0) return ["No feature of a later group fires often enough to be judged."];
  const chance = verdict.beyond_chance === "yes"
    ? `${percent(nested.share, 1)} of the children have a parent, where shuffled contexts give 1 %.`
    : `${percent(nested.share, 1)} of the children have a parent, no more than the 1 % that shuffled contexts give.`;
  const density = {
    yes: "The trained groups order features better than frequency does",
    no: "The trained groups order features no better than frequency does",
    less: "The trained groups order features worse than frequency does",
  }[verdict.beyond_density] +
    `: where a child fires, its parent is likelier by ${excess(nested)} than anywhere, and by ${
      excess(by_density)
    } where the same features ` +
    `are grouped by how often they fire (${percent(same_by_density, 0)} of them are in the same group either way).`;
  if (flat === null || verdict.beyond_flat === null) {
    return [
      chance,
      density,
      `Whether nesting makes the difference takes a transcoder that was trained without it: ${how}.`,
    ];
  }
  const without = `${flat.run}${
    flat.groups.length > 1 ? `, which is nested itself (${flat.groups.join(" + ")}),` : ", trained without nesting,"
  }`;
  const compared = {
    yes: `Nesting adds to it: ${without} has ${excess(flat.parents)} by how often its features fire.`,
    no: `Nesting adds nothing to it: ${without} has ${excess(flat.parents)} by how often its features fire.`,
    less: `A flat dictionary has more of it: ${without} has ${excess(flat.parents)} by how often its features fire.`,
  }[verdict.beyond_flat];
  const cost =
    `FVU is ${decimal(flat.nested_fvu, 4)} at L0 ${decimal(flat.nested_l0, 1)} with nesting, ${
      decimal(flat.fvu, 4)
    } at ` +
    `${decimal(flat.l0, 1)} without.`;
  return [chance, density, compared, ...otherLift(nested, flat.parents), cost];
}

/** What is to be said where lift and excess order both dictionaries differently. */
function otherLift(nested: ParentFigures, flat: ParentFigures): string[] {
  const lifts = flat.median_lift - nested.median_lift, excesses = flat.mean_excess - nested.mean_excess;
  if (!(lifts * excesses < 0)) return [];
  return [
    `Lift points the other way, ${significant(nested.median_lift, 3)} with nesting and ${
      significant(flat.median_lift, 3)
    } without: the parents of ${
      lifts > 0 ? "nested groups" : "the flat dictionary"
    } fire more often, which makes excess larger and lift smaller.`,
  ];
}

/** Parents with their children. */
export function familyTable(families: Hierarchy["families"], name: (feature: number) => string): string {
  return table(
    [
      numeric("Parent"),
      "Fires on",
      numeric("Children"),
      numeric("Cover"),
      numeric("By chance"),
      "Split",
      "The strongest children",
    ],
    families.map(({ parent, children, covered, covered_by_chance, is_split }) => [
      String(parent),
      name(parent),
      integer(children.length),
      percent(covered, 0),
      percent(covered_by_chance, 0),
      is_split ? "yes" : "no",
      children.slice(0, CHILDREN).map((child) => `${child} (${name(child)})`).join("; "),
    ]),
  );
}

/** The pairs with the largest excess. */
export function parentTable(parents: readonly Parent[], name: (feature: number) => string): string {
  const sorted = parents.toSorted((a, b) => b.excess - a.excess || a.child - b.child).slice(0, SHOWN);
  return table(
    [
      numeric("Child"),
      "Fires on",
      numeric("Parent"),
      "Fires on",
      ...["Together", "Containment", "Lift", "Decoder cosine"].map(numeric),
    ],
    sorted.map(({ child, parent, together, containment, lift, cosine }) => [
      String(child),
      name(child),
      String(parent),
      name(parent),
      integer(together),
      decimal(containment, 3),
      significant(lift, 3),
      decimal(cosine, 3),
    ]),
  );
}

/** What the columns mean. */
export const HIERARCHY_NOTES: string =
  "Parent: of all features of earlier groups the one that is likelier by most where the child fires than anywhere (excess), kept where " +
  "that beats the 99th percentile of equally frequent children with shuffled contexts; children that fire on fewer than 10 tokens are not " +
  "judged. Containment: P(parent fires | child fires). Lift: that over P(parent fires). By chance: the decoder cosine with parents dealt out " +
  "anew. Error kept away: the median share by which the squared error of the whole dictionary would rise without a feature. Orphans: children without parent. ± is " +
  "1.96 standard errors over features of one training; another seed may differ by more.";
