/**
 * What can be said of a transcoder from its record and its weights alone: computed anew for each report, with nothing of the record kept but its
 * tokens, so that the records of many transcoders are never in memory together.
 * @module
 */

import {
  clusterFeatures,
  type CoactivationGraph,
  coactivationGraph,
  companyOf,
  type FeatureClusters,
} from "../analysis/clusters.ts";
import { type ClusterMatrix, clusterMatrix, type WrittenAlike, writtenAlike } from "../analysis/cluster_matrix.ts";
import type { FeatureProgress } from "../analysis/coactivation.ts";
import { directionsOf } from "../analysis/directions.ts";
import type { FeatureMap } from "../analysis/feature_map.ts";
import { type FeaturesOverview, featuresOverview } from "../analysis/feature_overview.ts";
import { type FeaturePattern, featurePatterns } from "../analysis/feature_patterns.ts";
import { densityParents, type FlatFigures, type Hierarchy, hierarchy } from "../analysis/hierarchy.ts";
import type { ParentFigures } from "../analysis/parents.ts";
import { analyseLayer, type LayerAnalysis, type LayerInput } from "../analysis/layer.ts";
import { type OriginalScores, originalScores } from "../analysis/original_scores.ts";
import { columnsOf, type FeatureRecord, type RecordedTokens } from "../analysis/record.ts";
import type { SimilarRows } from "../analysis/similar_rows.ts";
import {
  type Cosines,
  type FiringSimilarities,
  firingSimilarities,
  type FiringSimilarity,
} from "../analysis/similarity.ts";
import { type SurroundingWords, surroundingWords } from "../analysis/surrounding_words.ts";
import { type CharacteristicToken, characteristicTokens } from "../analysis/token_profile.ts";
import type { GroupHistograms, WeightAnalysis } from "../analysis/weight_groups.ts";
import { featureCount } from "../transcoder/shape.ts";
import type { Transcoder } from "../transcoder/weights.ts";

/** Features that the reconstruction needs most, of which the words around are kept. */
export const NEEDED_MOST = 20;

/** The cosines of a dictionary's rows without the lists of neighbours, beside those of random directions. */
export interface TalliedCosines {
  /** Of the rows. */
  readonly cosines: Omit<Cosines, "neighbours">;
  /** Of as many random directions with the same second moment. */
  readonly by_chance: Omit<Cosines, "neighbours">;
}

/** What the weights of a dictionary say by themselves; all pairs of its rows were compared for it. */
export interface DictionaryAnalysis {
  /** What features write. */
  readonly decoder: TalliedCosines;
  /** What features read. */
  readonly encoder: TalliedCosines;
  /** Rows that are alike. */
  readonly similar: { readonly decoder: SimilarRows; readonly encoder: SimilarRows };
  /** Statistics of the tensors, of the dictionary and of each group. */
  readonly weights: WeightAnalysis;
  /** Lengths and alignment of each group. */
  readonly groups: GroupHistograms;
  /** The features in two dimensions. */
  readonly map: FeatureMap;
}

/** What a transcoder does on the reading set of its run. */
export interface RecordedAnalysis {
  /** The tokens of the reading set. */
  readonly tokens: RecordedTokens;
  /** [features] the tokens that each is known by, the most characteristic first. */
  readonly knownBy: readonly (readonly CharacteristicToken[])[];
  /** All features at a glance. */
  readonly overview: FeaturesOverview;
  /** The words around the strongest firings of the {@link NEEDED_MOST} features without which FVU rises most. */
  readonly around: ReadonlyMap<number, SurroundingWords>;
  /** How alike features fire. */
  readonly firing: RecordedFiring;
  /** What the weights say by themselves; a clause why not where their rows were not compared. */
  readonly dictionary: DictionaryAnalysis | string;
  /** The original project's own scores; null where rows were not compared. */
  readonly scores: OriginalScores | null;
  /** Active features per token. */
  readonly l0: number;
  /** What there is of a hierarchy; null where there is one group. */
  readonly hierarchy: Hierarchy | null;
  /** What there is of one without nesting, of a transcoder that is the same otherwise; null where none is known. */
  readonly flat: FlatFigures | null;
  /** Parents once its features are in other groups by how often they fire, by those groups' sizes, joined by commas. */
  readonly regrouped: ReadonlyMap<string, ParentFigures>;
  /** How features fire, and in what company. */
  readonly patterns: RecordedPatterns;
  /** What is particular about its layer. */
  readonly layer: LayerAnalysis;
}

/** How features fire, and in what company. */
export interface RecordedPatterns {
  /** All features, in their order. */
  readonly patterns: readonly FeaturePattern[];
  /** Features that fire together in groups. */
  readonly clusters: FeatureClusters;
  /** Pairs that fire together more often than by chance. */
  readonly graph: CoactivationGraph;
  /** The largest clusters beside each other. */
  readonly matrix: ClusterMatrix;
  /** Whether features of one cluster write alike. */
  readonly written: WrittenAlike;
}

