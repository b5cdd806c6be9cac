/**
 * What the reports do not say of a transcoder because nobody has asked for it yet, and how to ask.
 * @module
 */
import { residualSum } from "../../core/model/residual.ts";
import type { TranscoderAnalysis } from "../../core/runs/analysed.ts";

/** An analysis that a run has not been asked for. */
export interface MissingAnalysis {
  /** The command that makes it. */
  command: string;
  /** What it would say. */
  answers: string;
}

/** The analyses that are not there. Those that need no more than the run's files are made on the way and never missing. */
export function missingAnalyses(
  { path, config: { source }, evaluation, importance, attribution }: Pick<
    TranscoderAnalysis,
    "path" | "config" | "evaluation" | "importance" | "attribution"
  >,
): MissingAnalysis[] {
  const optional = [
    {
      isThere: evaluation.loss !== undefined,
      command: "mtc evaluate --loss",
      answers: "what the model's predictions lose with the transcoder in the place of what it predicts",
    },
    {
      isThere: importance !== undefined,
      command: "mtc analyze importance",
      answers: "which features matter to the model's predictions",
    },
    {
      // Of other sources it could not be made.
      isThere: attribution !== undefined || residualSum(source) === null,
      command: "mtc analyze attribution",
      answers: "what features are made of, and the tokens that they read and write",
    },
  ];
  return optional.filter(({ isThere }) => !isThere).map(({ command, answers }) => {
    return { command: `${command} --run ${path}`, answers };
  });
}
