/**
 * All that is told of two transcoders that were recorded on the same tokens.
 * @module
 */

import type { ComparedReconstructions } from "../core/analysis/equal_sparsity.ts";
import type { Evolution, EvolutionVerdict } from "../core/analysis/evolution.ts";
import type { Matching } from "../core/analysis/matching.ts";
import type { HierarchyContrast, Portraits } from "../core/analysis/portrait.ts";
import type { ComparedPair } from "../core/runs/analysed.ts";
import type { ComparisonExamples } from "./comparison_examples.ts";

/** One of two transcoders. */
export interface ComparedSide {
  /** Its directory. */
  readonly run: string;
  /** Its features per Matryoshka group. */
  readonly groups: readonly number[];
  /** Held-out cosine between target and reconstruction, from its evaluation; null where that has none. */
  readonly cosine: number | null;
  /** Held-out share of the loss that is recovered with it in place, against zeros; null where it was not measured. */
  readonly loss_recovered: number | null;
}

/** The reconstructions once both have as many active features. */
export interface EqualReconstructions extends ComparedReconstructions {
  /** Which of both had its threshold raised. */
  readonly raised: "a" | "b";
  /** What an activation of that one had to be above. */
  readonly threshold: number;
}

/** Why it is not told how features of one go on in the other: there is no direct path, or what is needed was not at hand. */
export type NoEvolution = "not added" | "not read" | "not before" | "other model" | "nothing fires" | "left out";

/** How the features of one go on in the other. */
export interface ToldEvolution {
  /** Which of both is the earlier one. */
  readonly from: "a" | "b";
  /** The figures. */
  readonly figures: Evolution;
  /** What is to be concluded. */
  readonly verdict: EvolutionVerdict;
}

/** All that is told of two transcoders. */
export interface ToldComparison {
  /** Both, A first. */
  readonly sides: readonly [ComparedSide, ComparedSide];
  /** Whether both predict the same of the same model, so that their FVUs mean the same. */
  readonly same_target: boolean;
  /** Their reconstructions as they are. */
  readonly reconstructions: ComparedReconstructions;
  /** With as many active features; `equal` where they have as many as they are, null where it was not measured. */
  readonly at_equal_l0: EqualReconstructions | "equal" | null;
  /** Their features. */
  readonly matching: Matching;
  /** What they are like as a whole. */
  readonly portraits: Portraits;
  /** Their hierarchies; null where one has a single group. */
  readonly hierarchy: HierarchyContrast | null;
  /** How the features of the earlier one go on in the later one, or why that cannot be asked. */
  readonly evolution: ToldEvolution | NoEvolution;
  /** What a reader is shown. */
  readonly examples: ComparisonExamples;
}

/** Two transcoders of a report. */
export interface ReportedPair extends ComparedPair {
  /** What their records say; undefined where one has none, or they are not of the same tokens. */
  readonly told?: ToldComparison;
  /** Why there is nothing told: a clause. */
  readonly why?: string;
}
