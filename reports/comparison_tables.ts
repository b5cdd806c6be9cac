/**
 * Tables of two transcoders that were recorded on the same tokens.
 * @module
 */

import type { EqualSide } from "../core/analysis/equal_sparsity.ts";
import type { Trait } from "../core/analysis/portrait.ts";
import { type MatchedSide, SAME_FEATURE } from "../core/analysis/matching.ts";
import type { Histogram } from "../core/analysis/statistics.ts";
import type { ToldComparison, ToldEvolution } from "./compared.ts";
import type { ShownFeature } from "./comparison_examples.ts";
import { decimal, integer, interval, known, percent, significant } from "./format.ts";
import { numeric, table } from "./markdown/markdown.ts";

/** What both transcoders are called. */
export type BothNames = readonly [a: string, b: string];

const three = (value: number) => known(value, (value) => decimal(value, 3));
const sharedBy = (of: number, all: number) => all > 0 ? `${integer(of)} (${percent(of / all)})` : "–";

/** The share of what is counted that lies above a limit, an edge of the bins. */
export function shareAbove({ edges, counts }: Histogram, limit: number): number {
  const all = counts.reduce((sum, count) => sum + count, 0);
  return counts.reduce((sum, count, bin) => edges[bin] > limit - 1e-9 ? sum + count : sum, 0) / all;
}

/** Rows of reconstructions, the two sides of each. */
function reconstructionRows(sides: readonly EqualSide[], suffix: string): string[][] {
  return [
    [`L0${suffix}`, ...sides.map(({ l0 }) => decimal(l0, 2))],
    [`FVU of each prefix${suffix}`, ...sides.map(({ fvus }) => fvus.map(three).join(", "))],
    [`95 % CI of the last${suffix}`, ...sides.map(({ ci95 }) => interval(ci95, 3))],
  ];
}

/** Reconstructions on the tokens that both have, as they are and at equal L0. */
export function reconstructionTable(
  { sides, reconstructions, at_equal_l0 }: Pick<ToldComparison, "sides" | "reconstructions" | "at_equal_l0">,
  names: BothNames,
): string {
  const isMeasured = at_equal_l0 !== null && at_equal_l0 !== "equal";
  const optional = (name: string, values: (number | null)[], written: (value: number) => string) =>
    values.every((value) => value === null)
      ? []
      : [[name, ...values.map((value) => value === null ? "–" : written(value))]];
  return table(["", ...names.map(numeric)], [
    ["features in groups", ...sides.map(({ groups }) => groups.map(integer).join(" + "))],
    ...reconstructionRows([reconstructions.a, reconstructions.b], ""),
    ...isMeasured
      ? [
        [
          "threshold raised to",
          ..."ab".split("").map((side) => {
            return side === at_equal_l0.raised ? significant(at_equal_l0.threshold) : "–";
          }),
        ],
        ...reconstructionRows([at_equal_l0.a, at_equal_l0.b], " then"),
      ]
      : [],
    ...optional("cosine, held-out text", sides.map(({ cosine }) => cosine), three),
    ...optional("loss recovered, held-out text", sides.map(({ loss_recovered }) => loss_recovered), percent),
  ]);
}

/** How far features of either are found in the other. */
export function matchTable({ matching: { a, b } }: Pick<ToldComparison, "matching">, names: BothNames): string {
  const both = [a, b];
  return table(["", ...names.map(numeric)], [
    ["features judged", ...both.map(({ judged }) => integer(judged))],
    ["best match in the other, median", ...both.map(({ best }) => three(best.median))],
    ["the same by chance", ...both.map(({ by_chance }) => three(by_chance.median))],
    [`found in the other (above ${SAME_FEATURE})`, ...both.map(({ same, judged }) => sharedBy(same, judged))],
    [
      "the same by chance",
      ...both.map(({ histogram_by_chance }) => known(shareAbove(histogram_by_chance, SAME_FEATURE), percent)),
    ],
    ["its own (no match beyond chance)", ...both.map(({ unique, judged }) => sharedBy(unique, judged))],
    ["a match must be above", ...both.map(({ chance_limit }) => three(chance_limit))],
  ]);
}

/** Each group of either. */
export function matchGroupTable({ matching: { a, b } }: Pick<ToldComparison, "matching">, names: BothNames): string {
  const rows = (name: string, { groups }: MatchedSide) =>
    groups.map(({ judged, same, unique }, group) => [
      ...[`${name}, group ${group}`, integer(judged), sharedBy(same, judged), sharedBy(unique, judged)],
    ]);
  return table(
    ["Features of", ...["Judged", "Found in the other", "Its own"].map(numeric)],
    [...rows(names[0], a), ...rows(names[1], b)],
  );
}

/** The pairs that are most alike. */
export function pairTable(
  { examples: { pairs } }: Pick<ToldComparison, "examples">,
  names: BothNames,
  most: number,
): string {
  return table(
    [numeric(names[0]), "Fires on", numeric(names[1]), "Fires on", numeric("Correlation")],
    pairs.slice(0, most).map(({ a, b, correlation }) => [
      ...[String(a.feature), a.tokens, String(b.feature), b.tokens, three(correlation)],
    ]),
  );
}

