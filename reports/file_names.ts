/**
 * The names of the files that a report consists of.
 * @module
 */

/** The files about one layer. */
export function layerFiles(layer: number): {
  report: string;
  overview: string;
  scatter: string;
  summary: string;
  curves: string;
} {
  return {
    report: `layer${layer}_analysis_report.md`,
    overview: `layer${layer}_analysis_overview.png`,
    scatter: `layer${layer}_activation_vs_samples.png`,
    summary: `LAYER${layer}_TRAINING_SUMMARY.md`,
    curves: `layer${layer}_training_curves.png`,
  };
}

/** The files about two layers, the shallower one first. */
export function pairFiles(a: number, b: number): { comparison: string; plot: string } {
  return { comparison: `layer${a}_vs_layer${b}_comparison.md`, plot: `layer${a}_vs_layer${b}_comparison.png` };
}
