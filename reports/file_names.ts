/**
 * The names of the files that a report consists of.
 * @module
 */
import type { TranscoderName } from "../core/runs/ids.ts";

/** The files about one transcoder. */
export function filesOf({ file }: TranscoderName): {
  report: string;
  overview: string;
  scatter: string;
  features: string;
  featuresFigure: string;
  similarity: string;
  weights: string;
  hierarchy: string;
  patterns: string;
  interpretability: string;
  interpretabilityFigure: string;
  summary: string;
  curves: string;
  soFar: string;
  curvesSoFar: string;
  prefixes: string;
  importance: string;
  attribution: string;
} {
  return {
    report: `${file}_analysis_report.md`,
    overview: `${file}_analysis_overview.png`,
    scatter: `${file}_activation_vs_samples.png`,
    features: `${file}_feature_analysis.md`,
    featuresFigure: `${file}_features.png`,
    similarity: `${file}_similarity.png`,
    weights: `${file}_weights.png`,
    hierarchy: `${file}_hierarchy.png`,
    patterns: `${file}_patterns.png`,
    interpretability: `${file}_interpretability_report.md`,
    interpretabilityFigure: `${file}_interpretability.png`,
    summary: `${file.toUpperCase()}_TRAINING_SUMMARY.md`,
    curves: `${file}_training_curves.png`,
    soFar: `${file.toUpperCase()}_TRAINING_SO_FAR.md`,
    curvesSoFar: `${file}_training_so_far.png`,
    prefixes: `${file}_prefixes.png`,
    importance: `${file}_importance.png`,
    attribution: `${file}_attribution.png`,
  };
}

/** The files about two transcoders, in the order of the report. */
export function pairFiles(
  a: TranscoderName,
  b: TranscoderName,
): { comparison: string; plot: string; matching: string } {
  const both = `${a.file}_vs_${b.file}`;
  return { comparison: `${both}_comparison.md`, plot: `${both}_comparison.png`, matching: `${both}_matching.png` };
}

/** The files about all sweeps. */
export const SWEEP_FILES = { report: "sweep_report.md", plot: "sweep_pareto.png" } as const;
/** The files about the tasks of sweeps. */
export const TASK_FILES = {
  report: "sweep_tasks.md",
  pareto: "sweep_tasks_pareto.png",
  layers: "sweep_tasks_layers.png",
  tasks: "sweep_tasks.csv",
  transcoders: "sweep_transcoders.csv",
} as const;
