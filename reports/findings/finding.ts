/**
 * A finding: what a layer does in one respect, with what speaks for it and what would speak against it.
 * @module
 */

import { type Hierarchy, type HierarchyVerdict, hierarchyVerdict } from "../../core/analysis/hierarchy.ts";
import type { LayerAnalysis } from "../../core/analysis/layer.ts";
import type { TranscoderAnalysis } from "../../core/runs/analysed.ts";
import type { RecordedAnalysis } from "../../core/runs/recorded.ts";

/** What is asked of a layer. */
export type Question =
  | "kind"
  | "sources"
  | "attention"
  | "depth"
  | "meaning"
  | "others"
  | "groups"
  | "predictions"
  | "writing"
  | "topics"
  | "company"
  | "rankings";

/** What was found. */
export interface Finding {
  /** What it answers. */
  readonly question: Question;
  /** The answer in bold, and the figures behind it. */
  readonly said: string;
  /** What it is held against: what chance, or something simpler, gives. */
  readonly chance: string;
  /** How sure it is: intervals, how much text, what was chosen by looking. */
  readonly doubt: string;
  /** What would show that it is wrong. */
  readonly wrong: string;
}

/** What is known of a layer. */
export interface KnownLayer extends Pick<TranscoderAnalysis, "name" | "attribution" | "importance" | "coherence"> {
  /** What was computed from its record. */
  readonly recorded: RecordedAnalysis;
  /** Other layers of the same report, with what is particular about each. */
  readonly others: readonly { readonly name: string; readonly layer: LayerAnalysis }[];
  /** The tokens that a feature is known by, as Markdown. */
  readonly named: (feature: number) => string;
  /** A token of the record among those around it, as Markdown. */
  readonly context: (token: number) => string;
}

/** A share of so many, and how far it may be off by chance: 1.96 standard errors. */
export function shareError(share: number, of: number): number {
  return 1.96 * Math.sqrt(share * (1 - share) / of);
}

/** What the hierarchy comes to; null where there is one group. */
export function groupVerdict(
  { recorded: { hierarchy, flat } }: KnownLayer,
): { readonly hierarchy: Hierarchy; readonly verdict: HierarchyVerdict } | null {
  return hierarchy === null || hierarchy.nested.judged === 0
    ? null
    : { hierarchy, verdict: hierarchyVerdict(hierarchy, flat?.parents ?? null) };
}
