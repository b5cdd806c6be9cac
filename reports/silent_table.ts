/**
 * What is said of features that fire hardly or not at all.
 * @module
 */
import { type Reason, REASONS, type Silent, ULTRA_RARE } from "../core/analysis/silent.ts";
import { counted, decimal, integer, list, significant } from "./format.ts";
import { numeric, table } from "./markdown/markdown.ts";

/** What the reasons are called. */
export const REASON_NAMES: Readonly<Record<Reason, string>> = {
  short_encoder: "short encoder",
  covered: "covered by its neighbour",
  out_of_reach: "out of reach",
  rare_input: "rare input",
};

/** How many features are silent, and why, in two sentences; nothing where that is not known. */
export function silentSentence(silent: Silent | null): string {
  if (silent === null) return "";
  const { dead, ultra_rare, features } = silent;
  const counts = `In the run's final pass ${counted(dead, "feature")} never fired, and ${
    integer(ultra_rare)
  } on at most one of ${integer(1 / ULTRA_RARE)} tokens.`;
  if (features.length === 0) return counts;
  const reasons = REASONS.map((reason) => ({ reason, count: features.filter(({ why }) => why === reason).length }));
  const told = reasons.filter(({ count }) => count > 0)
    .map(({ reason, count }) => `${REASON_NAMES[reason]} for ${integer(count)}`);
  return `${counts} Why they are silent: ${list(told)}.`;
}

/** The features that fire least, and below them what others are like; nothing where there are none. */
export function silentTable(silent: Silent | null): string {
  if (silent === null || silent.features.length === 0) return "";
  const { features, living } = silent, three = (value: number) => significant(value, 3);
  const columns = ["Encoder norm", "Bias", "Threshold", "Pre-activation, mean", "std", "largest", "Gap, std"];
  return table(
    [...["Feature", "Group", "Fires", ...columns, "Neighbour", "Cosine"].map(numeric), "Why"],
    [
      ...features.map((
        { feature, group, fires, encoder_norm, bias, threshold, mean, std, largest, gap, ...others },
      ) => [
        ...[feature, group, fires].map(integer),
        ...[encoder_norm, bias, threshold, mean, std, largest].map(three),
        decimal(gap, 1),
        others.neighbour < 0 ? "–" : integer(others.neighbour),
        decimal(others.cosine, 2),
        REASON_NAMES[others.why],
      ]),
      [
        ...["others", "", "", three(living.encoder_norm), "", "", "", "", "", decimal(living.gap, 1), ""],
        ...[decimal(living.cosine, 2), ""],
      ],
    ],
  );
}

/** What the columns mean, a sentence or two each; nothing where there are none. */
export function silentNotes(silent: Silent | null): string[] {
  if (silent === null || silent.features.length === 0) return [];
  const names = { silent: "Silent", living: "Others", gap: "Gap", neighbour: "Neighbour", why: "Why" };
  return Object.entries(names).map(([key, name]) => `${name}: ${silent.definitions[key]}`);
}
