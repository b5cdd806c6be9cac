/**
 * What is said of the features' importance.
 * @module
 */
import {
  FEATURE_SETS,
  type FeatureEffect,
  type FeatureImportance,
  type FeatureSet,
  type Importance,
  type Measure,
  MEASURES,
} from "../core/analysis/importance.ts";
import { ranks } from "../core/analysis/statistics.ts";
import { bracketed } from "./evaluation_table.ts";
import { counted, decimal, integer, percent, significant } from "./format.ts";
import { intervalBasis } from "./held_out.ts";
import { numeric, table } from "./markdown/markdown.ts";

/** What the rankings are called. */
export const MEASURE_NAMES: Readonly<Record<Measure, string>> = {
  mass: "activation mass",
  fvu_rise: "FVU rise",
  ce_rise: "loss rise",
  kl: "KL",
};

/** What the sets of features are called. */
export const SET_NAMES: Readonly<Record<FeatureSet, string>> = { top: "top by FVU rise", random: "drawn at random" };

/** A feature whose effect on the model was measured. */
export interface SwitchedOff extends FeatureImportance {
  /** What was measured. */
  effect: FeatureEffect;
}

/** The features that were switched off, by falling rise of the loss. */
export function switchedOff({ features }: Importance): SwitchedOff[] {
  return features.filter((one): one is SwitchedOff => one.effect !== null)
    .sort((a, b) => b.effect.ce_rise - a.effect.ce_rise || a.feature - b.feature);
}

/** What was measured, in a sentence. */
export function importanceSentence(importance: Importance): string {
  const { predictions, contexts, documents, clean_ce, features, agreement } = importance;
  const living = features.filter(({ fires }) => fires > 0).length;
  const sets = agreement.map(({ set, features }) => `${integer(features)} ${SET_NAMES[set]}`).join(" and ");
  return `${counted(predictions, "held-out prediction")} in ${counted(contexts, "context")} of ` +
    `${counted(documents, "document")}, mean cross-entropy ${decimal(clean_ce, 3)} nats. ${integer(living)} of ` +
    `${
      integer(features.length)
    } features fire there; of these, ${sets} were switched off one at a time, all else kept; ` +
    `${intervalBasis(importance)}.`;
}

/** The features that matter most to the predictions, of those that were switched off. `token` says what a feature fires on. */
export function importanceTable(importance: Importance, token: (feature: number) => string, most: number): string {
  const alive = importance.features.filter(({ fires }) => fires > 0);
  const rankOf = (value: (one: FeatureImportance) => number) => {
    const found = ranks(alive.map((one) => -value(one)));
    return new Map(alive.map(({ feature }, i) => [feature, Math.floor(found[i])]));
  };
  const byMass = rankOf(({ mass }) => mass), byError = rankOf(({ fvu_rise }) => fvu_rise);
  const ranked = (value: string, rank: number) => `${value} (${integer(rank)})`;
  const thousandths = (value: number) => significant(1000 * value, 3);
  const columns = ["Feature", "Group"].map(numeric);
  return table(
    [
      numeric("Rank"),
      ...columns,
      "Fires on",
      ...["Fires", "Mass (rank)", "FVU rise (rank)", "Loss rise, 10⁻³ nats", "each firing, nats", "KL, 10⁻³ nats"].map(
        numeric,
      ),
      "Set",
    ],
    switchedOff(importance).slice(0, most).map(({ feature, group, fires, mass, fvu_rise, effect }, i) => [
      integer(i + 1),
      ...[feature, group].map(String),
      token(feature),
      percent(fires / importance.tokens, 2),
      ranked(significant(mass, 3), byMass.get(feature)!),
      ranked(significant(fvu_rise, 3), byError.get(feature)!),
      bracketed(effect.ce_rise, effect.ce_rise_ci95, thousandths),
      significant(effect.ce_rise_per_fire, 2),
      bracketed(effect.kl, effect.kl_ci95, thousandths),
      effect.sets.join(", "),
    ]),
  );
}

/** How far the rankings agree, and how far each can be relied on. */
export function agreementTable({ agreement }: Importance): string {
  const [{ pairs }] = agreement, two = (value: number) => decimal(value, 2);
  return table(["Ranks by", ...agreement.map(({ set, features }) => numeric(`${SET_NAMES[set]} (${features})`))], [
    ...pairs.map(({ a, b }, i) => [
      `${MEASURE_NAMES[a]} and ${MEASURE_NAMES[b]}`,
      ...agreement.map(({ pairs }) => bracketed(pairs[i].spearman, pairs[i].ci95, two)),
    ]),
    ["unrelated ranks stay within", ...agreement.map(({ chance }) => `±${two(chance)}`)],
    ...MEASURES.map((measure) => [
      `reliability of ${MEASURE_NAMES[measure]}`,
      ...agreement.map(({ reliability }) => two(reliability[measure])),
    ]),
  ]);
}

/** How many features the model predicts worse, or better, without; nothing where there are no intervals. */
export function signSentence(importance: Importance): string {
  const off = switchedOff(importance);
  if (off.some(({ effect: { ce_rise_ci95 } }) => ce_rise_ci95.some(Number.isNaN))) return "";
  return FEATURE_SETS.map((set) => {
    const members = off.filter(({ effect }) => effect.sets.includes(set));
    const worse = members.filter(({ effect: { ce_rise_ci95: [low] } }) => low > 0).length;
    const better = members.filter(({ effect: { ce_rise_ci95: [, high] } }) => high < 0).length;
    return `Of the ${integer(members.length)} ${
      SET_NAMES[set]
    }, the whole interval of the loss' rise lies above 0 for ${integer(worse)} and below 0 for ${
      integer(better)
    }; if nothing changed, 2.5 % would lie on either side.`;
  }).join(" ");
}

/** What the columns mean, a sentence or two each. */
export function importanceNotes({ definitions }: Importance): string[] {
  const names = { mass: "Mass", fvu_rise: "FVU rise", ce_rise: "Loss rise", ce_rise_per_fire: "Each firing", kl: "KL" };
  const others = { sets: "Set", spearman: "Ranks", reliability: "Reliability", ci95: "Intervals" };
  return Object.entries({ ...names, ...others }).map(([key, name]) => `${name}: ${definitions[key]}`);
}
