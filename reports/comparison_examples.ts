/**
 * Features of two transcoders that were matched or follow on each other, with the tokens that they fire on and where they are strongest.
 * @module
 */

import type { Evolution, Link } from "../core/analysis/evolution.ts";
import type { Match, Matching, UniqueFeature } from "../core/analysis/matching.ts";
import { columnsOf, type FeatureRecord } from "../core/analysis/record.ts";
import { featureCount } from "../core/transcoder/shape.ts";
import { featureNames } from "./feature_names.ts";
import { recordContext } from "./record_context.ts";
import { visibleToken } from "./tokens.ts";

/** Pairs and links that are shown with contexts, and features of each group without match. */
const PAIRS = 20, LINKS = 20, UNIQUE_OF_GROUP = 5;

/** A feature as a reader is shown it. */
export interface ShownFeature {
  /** Its number. */
  readonly feature: number;
  /** The tokens that are characteristic of its firings, with their shares. */
  readonly tokens: string;
  /** The token that it is strongest on, among those around it. */
  readonly context: string;
}

/** Two features that fire alike. */
export interface ShownMatch extends Omit<Match, "a" | "b"> {
  /** The one of the first transcoder. */
  readonly a: ShownFeature;
  /** The one of the second. */
  readonly b: ShownFeature;
}

/** Two features of which the later one answers the earlier one. */
export interface ShownLink extends Omit<Link, "from" | "to"> {
  /** The earlier one. */
  readonly from: ShownFeature;
  /** The later one. */
  readonly to: ShownFeature;
}

/** A feature without match. */
export type ShownUnique = ShownFeature & Pick<UniqueFeature, "correlation">;

/** What a reader is shown of two transcoders. */
export interface ComparisonExamples {
  /** The pairs that fire most alike. */
  readonly pairs: readonly ShownMatch[];
  /** Of both transcoders and each of their groups the features without match that fire most. */
  readonly unique: readonly [a: readonly ShownUnique[][], b: readonly ShownUnique[][]];
  /** The strongest links; none where evolution is not defined. */
  readonly links: readonly ShownLink[];
}

/**
 * How features of a record are shown.
 *
 * @param record The record.
 * @param written How a token that it is known by is written.
 * @returns Shows a feature that fires.
 */
export function featureViewer(
  record: FeatureRecord,
  written: (token: string) => string = visibleToken,
): (feature: number) => ShownFeature {
  const { start, token, value } = columnsOf(record, featureCount(record.groups)),
    nameOf = featureNames(record, written);
  return (feature) => {
    let at = start[feature];
    for (let other = at; other < start[feature + 1]; other++) if (value[other] > value[at]) at = other;
    return { feature, tokens: nameOf(feature), context: recordContext(record, token[at]) };
  };
}

/**
 * Chooses what a reader is shown.
 *
 * @param views How features of either are shown.
 * @param matching The matched features.
 * @param evolution How features go on, and which side they go on from; null where that is not defined.
 * @returns The examples.
 */
export function comparisonExamples(
  [a, b]: readonly [a: (feature: number) => ShownFeature, b: (feature: number) => ShownFeature],
  matching: Matching,
  evolution: { readonly from: "a" | "b"; readonly figures: Pick<Evolution, "links"> } | null,
): ComparisonExamples {
  const unique = (view: typeof a, side: Matching["a"]) =>
    side.groups.map(({ unique_features }) =>
      unique_features.slice(0, UNIQUE_OF_GROUP).map(({ feature, correlation }) => ({ ...view(feature), correlation }))
    );
  const [earlier, later] = evolution?.from === "b" ? [b, a] : [a, b];
  return {
    pairs: matching.mutual.slice(0, PAIRS).map((pair) => ({ ...pair, a: a(pair.a), b: b(pair.b) })),
    unique: [unique(a, matching.a), unique(b, matching.b)],
    links: (evolution?.figures.links ?? []).slice(0, LINKS).map((link) => {
      return { ...link, from: earlier(link.from), to: later(link.to) };
    }),
  };
}
