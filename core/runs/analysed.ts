/**
 * Everything the reports say about one layer, computed once from the files of its run.
 * @module
 */
import { type TrainingCourse, trainingCourse } from "../analysis/convergence.ts";
import { type FeatureStatistics, featureStatistics } from "../analysis/feature_statistics.ts";
import { readRun, readSamples } from "./files.ts";
import type { RunFiles } from "./files.ts";
import { type SampleStatistics, sampleStatistics } from "../analysis/sample_statistics.ts";
import { type TranscoderTensors, type WeightStatistics, weightStatistics } from "../analysis/weight_statistics.ts";

/** A run's files with what was computed from them. */
export interface LayerAnalysis extends RunFiles {
  /** Statistics of the weights. */
  weights: WeightStatistics;
  /** Statistics over the features. */
  statistics: FeatureStatistics;
  /** Tokens and contexts from the samples. */
  samples: SampleStatistics;
  /** The course of the training. */
  course: TrainingCourse;
}

/**
 * Reads a finished run and computes what the reports need.
 * @param path the layer's directory
 * @param tensors reads the weights, given the run's widths and feature count
 * @param examples how many of the strongest features keep their contexts
 * @throws {UserError} when a file is missing, cut off, or does not fit the others.
 */
export async function analyzeLayer(
  path: string,
  tensors: (config: RunFiles["config"]) => Promise<TranscoderTensors>,
  examples: number,
): Promise<LayerAnalysis> {
  const run = await readRun(path);
  const weights = weightStatistics(await tensors(run.config));
  const statistics = featureStatistics(run.features, run.config);
  const wanted = new Set(statistics.strongest.slice(0, examples).map((row) => row.feature));
  return {
    ...run,
    weights,
    statistics,
    samples: await sampleStatistics(readSamples(path, run.config), wanted),
    course: trainingCourse(run.metrics, run.config),
  };
}
