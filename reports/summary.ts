/**
 * What `mtc report` prints: a verdict per layer and the files, for a reader or for a program.
 * @module
 */
import type { LayerAnalysis } from "../core/runs/analysed.ts";
import { successChecks, verdict } from "./checks.ts";
import { counted } from "./format.ts";

/** One line per layer, then the files. */
export function textSummary(layers: LayerAnalysis[], files: string[]): string {
  return [
    ...layers.map((layer) => `Layer ${layer.config.layer}: ${verdict(layer).sentence.replaceAll("**", "")}`),
    `Wrote ${counted(files.length, "file")}; begin with ${files[files.length - 1]}`,
  ].join("\n");
}

/** The same as indented JSON; a metric that is NaN becomes null. */
export function jsonSummary(layers: LayerAnalysis[], files: string[], notes: string[]): string {
  const summary = {
    layers: layers.map((layer) => {
      const { config, evaluation } = layer;
      const { level, sentence } = verdict(layer);
      return {
        layer: config.layer,
        run: layer.path,
        verdict: level,
        sentence: sentence.replaceAll("**", ""),
        fvu: evaluation.fvu,
        fvu_ci95: evaluation.fvu_ci95,
        l0: evaluation.l0,
        k: config.k,
        dead_features: evaluation.dead_features,
        dead_fraction: evaluation.dead_fraction,
        checks: successChecks(layer).map(({ id, passed, requirement, found }) => ({ id, passed, requirement, found })),
      };
    }),
    files,
    left_out: notes,
  };
  return JSON.stringify(summary, null, 2);
}
