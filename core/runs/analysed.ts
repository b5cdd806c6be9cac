/**
 * What can be said of one finished transcoder. Each file is read and each analysis made when it is first asked for, and once.
 * @module
 */

import { dirname, resolve } from "node:path";
import { compareTranscoders, type TranscoderComparison } from "../analysis/comparison.ts";
import { type MetricsRow, type TrainingCourse, trainingCourse } from "../analysis/convergence.ts";
import type { FeatureRow } from "../analysis/feature_rows.ts";
import { type FeatureStatistics, featureStatistics } from "../analysis/feature_statistics.ts";
import type { LossEvaluation } from "../analysis/loss.ts";
import { type SampleStatistics, sampleStatistics } from "../analysis/sample_statistics.ts";
import { matrixStatistics, type WeightStatistics, weightStatistics } from "../analysis/weight_statistics.ts";
import { tapName } from "../model/sites.ts";
import { onMatrix } from "../transcoder/weights.ts";
import { readAbsorption, type StoredAbsorption } from "./absorption.ts";
import { readAttribution, type StoredAttribution } from "./attribution.ts";
import { checkpointSteps } from "./checkpoints.ts";
import { readCoherence, type StoredCoherence } from "./coherence.ts";
import type { TranscoderConfig } from "./config.ts";
import type { ChosenTranscoder } from "./discovery.ts";
import { readEvaluation, type StoredEvaluation } from "./evaluation.ts";
import { readFeatures } from "./features.ts";
import { readImportance, type StoredImportance } from "./importance.ts";
import type { TranscoderName } from "./ids.ts";
import { withMending } from "./lost_files.ts";
import { readMetrics } from "./metrics.ts";
import type { RecordedAnalysis } from "./recorded.ts";
import { readSamples } from "./samples.ts";
import { openTranscoder } from "./transcoder.ts";

/** What takes the model, and is made once for a transcoder: the reports have what a run has of these. */
export type ModelAnalysis = "record" | "loss" | "importance" | "attribution" | "coherence";

/** Why an analysis that takes the model was not made: a clause, by analysis; empty for what is there, or was not asked for. */
export type Reasons = Readonly<Partial<Record<ModelAnalysis, string>>>;

/** All that the reports say of one transcoder. */
export interface TranscoderAnalysis {
  /** Path of its directory. */
  readonly path: string;
  /** What it is called in these reports. */
  readonly name: TranscoderName;
  /** config.json. */
  readonly config: TranscoderConfig;
  /** metrics.csv; empty for a transcoder that was trained elsewhere. */
  readonly metrics: readonly MetricsRow[];
  /** evaluation.json. */
  readonly evaluation: StoredEvaluation;
  /** features.csv. */
  readonly features: readonly FeatureRow[];
  /** Statistics of the weights. */
  readonly weights: WeightStatistics;
  /** Statistics over the features. */
  readonly statistics: FeatureStatistics;
  /** Tokens and contexts from the samples. */
  readonly samples: SampleStatistics;
  /** The course of the training; null for one that was elsewhere. */
  readonly course: TrainingCourse | null;
  /** The steps of the checkpoints that lie in the run, newest first. */
  readonly checkpoints: readonly number[];
  /** importance.json; undefined where that was not analysed. */
  readonly importance: StoredImportance | undefined;
  /** attribution.json; undefined where that was not analysed. */
  readonly attribution: StoredAttribution | undefined;
  /** absorption.json; undefined where that was not analysed. */
  readonly absorption: StoredAbsorption | undefined;
  /** coherence.json; undefined where that was not analysed. */
  readonly coherence: StoredCoherence | undefined;
  /** What was computed from its record and weights; undefined where there is no record. */
  readonly recorded: RecordedAnalysis | undefined;
  /** Why what is undefined of these was not made for the report. */
  readonly reasons: Reasons;
}

/** One whose training is known here. */
export interface TrainedAnalysis extends TranscoderAnalysis {
  /** The course of its training. */
  readonly course: TrainingCourse;
}

/**
 * Whether the training of a transcoder is known here.
 *
 * @param transcoder The transcoder.
 * @returns False for one that was imported.
 */
export function isTrainedHere<T extends Pick<TranscoderAnalysis, "course">>(
  transcoder: T,
): transcoder is T & Pick<TrainedAnalysis, "course"> {
  return transcoder.course !== null;
}

/** What was made for a report, whether or not the run could take it; what is left out is read from the run. */
export interface MadeAnalyses
  extends Partial<Pick<TranscoderAnalysis, "importance" | "attribution" | "coherence" | "recorded">> {
  /** The model's predictions with the transcoder in place. */
  readonly loss?: LossEvaluation;
  /** Why others were not made. */
  readonly reasons: Reasons;
}

/** Each part of a {@link TranscoderAnalysis} that is read or computed, on demand. They throw a UserError for what cannot be read. */
export type Analyses = {
  readonly [Part in Exclude<keyof TranscoderAnalysis, "path" | "name" | "config" | "recorded" | "reasons">]: () =>
    Promise<
      TranscoderAnalysis[Part]
    >;
};

/**
 * The analyses of a finished transcoder.
 *
 * @param directory Its directory and its config.json.
 * @param examples How many of the strongest features keep their contexts.
 * @returns What can be asked for; nothing is read yet.
 */
