/**
 * What can be said of a transcoder from its record and its weights alone: computed anew for each report, with nothing of the record kept but its
 * tokens, so that the records of many transcoders are never in memory together.
 * @module
 */

import {
  clusterFeatures,
  type CoactivationGraph,
  coactivationGraph,
  type FeatureClusters,
} from "../analysis/clusters.ts";
import type { FeatureProgress } from "../analysis/coactivation.ts";
import { directionsOf } from "../analysis/directions.ts";
import { type FeaturesOverview, featuresOverview } from "../analysis/feature_overview.ts";
import { type FeaturePattern, featurePatterns } from "../analysis/feature_patterns.ts";
import { type Hierarchy, hierarchy } from "../analysis/hierarchy.ts";
import { columnsOf, type FeatureRecord, type RecordedTokens } from "../analysis/record.ts";
import { type CharacteristicToken, characteristicTokens } from "../analysis/token_profile.ts";
import { featureCount } from "../transcoder/shape.ts";
import type { Transcoder } from "../transcoder/weights.ts";

/** What a transcoder does on the reading set of its run. */
export interface RecordedAnalysis {
  /** The tokens of the reading set. */
  readonly tokens: RecordedTokens;
  /** [features] the tokens that each is known by, the most characteristic first. */
  readonly knownBy: readonly (readonly CharacteristicToken[])[];
  /** All features at a glance. */
  readonly overview: FeaturesOverview;
  /** What there is of a hierarchy; null where there is one group. */
  readonly hierarchy: Hierarchy | null;
  /** How features fire, and in what company. */
  readonly patterns: RecordedPatterns;
}

/** How features fire, and in what company. */
export interface RecordedPatterns {
  /** All features, in their order. */
  readonly patterns: readonly FeaturePattern[];
  /** Features that fire together in groups. */
  readonly clusters: FeatureClusters;
  /** Pairs that fire together more often than by chance. */
  readonly graph: CoactivationGraph;
}

/** Runs an analysis and shows how far it is, under a few words that say what is being done. */
export type Visibly = <T>(label: string, analyze: (onProgress: FeatureProgress) => T) => T;

/**
 * Analyses what a transcoder does on its reading set.
 *
 * @param record What it does there.
 * @param transcoder The transcoder.
 * @param visibly Shows how far each analysis is.
 * @returns The analyses.
 */
export function analyzeRecord(
  record: FeatureRecord,
  { weights, shape }: Transcoder,
  visibly: Visibly = (_, analyze) => analyze(() => {}),
): RecordedAnalysis {
  const features = featureCount(shape.groups), decoder = directionsOf(weights.decoder, shape.d_out);
  const { context, documents, place, id, tokenTexts, document, position } = record;
  return {
    tokens: { context, documents, place, id, tokenTexts, document, position },
    knownBy: characteristicTokens(columnsOf(record, features), record),
    overview: featuresOverview(record),
    hierarchy: shape.groups.length < 2
      ? null
      : visibly("looking for parents", (onProgress) => hierarchy(record, decoder, onProgress)),
    patterns: {
      patterns: visibly("patterns", (onProgress) => featurePatterns(record, features, onProgress)),
      clusters: visibly("clusters", (onProgress) => clusterFeatures(record, features, onProgress)),
      graph: visibly("company", (onProgress) => coactivationGraph(record, features, onProgress)),
    },
  };
}
