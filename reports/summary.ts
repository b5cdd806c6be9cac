/**
 * What `mtc report` prints: a verdict per transcoder and the files, for a reader or for a program.
 * @module
 */
import type { TranscoderAnalysis } from "../core/runs/analysed.ts";
import { successChecks, verdict } from "./checks.ts";
import { counted } from "./format.ts";
import { missingAnalyses } from "./markdown/missing.ts";

/** One line per transcoder, then the files. */
export function textSummary(transcoders: readonly TranscoderAnalysis[], files: string[]): string {
  return [
    ...transcoders.map((transcoder) =>
      `${transcoder.name.title}: ${verdict(transcoder).sentence.replaceAll("**", "")}`
    ),
    `Wrote ${counted(files.length, "file")}; begin with ${files[files.length - 1]}`,
  ].join("\n");
}

/** The same as indented JSON; a metric that is NaN becomes null. */
export function jsonSummary(transcoders: readonly TranscoderAnalysis[], files: string[], notes: string[]): string {
  const summary = {
    layers: transcoders.map((transcoder) => {
      const { config, evaluation } = transcoder;
      const { level, sentence } = verdict(transcoder);
      return {
        layer: config.layer,
        name: transcoder.name.file,
        run: transcoder.path,
        verdict: level,
        sentence: sentence.replaceAll("**", ""),
        fvu: evaluation.fvu,
        fvu_ci95: evaluation.fvu_ci95,
        l0: evaluation.l0,
        k: config.k,
        dead_features: evaluation.dead_features,
        dead_fraction: evaluation.dead_fraction,
        checks: successChecks(transcoder).map(({ id, passed, requirement, found }) => ({
          id,
          passed,
          requirement,
          found,
        })),
        not_analysed: missingAnalyses(transcoder),
      };
    }),
    files,
    left_out: notes,
  };
  return JSON.stringify(summary, null, 2);
}