export function analysesOf(
  { path, config }: Pick<ChosenTranscoder, "path" | "config">,
  examples: number,
): Analyses {
  const mendable = <T>(read: () => Promise<T>) =>
    once(() => read().catch(async (error) => Promise.reject(await withMending(error, path, config))));
  const metrics = mendable(async () => config.imported ? [] : await readMetrics(path, config.groups));
  const features = mendable(() => readFeatures(path, config.groups));
  const statistics = once(async () => featureStatistics(await features(), config));
  return {
    metrics,
    features,
    statistics,
    evaluation: mendable(() => readEvaluation(path)),
    weights: mendable(async () => {
      // A diverged run's weights are no numbers, which its report says.
      const stored = await openTranscoder(path, config, true), { features } = config;
      const read = await onMatrix(stored, "encoder", (rows) => matrixStatistics(rows, features, "width, features"));
      const written = await onMatrix(stored, "decoder", (rows) => matrixStatistics(rows, features, "features, width"));
      return weightStatistics(stored.weights, read, written);
    }),
    samples: mendable(async () => {
      const { strongest } = await statistics();
      const wanted = new Set(strongest.slice(0, examples).map(({ feature }) => feature));
      return await sampleStatistics(readSamples(path, config.groups), wanted);
    }),
    course: once(async () => config.imported ? null : trainingCourse(await metrics(), config)),
    checkpoints: once(() => checkpointSteps(path)),
    importance: once(() => readImportance(path, config)),
    attribution: once(() => readAttribution(path, config)),
    absorption: once(() => readAbsorption(path, config)),
    coherence: once(() => readCoherence(path, config)),
  };
}

/**
 * Reads a finished transcoder and computes all that the reports need.
 *
 * @param transcoder Its directory, its config.json and its name.
 * @param examples How many of the strongest features keep their contexts.
 * @param made What was made of it for this report.
 * @returns The analysis.
 * @throws {UserError} When a file is missing, cut off, or does not fit the others.
 */
export async function analyzeTranscoder(
  transcoder: ChosenTranscoder,
  examples: number,
  { loss, importance, attribution, coherence, recorded, reasons }: MadeAnalyses = { reasons: {} },
): Promise<TranscoderAnalysis> {
  const { path, name, config } = transcoder, analyses = analysesOf(transcoder, examples);
  return {
    ...{ path, name, config, recorded, reasons },
    evaluation: { ...await analyses.evaluation(), ...loss && { loss } },
    metrics: await analyses.metrics(),
    features: await analyses.features(),
    weights: await analyses.weights(),
    statistics: await analyses.statistics(),
    samples: await analyses.samples(),
    course: await analyses.course(),
    checkpoints: await analyses.checkpoints(),
    importance: importance ?? await analyses.importance(),
    attribution: attribution ?? await analyses.attribution(),
    absorption: await analyses.absorption(),
    coherence: coherence ?? await analyses.coherence(),
  };
}

/** Two analysed transcoders with their comparison. */
export interface ComparedPair extends TranscoderComparison {
  /** The first. */
  readonly a: TranscoderAnalysis;
  /** The second. */
  readonly b: TranscoderAnalysis;
  /** Whether both are of the same model, text and vocabulary, so that token ids and texts mean the same. */
  readonly sameModel: boolean;
}

/** Up to so many transcoders are compared each with each. */
export const COMPARED_ALL = 4;

/**
 * Whether two transcoders are members of one sweep: of one run, and alike in what they map.
 *
 * @param a One.
 * @param b Another.
 * @returns Whether nothing but dictionary, k, learning rate or seed tells them apart.
 */
export function ofOneSweep(
  a: Pick<TranscoderAnalysis, "path" | "config">,
  b: Pick<TranscoderAnalysis, "path" | "config">,
): boolean {
  const taps = ({ config: { source, targets } }: typeof a) => [source, ...targets].map(tapName).join();
  return dirname(resolve(a.path)) === dirname(resolve(b.path)) && taps(a) === taps(b);
}

/**
 * Those that stand for others: the first of each sweep, and all that are of none.
 *
 * @param transcoders Any number of them, in the order of the reports.
 * @returns Some of them, in their order.
 */
export function standingForSweeps<T extends Pick<TranscoderAnalysis, "path" | "config">>(
  transcoders: readonly T[],
): T[] {
  return transcoders.filter((one, i) => !transcoders.slice(0, i).some((other) => ofOneSweep(one, other)));
}

/**
 * The pairs of transcoders that are compared. Of the members of a sweep, which differ in a setting only, the first stands for all, so that
 * those of two layers that meet have the same settings. Of what is left, each is compared with each when they are at most
 * {@link COMPARED_ALL}, else with the next.
 *
 * @param transcoders Any number of them, in the order of the reports.
 * @returns The pairs, in their order.
 */
export function pairsToCompare<T extends Pick<TranscoderAnalysis, "path" | "config">>(
  transcoders: readonly T[],
): [T, T][] {
  const compared = standingForSweeps(transcoders);
  const reach = compared.length > COMPARED_ALL ? 1 : compared.length;
  return compared.flatMap((a, i) => compared.slice(i + 1, i + 1 + reach).map((b): [T, T] => [a, b]));
}

/**
 * Compares two transcoders.
 *
 * @param a The one that comes first in the reports.
 * @param b The other.
 * @returns Both with their comparison.
 */
export function comparePair(a: TranscoderAnalysis, b: TranscoderAnalysis): ComparedPair {
  const text = ({ config: { model, data } }: TranscoderAnalysis) =>
    JSON.stringify([model.name, model.vocab_size, data.name]);
  return { a, b, ...compareTranscoders(a, b), sameModel: text(a) === text(b) };
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => made ??= make();
}
