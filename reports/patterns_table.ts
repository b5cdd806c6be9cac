/**
 * What is said of how features fire, and in what company.
 * @module
 */

import type { CoactivationGraph, FeatureCluster, FeatureClusters } from "../core/analysis/clusters.ts";
import type { FeaturePattern } from "../core/analysis/feature_patterns.ts";
import { median } from "../core/analysis/statistics.ts";
import { counted, decimal, integer, known, percent, significant } from "./format.ts";
import { numeric, table } from "./markdown/markdown.ts";
import { visibleToken } from "./tokens.ts";

/** What is told of a dictionary. */
export interface ToldPatterns {
  /** Tokens of the record. */
  readonly tokens: number;
  /** Features per Matryoshka group. */
  readonly groups: readonly number[];
  /** All features, in their order. */
  readonly patterns: readonly FeaturePattern[];
  /** Features that fire together in groups. */
  readonly clusters: FeatureClusters;
  /** Pairs that fire together more often than by chance. */
  readonly graph: CoactivationGraph;
}

/** What things are called. */
export interface PatternWords {
  /** The tokens that a feature fires on. */
  readonly name: (feature: number) => string;
  /** The text of a token. */
  readonly token: (id: number) => string;
}

/** Clusters and edges that a reader is shown. */
export const SHOWN = 10;
/** Features of each kind. */
const OF_A_KIND = 3;
/** The fewest firings of features that are judged. */
export const LEAST_FIRES = 10;

/** All that is printed of one dictionary. */
export function patternsText(told: ToldPatterns, words: PatternWords): string {
  const { tokens, clusters: { clusters }, graph: { edges } } = told, remarkable = remarkableFeatures(told.patterns);
  return [
    `${integer(tokens)} tokens of the reading set.`,
    groupTable(told),
    ...remarkable.length > 0
      ? ["Features that go furthest, of those that fire on ten tokens or more:", remarkableTable(remarkable, words)]
      : [],
    clusterSentence(told.clusters),
    ...clusters.length > 0 ? [clusterTable(clusters.slice(0, SHOWN), words)] : [],
    graphSentence(told.graph),
    ...edges.length > 0 ? [edgeTable(told.graph, words)] : [],
    PATTERN_NOTES,
  ].join("\n\n");
}

/** Medians over the living features of each group. */
export function groupTable({ groups, patterns }: Pick<ToldPatterns, "groups" | "patterns">): string {
  let end = 0;
  const middle = (features: readonly FeaturePattern[], of: (one: FeaturePattern) => number) =>
    median(features.map(of).filter(Number.isFinite));
  const digits = (count: number) => (value: number) => decimal(value, count);
  return table(
    [
      "Group",
      "Alive",
      "Skewness",
      "Tail exponent",
      "Burstiness",
      "Position, bits",
      "Document Gini",
      "By chance",
    ].map(numeric),
    groups.map((size, group) => {
      const alive = patterns.slice(end, end += size).filter(({ fires }) => fires > 0);
      return [
        String(group),
        integer(alive.length),
        known(middle(alive, ({ skewness }) => skewness), digits(2)),
        known(middle(alive, ({ tail_exponent }) => tail_exponent), digits(2)),
        known(middle(alive, ({ burstiness }) => burstiness), digits(2)),
        known(middle(alive, ({ position_bits }) => position_bits), digits(3)),
        known(middle(alive, ({ document_gini }) => document_gini), digits(3)),
        known(middle(alive, ({ document_gini_by_chance }) => document_gini_by_chance), digits(3)),
      ];
    }),
  );
}

/** A feature that goes far in one way. */
export interface Remarkable {
  /** In what way. */
  readonly what: string;
  /** How it fires. */
  readonly pattern: FeaturePattern;
  /** How far it goes. */
  readonly value: number;
  /** What chance gives. */
  readonly chance: number;
}

/** The features that go furthest beyond chance in each way, so many of each, of those that fire on ten tokens or more. */
export function remarkableFeatures(patterns: readonly FeaturePattern[], most = OF_A_KIND): Remarkable[] {
  const judged = patterns.filter(({ fires }) => fires >= LEAST_FIRES);
  const largest = (of: (one: FeaturePattern) => number) =>
    judged.map(of).reduce((most, value) => value > most ? value : most, 0);
  const bursts = largest((one) => one.burstiness_by_chance), places = largest((one) => one.position_bits_by_chance);
  const kinds: [string, (one: FeaturePattern) => number, (one: FeaturePattern) => number][] = [
    ["in bursts", ({ burstiness }) => burstiness, () => bursts],
    ["at a position, bits", ({ position_bits }) => position_bits, () => places],
    ["in few documents, Gini", (one) => one.document_gini, (one) => one.document_gini_by_chance],
  ];
  return kinds.flatMap(([what, of, by]) => {
    const sorted = judged.filter((one) => of(one) > by(one))
      .sort((a, b) => of(b) - by(b) - of(a) + by(a) || a.feature - b.feature);
    return sorted.slice(0, most).map((pattern) => ({ what, pattern, value: of(pattern), chance: by(pattern) }));
  });
}

