/**
 * What is said of the semantic coherence of features.
 * @module
 */

import { EXAMPLES, type FeatureCoherence } from "../core/analysis/coherence.ts";
import { median } from "../core/analysis/statistics.ts";
import type { StoredCoherence } from "../core/runs/coherence.ts";
import { groupOf } from "../core/transcoder/shape.ts";
import { bracketed } from "./evaluation_table.ts";
import { capital, counted, decimal, integer, percent } from "./format.ts";
import { numeric, table } from "./markdown/markdown.ts";

/** What features and tokens are called. */
export interface CoherenceWords {
  /** The tokens that a feature fires on. */
  readonly name: (feature: number) => string;
  /** A token of the record among those around it. */
  readonly context: (token: number) => string;
}

/** Features that a reader is shown: coherent ones, and those whose tokens explain what is alike. */
export const SHOWN = 10, EXPLAINED_SHOWN = 5;

/** What stands above {@link explainedFeatures}. */
export const EXPLAINED_LEAD =
  "The most alike of those that are no more coherent than chance; mostly their tokens explain it:";

/** How many features are coherent beyond chance: more than chance gives, or not. */
export function coherenceVerdict({ beyond, features: { length: judged } }: StoredCoherence): "some" | "none" {
  const chance = 0.01;
  return beyond / judged > chance + 1.96 * Math.sqrt(chance * (1 - chance) / judged) ? "some" : "none";
}

/** What was found, in two or three sentences; each could have been another. */
export function coherenceSentence(coherence: StoredCoherence): string {
  const { beyond, features, random: { directions, limit }, rare, left_out } = coherence, judged = features.length;
  const missed = [
    ...rare > 0
      ? [
        `${counted(rare, "feature")} with examples in fewer than ${EXAMPLES} contexts ${
          rare === 1 ? "is" : "are"
        } not judged`,
      ]
      : [],
    ...left_out > 0 ? [`${integer(left_out)} that fire least had no room`] : [],
  ].join(", ");
  if (judged === 0) return `No feature fires in ${EXAMPLES} contexts of the reading set.`;
  const typical = median(features.map(({ coherence }) => coherence));
  return `${integer(beyond)} of ${counted(judged, "judged feature")} (${percent(beyond / judged)}) ${
    beyond === 1 ? "is" : "are"
  } coherent beyond their tokens and beyond 99 of 100 of ${integer(directions)} random directions (above ${
    decimal(limit, 3)
  }), ${coherenceVerdict(coherence) === "some" ? "more" : "no more"} than the 1 % that chance gives. The median is ${
    decimal(typical, 3)
  }, that of random directions ${decimal(coherence.random.median, 3)}.${missed === "" ? "" : ` ${capital(missed)}.`}`;
}

/** Medians over the judged features of each group. */
export function coherenceGroups({ features, random: { limit } }: StoredCoherence, groups: readonly number[]): string {
  const middle = (of: readonly FeatureCoherence[], value: (one: FeatureCoherence) => number) =>
    decimal(median(of.map(value)), 3);
  return table(
    ["Group", ...["Judged", "Cosine", "By tokens", "Coherence", "Token entropy", "Beyond chance"].map(numeric)],
    groups.map((_, group) => {
      const of = features.filter(({ feature }) => groupOf(groups, feature) === group);
      if (of.length === 0) return [String(group), "0", ...new Array<string>(5).fill("–")];
      return [
        ...[String(group), integer(of.length), middle(of, ({ cosine }) => cosine)],
        ...[middle(of, ({ by_token }) => by_token), middle(of, ({ coherence }) => coherence)],
        `${decimal(median(of.map(({ token_entropy }) => token_entropy)), 1)} bits`,
        percent(of.filter(({ coherence }) => coherence > limit).length / of.length),
      ];
    }),
  );
}

/** Features above the limit, the most coherent first. */
export function coherentFeatures({ features, random: { limit } }: StoredCoherence): FeatureCoherence[] {
  return features.filter(({ coherence }) => coherence > limit).sort((a, b) => b.coherence - a.coherence);
}

/** Features that are alike, and beyond their tokens no more than chance: those below the limit with the largest cosine. */
export function explainedFeatures({ features, random: { limit } }: StoredCoherence): FeatureCoherence[] {
  return features.filter(({ coherence }) => !(coherence > limit)).sort((a, b) => b.cosine - a.cosine);
}

/** Some features, a row each, with the strongest example. */
export function coherenceTable(features: readonly FeatureCoherence[], { name, context }: CoherenceWords): string {
  return table(
    [
      numeric("Feature"),
      "Fires on",
      ...["Entropy", "Cosine", "By tokens", "Coherence", "Documents"].map(numeric),
      "Strongest example",
    ],
    features.map((one) => [
      ...[String(one.feature), name(one.feature), `${decimal(one.token_entropy, 1)} bits`, decimal(one.cosine, 3)],
      ...[decimal(one.by_token, 3), bracketed(one.coherence, one.ci95, (value) => decimal(value, 3))],
      ...[integer(one.documents), context(one.examples[0])],
    ]),
  );
}

/** All that is printed of one transcoder. */
export function coherenceText(coherence: StoredCoherence, groups: readonly number[], words: CoherenceWords): string {
  const coherent = coherentFeatures(coherence), explained = explainedFeatures(coherence);
  return [
    `${integer(coherence.tokens)} tokens of the reading set, the model's activations at ${coherence.source}.`,
    coherenceSentence(coherence),
    coherenceGroups(coherence, groups),
    ...coherent.length > 0
      ? ["The most coherent features beyond chance:", coherenceTable(coherent.slice(0, SHOWN), words)]
      : [],
    ...explained.length > 0 ? [EXPLAINED_LEAD, coherenceTable(explained.slice(0, EXPLAINED_SHOWN), words)] : [],
    coherenceNotes(coherence).join("\n"),
  ].join("\n\n");
}

/** What the columns mean, a sentence or two each. */
export function coherenceNotes({ definitions }: StoredCoherence): string[] {
  const names = {
    ...{ examples: "Examples", cosine: "Cosine", by_token: "By tokens", coherence: "Coherence" },
    ...{ random: "Chance", token_entropy: "Entropy" },
  };
  return Object.entries(names).map(([key, name]) => `${name}: ${definitions[key]}`);
}