/** How alike features fire, without the lists of neighbours. */
export interface RecordedFiring extends Omit<FiringSimilarities, "correlation" | "jaccard"> {
  /** Pearson's correlation of activations. */
  readonly correlation: Omit<FiringSimilarity, "neighbours">;
  /** Tokens on which both fire by those on which at least one does. */
  readonly jaccard: Omit<FiringSimilarity, "neighbours">;
}

/** Runs an analysis and shows how far it is, under a few words that say what is being done. */
export type Visibly = <T>(label: string, analyze: (onProgress: FeatureProgress) => T) => T;

/** What is known of a transcoder besides its record. */
export interface RecordedBesides {
  /** What its weights say by themselves, or why that is not known. */
  readonly dictionary: DictionaryAnalysis | string;
  /** Groups that its features are put into by how often they fire, so that nested transcoders can be held against it; none if left out. */
  readonly regroupings?: readonly (readonly number[])[];
  /** What its features are made of; undefined where that was not measured. */
  readonly attribution?: LayerInput["attribution"];
  /** How other layers have its features; none if left out. */
  readonly others?: LayerInput["others"];
}

/** What is taken of a transcoder beside its record. */
export interface AnalysedTranscoder extends Pick<Transcoder, "shape"> {
  /** What its features write; its rows are scaled to unit length where they lie, as a large matrix is not to be held twice. */
  readonly weights: Pick<Transcoder["weights"], "decoder">;
}

/**
 * Analyses what a transcoder does on its reading set.
 *
 * @param record What it does there.
 * @param transcoder The transcoder; its decoder is overwritten.
 * @param besides What is known of it besides.
 * @param visibly Shows how far each analysis is.
 * @returns The analyses.
 */
export function analyzeRecord(
  record: FeatureRecord,
  { weights, shape }: AnalysedTranscoder,
  { dictionary, regroupings = [], attribution, others = [] }: RecordedBesides,
  visibly: Visibly = (_, analyze) => analyze(() => {}),
): RecordedAnalysis {
  const features = featureCount(shape.groups), decoder = directionsOf(weights.decoder, shape.d_out, weights.decoder);
  const { context, documents, place, id, tokenTexts, document, position } = record;
  const columns = columnsOf(record, features), overview = featuresOverview(record);
  const needed = overview.features.filter(({ fires }) => fires > 0)
    .sort((a, b) => b.fvu_rise - a.fvu_rise || a.feature - b.feature).slice(0, NEEDED_MOST)
    .map(({ feature }) => feature);
  const around = visibly(
    "reading what stands around",
    (onProgress) => surroundingWords(record, columns, needed, onProgress),
  );
  const { correlation: { neighbours: _, ...correlation }, jaccard: { neighbours: __, ...jaccard }, ...firing } =
    visibly("comparing features", (onProgress) => firingSimilarities(record, decoder, onProgress));
  const { clusters, graph } = inCompany(record, features, visibly);
  return {
    tokens: { context, documents, place, id, tokenTexts, document, position },
    knownBy: characteristicTokens(columns, record),
    ...{ overview, dictionary },
    around: new Map(needed.map((feature, n) => [feature, around[n]])),
    firing: { ...firing, correlation, jaccard },
    scores: typeof dictionary === "string" ? null : originalScores(record, dictionary.decoder),
    hierarchy: shape.groups.length < 2
      ? null
      : visibly("looking for parents", (onProgress) => hierarchy(record, decoder, onProgress)),
    l0: record.index.length / place.length,
    flat: null,
    regrouped: new Map(regroupings.map((groups) => [
      groups.join(),
      visibly("looking for parents", (onProgress) => densityParents(record, decoder, groups, onProgress)),
    ])),
    patterns: {
      patterns: visibly("patterns", (onProgress) => featurePatterns(record, features, onProgress)),
      ...{ clusters, graph },
      matrix: clusterMatrix(record, columns, decoder, clusters),
      written: writtenAlike(decoder, clusters),
    },
    layer: visibly(
      "predicting activations",
      (onProgress) => analyseLayer({ record, attribution, others, onProgress }),
    ),
  };
}

/** What is found by the company that features keep; a shuffled record, as large as the record itself, is held for it and no longer. */
function inCompany(
  record: FeatureRecord,
  features: number,
  visibly: Visibly,
): Pick<RecordedPatterns, "clusters" | "graph"> {
  const company = companyOf(record, features);
  return {
    clusters: visibly("clusters", (onProgress) => clusterFeatures(record, features, onProgress, company)),
    graph: visibly("company", (onProgress) => coactivationGraph(record, features, onProgress, company)),
  };
}