/** Them, with their tokens. */
export function remarkableTable(features: readonly Remarkable[], { name }: Pick<PatternWords, "name">): string {
  return table(
    ["Fires", numeric("Feature"), numeric("Tokens"), numeric("Value"), numeric("By chance"), "Fires on"],
    features.map(({ what, pattern: { feature, fires }, value, chance }) => [
      what,
      String(feature),
      integer(fires),
      significant(value, 3),
      significant(chance, 3),
      name(feature),
    ]),
  );
}

/** How well features fall into clusters; it could have been another. */
export function clusterSentence(
  { often, clustered, clusters, silhouette, silhouette_by_chance, silhouette_error }: Omit<FeatureClusters, "order">,
): string {
  if (!Number.isFinite(silhouette)) {
    return `Too few features for clusters: ${integer(clustered)} fire${
      clustered === 1 ? "s" : ""
    } on ten tokens or more, and four are the least.`;
  }
  const grouped = clusters.reduce((sum, { features }) => sum + features.length, 0);
  const claim = silhouette - silhouette_by_chance > 1.96 * silhouette_error
    ? "Features that fire alike form clusters beyond chance"
    : "Features form no clusters beyond chance";
  return [
    `${claim}: mean silhouette ${decimal(silhouette, 3)}, ${
      decimal(silhouette_by_chance, 3)
    } with the contexts of each feature shuffled (their difference is known to ± ${
      decimal(1.96 * silhouette_error, 3)
    }).`,
    ...often > clustered
      ? [`The ${integer(clustered)} that fire most were clustered, ${integer(often - clustered)} others left out.`]
      : [],
    `Of ${counted(clustered, "feature")}, ${integer(grouped)} are in ${
      counted(clusters.length, "cluster")
    } of two or more${clusters.length > 0 ? "; the largest:" : "."}`,
  ].join(" ");
}

/** Clusters with their tokens, each as `written`. */
export function clusterTable(
  clusters: readonly FeatureCluster[],
  { token }: Pick<PatternWords, "token">,
  written: (token: string) => string = visibleToken,
): string {
  return table(
    [
      ...["Features", "Silhouette", "Correlation"].map(numeric),
      "Tokens (share of the text)",
      "The features that fire most",
    ],
    clusters.map(({ features, silhouette, correlation, tokens }) => [
      integer(features.length),
      ...[silhouette, correlation].map((value) => decimal(value, 3)),
      tokens.map(({ id, share, share_of_text }) =>
        `${written(token(id))} ${percent(share, 0)} (${percent(share_of_text, 1)})`
      ).join(", "),
      `${features.slice(0, 8).join(", ")}${features.length > 8 ? ", …" : ""}`,
    ]),
  );
}

/** How many features fire in company; it could have been another. */
export function graphSentence({ features, edges, connected, largest_part, threshold }: CoactivationGraph): string {
  if (features < 2) {
    return `${features === 0 ? "No" : "One"} feature fires on ten tokens or more, so that there is no company.`;
  }
  const share = connected / features, chance = 0.01;
  const isBeyond = share > chance + 1.96 * Math.sqrt(chance * (1 - chance) / features);
  return `Features fire in company ${isBeyond ? "beyond chance" : "no more than by chance"}: ${percent(share, 1)} of ${
    counted(features, "feature")
  } that fire on ten tokens or more have another to fire with further beyond independence than is left to 1 % once the contexts of each are ` +
    `shuffled (NPMI above ${decimal(threshold, 3)}), in ${counted(edges.length, "pair")}${
      edges.length === 0
        ? "."
        : `; the largest part that hangs together has ${counted(largest_part, "feature")}. The strongest pairs:`
    }`;
}

/** The strongest pairs. */
export function edgeTable({ edges }: CoactivationGraph, { name }: Pick<PatternWords, "name">): string {
  return table(
    [numeric("Feature"), "Fires on", numeric("Other"), "Fires on", numeric("NPMI"), numeric("Tokens together")],
    edges.slice(0, SHOWN).map(({ a, b, npmi, together }) => [
      String(a),
      name(a),
      String(b),
      name(b),
      decimal(npmi, 3),
      integer(together),
    ]),
  );
}

/** What the columns mean. */
export const PATTERN_NOTES: string =
  "Groups: medians over their living features. Skewness of activations where a feature fires: 0 where symmetric, 2 where exponential. Tail exponent: Hill's, of the largest " +
  "tenth; small where a few activations are far larger than all others. Burstiness: how much likelier a feature fires within 8 tokens behind a firing " +
  "than anywhere, 1 where firings do not depend on each other. Position: bits that a firing tells of the eighth of the context it is in, beyond what so many " +
  "tell by chance, 0. Document Gini: 0 where a feature fires as often per token in every document, near 1 where in few; by chance, with contexts shuffled " +
  "among documents. Features that go furthest: beside bursts and positions stands the largest value of any feature when each fires on as many tokens drawn at random. " +
  "Clusters: average linkage of 1 - correlation, at the cut of the largest mean silhouette. NPMI: ln(p_ab / (p_a p_b)) / -ln p_ab of " +
  "firing, 1 where two always fire together, 0 where independent.";
