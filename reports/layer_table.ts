/**
 * What is said of what is particular about a layer.
 * @module
 */

import {
  EXPLAINED,
  type FeatureKind,
  type LayerAnalysis,
  type LayerFeature,
  leadingOf,
} from "../core/analysis/layer.ts";
import { PREDICTORS } from "../core/analysis/explained.ts";
import { SAME_FEATURE } from "../core/analysis/matching.ts";
import { median } from "../core/analysis/statistics.ts";
import { JUDGED_FIRES } from "../core/analysis/token_binding.ts";
import type { StoredAttribution } from "../core/runs/attribution.ts";
import { attributionSentence, KIND_NAMES, kindsOf } from "./attribution_table.ts";
import { counted, decimal, integer, known, list, percent } from "./format.ts";
import { numeric, table } from "./markdown/markdown.ts";

/** What is told of one transcoder. */
export interface ToldLayer extends LayerAnalysis {
  /** What its features are made of; null where its source is no sum. */
  readonly attribution: StoredAttribution | null;
  /** One sentence per figure that says exactly what it is. */
  readonly definitions: Readonly<Record<string, string>>;
}

/** What the kinds of features are called. */
export const FEATURE_KIND_NAMES: Readonly<Record<FeatureKind, string>> = {
  token: "told by their token",
  previous: "told by the token before",
  position: "told by their place",
  context: "made from context",
};

/** Features of each kind, and of those that other layers have least, that a reader is shown. */
export const SHOWN = 6;

/** All that is printed of one transcoder; `name` says what a feature fires on. */
export function layerText(told: ToldLayer, name: (feature: number) => string): string {
  const { tokens, features, attribution, others } = told, least = leastElsewhere(features);
  return [
    `${integer(tokens)} tokens of the reading set.`,
    kindSentence(told),
    ...features.length > 0 ? [kindTable(told), explainedTable(told)] : [],
    ...attribution ? [attributionSentence(attribution)] : [],
    linkSentence(told),
    ...told.kinds.flatMap(({ kind, features: count }) => {
      const of = features.filter((one) => one.kind === kind);
      return count === 0 ? [] : [
        `The strongest that are ${FEATURE_KIND_NAMES[kind]}:`,
        featureTable(leadingOf(of, SHOWN), told, name),
      ];
    }),
    ownSentence(told),
    ...others.length > 0 ? [otherTable(told)] : [],
    ...least.length > 0 ? ["Those that other layers have least:", featureTable(least.slice(0, SHOWN), told, name)] : [],
    layerNotes(told).join("\n"),
  ].filter((part) => part !== "").join("\n\n");
}

/** How many features are of which kind; it could have been otherwise. */
export function kindSentence({ kinds, features, close, rare }: LayerAnalysis): string {
  if (features.length === 0) return "No feature fires on ten tokens or more.";
  const told = kinds.filter((one) => one.features > 0).map(({ kind, features: count, mass }) =>
    `${integer(count)} are ${FEATURE_KIND_NAMES[kind]} (${percent(mass, 0)} of all activation)`
  );
  const unsure = [
    ...close > 0 ? [`${integer(close)} lie too near to the limit to be sure`] : [],
    ...rare > 0 ? [`${integer(rare)} fire too rarely to be judged`] : [],
  ];
  return `Of ${counted(features.length, "feature")} ${list(told)}${unsure.length > 0 ? `; ${list(unsure)}` : ""}.`;
}

/** Kinds by Matryoshka group. */
export function kindTable({ kinds, features }: LayerAnalysis): string {
  const groups = [...new Set(features.map(({ group }) => group))];
  return table(
    ["Features", ...[...groups.map((group) => `Group ${group}`), "All", "Share of activation"].map(numeric)],
    kinds.map(({ kind, features: count, mass }) => [
      FEATURE_KIND_NAMES[kind],
      ...groups.map((group) => {
        const of = features.filter((one) => one.group === group);
        return known(of.filter((one) => one.kind === kind).length / of.length, percent);
      }),
      percent(count / features.length),
      percent(mass),
    ]),
  );
}

const PREDICTOR_NAMES = { token: "token", previous: "token before", position: "place" } as const;

