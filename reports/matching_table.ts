/**
 * What is said of two transcoders whose features were matched.
 * @module
 */

import { type Matching, SAME_FEATURE } from "../core/analysis/matching.ts";
import type { Histogram } from "../core/analysis/statistics.ts";
import { counted, decimal, integer, percent } from "./format.ts";
import { numeric, table } from "./markdown/markdown.ts";

/** One of two transcoders. */
export interface ComparedSide {
  /** Its directory. */
  readonly run: string;
  /** Its features per Matryoshka group. */
  readonly groups: readonly number[];
  /** FVU of each prefix, of its own target, on the tokens that both were recorded on. */
  readonly fvus: readonly number[];
  /** Active features per token there. */
  readonly l0: number;
}

/** What is told of two transcoders. */
export interface ToldMatching {
  /** Both, A first. */
  readonly sides: readonly [ComparedSide, ComparedSide];
  /** Their features. */
  readonly matching: Matching;
}

/** What features of both are called. */
export type SideNames = readonly [a: (feature: number) => string, b: (feature: number) => string];

/** Pairs that a reader is shown, and features of either side without match. */
const SHOWN = 10, UNIQUE_SHOWN = 5;

/** All that is printed of two transcoders. */
export function matchingText(told: ToldMatching, names: SideNames): string {
  const { sides: [a, b], matching } = told;
  return [
    `A is ${a.run}, B is ${b.run}; ${integer(matching.tokens)} tokens of the reading set.`,
    figureTable(told),
    groupTable(told),
    matchingSentences(matching).join(" "),
    ...matching.mutual.length > 0 ? ["Pairs that are each other's best:", pairTable(matching, names)] : [],
    ...matching.a.unique + matching.b.unique > 0
      ? ["Features that the other lacks, those that fire most:", uniqueTable(matching, names)]
      : [],
    NOTES,
  ].join("\n\n");
}

const sharedBy = (of: number, all: number) => `${integer(of)} (${percent(of / all)})`;

/** The share of what is counted that lies above a limit, an edge of the bins. */
function shareAbove({ edges, counts }: Histogram, limit: number): number {
  const all = counts.reduce((sum, count) => sum + count, 0);
  return counts.reduce((sum, count, bin) => edges[bin] > limit - 1e-9 ? sum + count : sum, 0) / all;
}

/** Both side by side. */
export function figureTable({ sides, matching: { a, b } }: ToldMatching): string {
  const matched = [a, b], three = (value: number) => decimal(value, 3);
  return table(["", ...["A", "B"].map(numeric)], [
    ["features in groups", ...sides.map(({ groups }) => groups.join(" + "))],
    ["FVU of each prefix", ...sides.map(({ fvus }) => fvus.map(three).join(", "))],
    ["L0", ...sides.map(({ l0 }) => decimal(l0, 1))],
    ["features judged", ...matched.map(({ judged }) => integer(judged))],
    ["best match in the other, median", ...matched.map(({ best }) => three(best.median))],
    ["the same by chance", ...matched.map(({ by_chance }) => three(by_chance.median))],
    [`found in the other (above ${SAME_FEATURE})`, ...matched.map(({ same, judged }) => sharedBy(same, judged))],
    [
      "the same by chance",
      ...matched.map(({ histogram_by_chance }) => percent(shareAbove(histogram_by_chance, SAME_FEATURE))),
    ],
    ["its own (no match beyond chance)", ...matched.map(({ unique, judged }) => sharedBy(unique, judged))],
    ["a match must be above", ...matched.map(({ chance_limit }) => three(chance_limit))],
    ["features, were they equally active", ...matched.map((side) => decimal(side.effective_features, 1))],
    ["token entropy, median", ...matched.map((side) => `${decimal(side.median_token_entropy, 1)} bits`)],
    ["different commonest tokens", ...matched.map(({ distinct_tokens }) => integer(distinct_tokens))],
  ]);
}

/** Each group of either. */
export function groupTable({ sides, matching }: ToldMatching): string {
  const rows = ([["A", sides[0], matching.a], ["B", sides[1], matching.b]] as const).flatMap(([name, _, side]) =>
    side.groups.map(({ judged, same, unique }, group) => [
      `${name}, group ${group}`,
      integer(judged),
      ...judged > 0 ? [sharedBy(same, judged), sharedBy(unique, judged)] : ["–", "–"],
    ])
  );
  return table(["Features of", ...["Judged", "Found in the other", "Its own"].map(numeric)], rows);
}

/** What follows; each sentence could have been another. */
export function matchingSentences({ a, b, mutual, assigned }: Matching): string[] {
  if (a.judged === 0 || b.judged === 0) return ["One of them has no feature that fires often enough to be judged."];
  const { median } = a.best, beyond = median > a.chance_limit;
  return [
    `The typical feature of A resembles ${
      beyond ? "one of B" : "none of B"
    } beyond chance: its largest correlation is ${decimal(median, 3)}, where chance stays below ${
      decimal(a.chance_limit, 3)
    } in 99 of 100; ${integer(a.same)} of ${integer(a.judged)} are above ${SAME_FEATURE}, the same again.`,
    `${counted(mutual.length, "pair is", "pairs are")} each other's best.`,
    assigned.pairs === 0
      ? "No feature has a partner beyond chance."
      : `Paired one to one, ${integer(assigned.pairs)} of A's ${
        integer(a.judged)
      } features have a partner, with a mean correlation of ${decimal(assigned.mean_correlation, 3)}.`,
  ];
}

/** The pairs that are most alike. */
export function pairTable({ mutual }: Pick<Matching, "mutual">, [a, b]: SideNames): string {
  return table(
    [numeric("A"), "Fires on", numeric("B"), "Fires on", numeric("Correlation")],
    mutual.slice(0, SHOWN).map((pair) => [
      String(pair.a),
      a(pair.a),
      String(pair.b),
      b(pair.b),
      decimal(pair.correlation, 3),
    ]),
  );
}

function uniqueTable({ a, b }: Matching, names: SideNames): string {
  return table(
    ["Of", numeric("Feature"), "Fires on", numeric("Best correlation")],
    [a, b].flatMap(({ unique_features }, side) =>
      unique_features.slice(0, UNIQUE_SHOWN).map(({ feature, correlation }) => [
        "AB"[side],
        String(feature),
        names[side](feature),
        decimal(correlation, 3),
      ])
    ),
  );
}

const NOTES =
  "Match: the feature of the other with the largest correlation of activations over all tokens. By chance: the same once the contexts of the other are " +
  "shuffled; a match must be above its 99th percentile. Judged are features that fire on 10 tokens or more. FVU is of each one's own target. Features, were they " +
  "equally active: exp of the entropy of the features' shares in all activation.";
