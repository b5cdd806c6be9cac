/**
 * All that is known of one transcoder that is to be browsed: what its run holds, and what was computed from its record and its weights.
 * @module
 */

import type { FeatureClusters } from "../../core/analysis/clusters.ts";
import type { FeatureMap } from "../../core/analysis/feature_map.ts";
import type { FeatureOverview, FeaturesOverview } from "../../core/analysis/feature_overview.ts";
import type { FeaturePattern } from "../../core/analysis/feature_patterns.ts";
import type { FeatureRow } from "../../core/analysis/feature_rows.ts";
import type { Hierarchy } from "../../core/analysis/hierarchy.ts";
import type { Parent } from "../../core/analysis/parents.ts";
import type { Neighbour } from "../../core/analysis/neighbours.ts";
import type { ActivationColumns, FeatureRecord } from "../../core/analysis/record.ts";
import type { FeatureSamples } from "../../core/analysis/sample_statistics.ts";
import type { FiringSimilarities } from "../../core/analysis/similarity.ts";
import type { CharacteristicToken } from "../../core/analysis/token_profile.ts";
import type { StoredAttribution } from "../../core/runs/attribution.ts";
import type { StoredCoherence } from "../../core/runs/coherence.ts";
import type { TranscoderConfig } from "../../core/runs/config.ts";
import type { StoredEvaluation } from "../../core/runs/evaluation.ts";
import type { StoredImportance } from "../../core/runs/importance.ts";
import type { TranscoderName } from "../../core/runs/ids.ts";
import type { Figure } from "./data.ts";

/** What a run holds of a transcoder; what it lacks, or holds damaged, is null. */
export interface Held {
  /** Path of its directory. */
  readonly directory: string;
  /** What it is called among those that are browsed. */
  readonly name: TranscoderName;
  /** config.json. */
  readonly config: TranscoderConfig;
  /** evaluation.json. */
  readonly evaluation: StoredEvaluation | null;
  /** features.csv. */
  readonly features: readonly FeatureRow[] | null;
  /** importance.json. */
  readonly importance: StoredImportance | null;
  /** attribution.json. */
  readonly attribution: StoredAttribution | null;
  /** coherence.json. */
  readonly coherence: StoredCoherence | null;
  /** record.safetensors, with its columns. */
  readonly recorded: { readonly record: FeatureRecord; readonly columns: ActivationColumns } | null;
  /** What is not there, with what makes it; in a command, HERE of data.ts stands for the directory. */
  readonly missing: readonly { readonly what: string; readonly command: string }[];
}

/** What a table of all features is made of. */
export interface Overviewed {
  /** All features at a glance. */
  readonly overview: FeaturesOverview;
  /** [features] the tokens that each is known by. */
  readonly known: readonly (readonly CharacteristicToken[])[];
  /** The tree; null where there is one group. */
  readonly hierarchy: Hierarchy | null;
  /** Features that fire together. */
  readonly clusters: FeatureClusters;
}

/** What the pages of single features are made of, beside that. */
export interface Compared {
  /** How alike features fire. */
  readonly firing: FiringSimilarities;
  /** How features fire. */
  readonly patterns: readonly FeaturePattern[];
}

/** What the weights say by themselves. */
export interface DictionaryShape {
  /** [features] those whose decoder rows have the largest cosines. */
  readonly neighbours: readonly (readonly Neighbour[])[];
  /** The features in two dimensions. */
  readonly map: FeatureMap;
}

/** One feature in all that knows it. */
export interface KnownFeature {
  /** On the reading set; undefined without a record. */
  readonly overview: FeatureOverview | undefined;
  /** In the final pass; undefined where there is no features.csv. */
  readonly row: FeatureRow | undefined;
  /** Its samples; undefined where they were not read. */
  readonly samples: FeatureSamples | undefined;
  /** What it fires under. */
  readonly parent: Parent | null;
}

/**
 * A number as JSON can carry it.
 *
 * @param value The number.
 * @param digits Significant digits that are kept.
 * @returns The number; null where it is not finite.
 */
export function figureOf(value: number | null | undefined, digits = 4): Figure {
  return value === null || value === undefined || !Number.isFinite(value) ? null : Number(value.toPrecision(digits));
}
