/** Two transcoders with records, as a comparison tells them: some fires of either planted, what takes weights or a model given. */

import { compareReconstructions } from "../../core/analysis/equal_sparsity.ts";
import { type Evolution, evolutionVerdict, evolvedSide } from "../../core/analysis/evolution.ts";
import { matchFeatures } from "../../core/analysis/matching.ts";
import { comparePortraits } from "../../core/analysis/portrait.ts";
import { histogram, summarize } from "../../core/analysis/statistics.ts";
import type { ToldComparison } from "../../reports/compared.ts";
import { comparisonExamples, featureViewer } from "../../reports/comparison_examples.ts";
import { tokenCode } from "../../reports/tokens.ts";
import { bursty, plantedRecord, type Rule } from "../analysis/planted_record.ts";

const TOKENS = 2048, GROUPS = [12, 20];

/** Responses of so many of 1,000 features beyond chance, and what matched pairs answer, 0.5 where partners are dealt. */
export function evolutionWith({ driving, matched }: { driving: number; matched: number }): ToldComparison["evolution"] {
  const responses = Array.from({ length: 1000 }, (_, i) => i < driving ? 6 + i / 1000 : 2 + i / 1000);
  const chance = Array.from({ length: 1024 }, (_, i) => i < 10 ? 4.2 : 1.5 + i / 512);
  const figures: Evolution = {
    ...{ judged: 1000, readers: 32, strength: 1.2, chance_limit: 4, driving, inhibiting: 11 },
    ...{ strongest: summarize(responses), by_chance: summarize(chance) },
    groups: [{ judged: 400, driving }, { judged: 600, driving: 0 }],
    ...{ histogram: histogram(responses, 50, 1, 8), histogram_by_chance: histogram(chance, 50, 1, 8) },
    links: driving === 0 ? [] : [{ from: 3, to: 5, response: 6.9, share: 0.31, correlation: 0.4 }],
    ...{ link_correlation: 0.3, link_correlation_dealt: 0.01, matched_links: 1 },
    matched: { pairs: 20, mean: matched, dealt: 0.5, error: 0.1, spearman: 0.4, spearman_chance: 0.45 },
  };
  return { from: "a", figures, verdict: evolutionVerdict(figures) };
}

/**
 * Two transcoders of 32 features.
 *
 * @param alike How many of their features fire on the same tokens.
 * @param changes What is told otherwise.
 * @returns All that is told of them.
 */
export function toldComparison(alike: number, changes: Partial<ToldComparison> = {}): ToldComparison {
  const rules = (seed: number): Rule[] => Array.from({ length: 32 }, (_, i) => bursty(seed + i, TOKENS, 0.06));
  const first = rules(0), second = [...first.slice(0, alike), ...rules(900).slice(alike)];
  const a = plantedRecord(GROUPS, TOKENS, first), b = plantedRecord(GROUPS, TOKENS, second);
  const matching = matchFeatures(a, b), evolution = changes.evolution ?? "not before";
  const side = (run: string) => ({ run, groups: GROUPS, cosine: 0.9, loss_recovered: null });
  return {
    ...{ sides: [side("runs/one"), side("runs/two")], same_target: true, at_equal_l0: null, hierarchy: null, matching },
    reconstructions: compareReconstructions(a, b),
    portraits: comparePortraits(evolvedSide(a), evolvedSide(b)),
    examples: comparisonExamples(
      [featureViewer(a, tokenCode), featureViewer(b, tokenCode)],
      matching,
      typeof evolution === "string" ? null : evolution,
    ),
    ...changes,
    evolution,
  };
}

/** The reconstructions at equal L0, the second one leaving so much more, with this interval. */
export function equalL0(difference: number, ci95: [number, number]): ToldComparison["at_equal_l0"] {
  const side = (fvu: number) => ({ l0: 30, fvus: [0.5, fvu], ci95: [fvu - 0.01, fvu + 0.01] as [number, number] });
  return {
    ...{
      raised: "b",
      threshold: 0.25,
      tokens: TOKENS,
      resampled: "documents",
      a: side(0.2),
      b: side(0.2 + difference),
    },
    ...{ difference, difference_ci95: ci95 },
  };
}
