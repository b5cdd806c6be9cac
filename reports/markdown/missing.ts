/**
 * What the reports do not say of a transcoder because nobody has asked for it yet, and how to ask.
 * @module
 */
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
  { path, evaluation, importance }: Pick<TranscoderAnalysis, "path" | "evaluation" | "importance">,
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
  ];
  return optional.filter(({ isThere }) => !isThere).map(({ command, answers }) => {
    return { command: `${command} --run ${path}`, answers };
  });
}