/** How well each predictor does, over the judged features. */
export function explainedTable({ features }: LayerAnalysis): string {
  return table(
    ["R2 of activation on", ...["Median", "Mean of the strongest tenth", `${EXPLAINED} or more`].map(numeric)],
    PREDICTORS.map((predictor) => {
      const values = features.map(({ explained }) => explained[predictor].r2).filter(Number.isFinite).sort((a, b) =>
        b - a
      );
      const top = values.slice(0, Math.ceil(values.length / 10));
      return [
        PREDICTOR_NAMES[predictor],
        decimal(median(values), 3),
        decimal(top.reduce((sum, one) => sum + one, 0) / top.length, 3),
        percent(values.filter((one) => one >= EXPLAINED).length / values.length),
      ];
    }),
  );
}

/** Whether features that their token tells are those that the embedding lifts; it could have been otherwise. */
export function linkSentence({ link }: LayerAnalysis): string {
  if (link === null) {
    return "What lifts the features was not measured: the transcoder's source is no sum of what came before.";
  }
  const { features, embedding, attention, chance } = link;
  const said = (value: number, what: string) =>
    `${Math.abs(value) > chance ? (value > 0 ? "rises" : "falls") : "shows no relation"} with ${what} (${
      decimal(value, 2)
    })`;
  return `Over ${counted(features, "feature")} the token's R2 ${said(embedding, "the share of the embedding")} and ${
    said(attention, "that of attention")
  }; unrelated ranks stay within ±${decimal(chance, 2)}.`;
}

/** How many features no other layer has; it could have been otherwise. */
export function ownSentence({ others, own, features }: LayerAnalysis): string {
  if (own === null) return "There is no other layer to hold it against; give a run with several.";
  if (features.length === 0) return "No feature fires often enough to be looked for in another layer.";
  return `${integer(own)} of ${counted(features.length, "judged feature")} (${percent(own / features.length)}) ${
    own === 1 ? "has" : "have"
  } no match beyond chance in ${list(others.map(({ name }) => name))}.`;
}

/** The features that are least like any of another layer, of those that fire often enough for it to be no accident. */
export function leastElsewhere(features: readonly LayerFeature[]): LayerFeature[] {
  return features.filter(({ fires, best_elsewhere }) => best_elsewhere !== null && fires >= JUDGED_FIRES)
    .sort((a, b) => a.best_elsewhere! - b.best_elsewhere! || a.feature - b.feature);
}

/** The other layers. */
export function otherTable({ others }: LayerAnalysis): string {
  const share = (of: number, all: number) => all === 0 ? "–" : `${integer(of)} (${percent(of / all)})`;
  return table(
    ["Held against", ...["Judged", `Found there (above ${SAME_FEATURE})`, "Not there"].map(numeric)],
    others.map(({ name, judged, same, unique }) => [name, integer(judged), share(same, judged), share(unique, judged)]),
  );
}

/** Some features, a row each. */
export function featureTable(
  features: readonly LayerFeature[],
  { attribution, others }: Pick<ToldLayer, "attribution" | "others">,
  name: (feature: number) => string,
): string {
  const kinds = attribution ? kindsOf(attribution) : [];
  return table(
    [
      ...["Feature", "Group"].map(numeric),
      "Fires on",
      ...[
        ...["Fires", "R2 token", "Before", "Place"],
        ...kinds.map((kind) => KIND_NAMES[kind]),
        ...others.length > 0 ? ["Best elsewhere"] : [],
      ].map(numeric),
    ],
    features.map(({ feature, group, fires, explained, shares, best_elsewhere }) => [
      ...[String(feature), String(group), name(feature), integer(fires)],
      ...PREDICTORS.map((predictor) => decimal(explained[predictor].r2, 2)),
      ...kinds.map((kind) => shares ? percent(shares[kind], 0) : "–"),
      ...best_elsewhere === null ? [] : [decimal(best_elsewhere, 2)],
    ]),
  );
}

/** What the figures mean, a sentence or two each. */
export function layerNotes({ definitions }: Pick<ToldLayer, "definitions">): string[] {
  const names = { explained: "R2", kind: "Kinds", shares: "Shares", link: "Relation", own: "Other layers" };
  return Object.entries(names).map(([key, name]) => `${name}: ${definitions[key]}`);
}