/** Features without match, those of each group that fire most. */
export function uniqueTable(
  { examples: { unique } }: Pick<ToldComparison, "examples">,
  names: BothNames,
  most: number,
): string {
  return table(
    ["Of", numeric("Group"), numeric("Feature"), "Fires on", numeric("Best correlation")],
    unique.flatMap((groups, side) =>
      groups.flatMap((features, group) =>
        features.slice(0, most).map(({ feature, tokens, correlation }) => [
          ...[names[side], String(group), String(feature), tokens, three(correlation)],
        ])
      )
    ),
  );
}

/** Two features and where each is strongest, a line each, all of them with the strongest token under each other. */
export function contextLines(
  pairs: readonly (readonly [label: string, features: readonly ShownFeature[]])[],
): string[] {
  const before = (context: string) => [...context.slice(0, context.indexOf("⟦"))].length;
  const rows = pairs.flatMap(([label, features]) =>
    features.map((shown, n) => ({ label: n === 0 ? label : "", shown }))
  );
  const widths = {
    label: Math.max(...rows.map(({ label }) => label.length)),
    feature: Math.max(...rows.map(({ shown: { feature } }) => String(feature).length)),
    before: Math.max(...rows.map(({ shown: { context } }) => before(context))),
  };
  return rows.map(({ label, shown: { feature, context } }) =>
    [
      label.padEnd(widths.label),
      String(feature).padStart(widths.feature),
      " ".repeat(widths.before - before(context)) + context,
    ].join("  ")
  );
}

/** A trait's cells. */
function traitRow(name: string, trait: Trait, written: (value: number) => string): string[] {
  const beside = (value: number, chance: number | null) =>
    chance === null ? known(value, written) : `${known(value, written)} (${known(chance, written)})`;
  const { a, b, a_by_chance, b_by_chance, difference, ci95: [low, high] } = trait;
  const range = Number.isFinite(low + high) ? `${written(low)} to ${written(high)}` : "–";
  return [name, beside(a, a_by_chance), beside(b, b_by_chance), known(difference, written), range];
}

/** Both as a whole. */
export function traitTable(
  { portraits, hierarchy }: Pick<ToldComparison, "portraits" | "hierarchy">,
  names: BothNames,
): string {
  const bits = (value: number) => `${decimal(value, 2)} bits`, share = (value: number) => percent(value);
  const { effective_features, token_entropy, token_bits, document_bits, main_token_share, distinct_tokens } = portraits;
  return table(["(in brackets by chance)", ...[...names, "Difference", "95 % CI"].map(numeric)], [
    traitRow("features, were they equally active", effective_features, (value) => decimal(value, 1)),
    traitRow("entropy of a feature's tokens", token_entropy, bits),
    traitRow("of that below chance", token_bits, bits),
    traitRow("entropy of its documents, below chance", document_bits, (value) => `${decimal(value, 3)} bits`),
    traitRow("share of its commonest token", main_token_share, share),
    [
      "different commonest tokens",
      ...distinct_tokens.map(integer),
      integer(distinct_tokens[1] - distinct_tokens[0]),
      "–",
    ],
    ...hierarchy === null ? [] : [
      traitRow("features of later groups with a parent", hierarchy.with_parent, share),
      [
        "their mean depth",
        ...[...hierarchy.mean_depth, hierarchy.mean_depth[1] - hierarchy.mean_depth[0]].map((depth) => {
          return known(depth, (value) => decimal(value, 2));
        }),
        "–",
      ],
    ],
  ]);
}

/** How features go on. */
export function evolutionTable({ figures }: ToldEvolution): string {
  const { judged, driving, inhibiting, strongest, by_chance, chance_limit, strength, matched } = figures;
  return table(["", numeric("Features"), numeric("By chance")], [
    ["strongest response of a feature, median", three(strongest.median), three(by_chance.median)],
    [`beyond the 99th percentile of chance (${decimal(chance_limit, 2)})`, sharedBy(driving, judged), "1 %"],
    ["as far below 0", sharedBy(inhibiting, judged), "1 %"],
    [
      "correlation of a feature with the one that answers it most, mean",
      ...[figures.link_correlation, figures.link_correlation_dealt].map(three),
    ],
    ...matched.pairs < 2 ? [] : [["response within a matched pair, mean", three(matched.mean), three(matched.dealt)]],
    ...matched.pairs < 3 ? [] : [[
      "rank correlation of response and match, over the pairs",
      known(matched.spearman, (value) => decimal(value, 2)),
      `± ${decimal(matched.spearman_chance, 2)}`,
    ]],
    ["all responses, to those of directions drawn evenly", `${decimal(strength, 2)} ×`, "1 ×"],
  ]);
}

/** The strongest links. */
export function linkTable(
  { examples: { links } }: Pick<ToldComparison, "examples">,
  names: BothNames,
  most: number,
): string {
  const hasShare = links.some(({ share }) => Number.isFinite(share));
  return table(
    [
      ...[numeric(`From ${names[0]}`), "Fires on", numeric(`to ${names[1]}`), "Fires on", numeric("Response")],
      ...hasShare ? [numeric("Share")] : [],
      numeric("Correlation"),
    ],
    links.slice(0, most).map(({ from, to, response, share, correlation }) => [
      ...[String(from.feature), from.tokens, String(to.feature), to.tokens, decimal(response, 1)],
      ...hasShare ? [percent(share, 0)] : [],
      three(correlation),
    ]),
  );
}
