/**
 * What is said of all features of a dictionary at a glance.
 * @module
 */

import type { FeatureOverview, FeaturesOverview, StrengthBand } from "../core/analysis/feature_overview.ts";
import { median } from "../core/analysis/statistics.ts";
import { counted, decimal, integer, percent, significant } from "./format.ts";
import { numeric, table } from "./markdown/markdown.ts";

/** What features can be ranked by. */
export type FeatureOrder = "strength" | "fires" | "fvu-rise";

/** What a feature is called, and where it is strongest. */
export interface FeatureWords {
  /** The tokens that it fires on. */
  readonly name: (feature: number) => string;
  /** A token of the record among those around it. */
  readonly context: (token: number) => string;
}

/** The features that fire, the first in an order first. */
export function ranked(features: readonly FeatureOverview[], order: FeatureOrder): FeatureOverview[] {
  const value = ({ max_activation, fires, fvu_rise }: FeatureOverview) =>
    ({ strength: max_activation, fires, "fvu-rise": fvu_rise })[order];
  return features.filter(({ fires }) => fires > 0).sort((a, b) => value(b) - value(a) || a.feature - b.feature);
}

/** All that is printed of one dictionary: the bands, and the first features in an order. */
export function featuresText(
  overview: FeaturesOverview,
  order: FeatureOrder,
  most: number,
  words: FeatureWords,
): string {
  const { features, bands, fixed_bands } = overview, first = ranked(features, order).slice(0, most);
  return [
    overviewSentences(overview).join(" "),
    ...bands.some(({ features }) => features > 0) ? [bandTable(bands, "by quantiles")] : [],
    ...fixed_bands.length > 0 ? [bandTable(fixed_bands, "of the original project")] : [],
    ...first.length > 0 ? [`The first ${integer(first.length)} by ${ORDERS[order]}:`, featureTable(first, words)] : [],
    NOTES,
  ].join("\n\n");
}

const ORDERS: Readonly<Record<FeatureOrder, string>> = {
  strength: "largest activation",
  fires: "tokens that they fire on",
  "fvu-rise": "rise of FVU without them",
};

/** What the figures say of all features; each sentence could have been another. */
export function overviewSentences({ tokens, silent, fvu, features }: FeaturesOverview): string[] {
  const alive = features.filter(({ fires }) => fires > 0);
  const worse = alive.filter(({ fvu_rise }) => fvu_rise < 0).length;
  const bits = (of: (one: FeatureOverview) => number) => `${decimal(median(alive.map(of)), 1)} bits`;
  return [
    `${integer(tokens)} tokens of the reading set, FVU ${decimal(fvu, 4)}.`,
    `${integer(silent)} of ${counted(features.length, "feature")} never fire there.`,
    ...alive.length === 0 ? [] : [
      `The typical one that does fires on tokens of ${
        bits((one) => one.token_entropy)
      }, where as many tokens of other contexts have ${bits((one) => one.token_entropy_by_chance)}.`,
    ],
    ...worse === 0 ? [] : [`FVU would fall without ${integer(worse)} of them.`],
  ];
}

/** Features by their largest activation. */
export function bandTable(bands: readonly StrengthBand[], kind: string): string {
  const [{ groups }] = bands;
  return table([
    `Largest activation, bands ${kind}`,
    numeric("Features"),
    ...groups.length > 1 ? groups.map((_, group) => numeric(`Group ${group}`)) : [],
  ], [
    ...bands.map(({ least, features, groups }) => [
      `≥ ${significant(least, 3)}`,
      integer(features),
      ...groups.length > 1 ? groups.map(integer) : [],
    ]),
  ]);
}

/** Features with their figures. */
export function featureTable(features: readonly FeatureOverview[], { name, context }: FeatureWords): string {
  return table(
    [
      ...["Feature", "Group", "Fires", "Largest", "Mean", "FVU rise", "Token entropy", "By chance"].map(numeric),
      "Fires on",
      "Where it is strongest",
    ],
    features.map((one) => [
      ...[one.feature, one.group].map(String),
      percent(one.density, 2),
      ...[one.max_activation, one.mean_activation, one.fvu_rise].map((value) => significant(value, 3)),
      ...[one.token_entropy, one.token_entropy_by_chance].map((bits) => decimal(bits, 1)),
      name(one.feature),
      context(one.strongest),
    ]),
  );
}

const NOTES =
  "Fires: share of tokens. Mean: of the activations where it fires. FVU rise: by how much FVU of the whole dictionary rises without the feature, all others " +
  "as they are. Token entropy: in bits, of the tokens that it fires on; by chance, of as many tokens, in the same bursts, of shuffled contexts. " +
  "Fires on: the most characteristic tokens, each with its share of the feature's firings.";
