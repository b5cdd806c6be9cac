/**
 * What is said of the original project's own scores.
 * @module
 */

import type { GroupSeparation, OriginalScores } from "../core/analysis/original_scores.ts";
import { capital, decimal, integer, known } from "./format.ts";
import { numeric, table } from "./markdown/markdown.ts";

/** A dictionary that was scored. */
export interface ScoredName {
  /** What it is called among those scored with it. */
  readonly name: string;
  /** Its scores. */
  readonly scores: OriginalScores;
}

/** A table of each dictionary's scores, and what each score cannot say. */
export function scoresText(scored: readonly ScoredName[]): string {
  const [{ scores: { tokens, definitions } }] = scored;
  return [
    `Scores of the original project, on ${integer(tokens)} tokens of the reading set:`,
    ...scored.flatMap(({ name, scores }) => [capital(name), scoresTable(scores)]),
    Object.entries(definitions).map(([name, sentence]) => `${name}: ${sentence}`).join("\n"),
  ].join("\n\n");
}

/** The scores beside what chance gives. */
export function scoresTable(scores: OriginalScores): string {
  const { absorption_score, absorbed_pairs, absorption_by_chance, monosemanticity, group_stats } = scores;
  const { splitting_score, split_pairs, splitting_by_chance } = scores, last = group_stats.length - 1;
  const share = (value: number, pairs: number) => `${fraction(value)} (${integer(pairs)})`;
  const { mean, median, never_fire, mean_of_others } = monosemanticity;
  const alike = (key: keyof GroupSeparation, group: number) => {
    const { [key]: found, by_chance: { [key]: chance } } = group_stats[group];
    return [figure(found ?? NaN), figure(chance ?? NaN)];
  };
  return table(["Score", numeric("Value"), numeric("By chance")], [
    ["absorption_score (pairs)", share(absorption_score, absorbed_pairs), fraction(absorption_by_chance)],
    ["splitting_score (pairs)", share(splitting_score, split_pairs), fraction(splitting_by_chance)],
    ["monosemanticity, mean", figure(mean), "the same"],
    ["monosemanticity, median", figure(median), "the same"],
    ["monosemanticity, mean without features of ten firings or fewer", figure(mean_of_others), "the same"],
    ["features that score 1 because they never fire", integer(never_fire), ""],
    ...group_stats.map((_, group) => [`within_similarity, group ${group}`, ...alike("within_similarity", group)]),
    ...group_stats.slice(0, last).flatMap((_, group) => [
      [`between_similarity, groups ${group} and ${group + 1}`, ...alike("between_similarity", group)],
      [`separation_ratio, groups ${group} and ${group + 1}`, ...alike("separation_ratio", group)],
    ]),
  ]);
}

/** A dash where there is none. */
function figure(value: number): string {
  return known(value, (value) => decimal(value, 4));
}

/** A share of pairs: there are so many that few of them are a small number. */
function fraction(value: number): string {
  return value === 0 ? "0" : known(value, (value) => value.toExponential(1));
}
