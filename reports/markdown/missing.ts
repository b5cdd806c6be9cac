/**
 * What the reports do not say of a transcoder because it was not made, why, and how to have it.
 * @module
 */
import { residualSum } from "../../core/model/residual.ts";
import type { ModelAnalysis, TranscoderAnalysis } from "../../core/runs/analysed.ts";

/** An analysis that a run lacks. */
export interface MissingAnalysis {
  /** The command that makes it. */
  command: string;
  /** What it would say. */
  answers: string;
  /** Why the report did not make it, as a clause; empty where it was not to. */
  why: string;
}

/** The analyses that are not there. Those that need no more than the run's files are made on the way and never missing. */
export function missingAnalyses(
  { path, config: { source }, evaluation, importance, attribution, coherence, recorded, reasons }: Pick<
    TranscoderAnalysis,
    "path" | "config" | "evaluation" | "importance" | "attribution" | "coherence" | "recorded" | "reasons"
  >,
): MissingAnalysis[] {
  const optional: { analysis: ModelAnalysis; isThere: boolean; command: string; answers: string }[] = [
    {
      analysis: "record",
      isThere: recorded !== undefined,
      command: "mtc analyze features",
      answers: "what its features do on the reading set of the run: their tokens, hierarchy and company",
    },
    {
      analysis: "loss",
      isThere: evaluation.loss !== undefined,
      command: "mtc evaluate --loss",
      answers: "what the model's predictions lose with the transcoder in the place of what it predicts",
    },
    {
      analysis: "importance",
      isThere: importance !== undefined,
      command: "mtc analyze importance",
      answers: "which features matter to the model's predictions",
    },
    {
      analysis: "attribution",
      // Of other sources it could not be made.
      isThere: attribution !== undefined || residualSum(source) === null,
      command: "mtc analyze attribution",
      answers: "what features are made of, and the tokens that they read and write",
    },
    {
      analysis: "coherence",
      isThere: coherence !== undefined,
      command: "mtc analyze coherence",
      answers: "whether features stand for more than their tokens",
    },
  ];
  return optional.filter(({ isThere }) => !isThere).map(({ analysis, command, answers }) => {
    return { command: `${command} --run ${path}`, answers, why: reasons[analysis] ?? "" };
  });
}

/** One of them in a sentence, behind its command. */
export function missingSentence({ answers, why }: MissingAnalysis): string {
  return why === "" ? answers : `${answers} (not made here: ${why})`;
}
