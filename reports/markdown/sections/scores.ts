/**
 * The scores of the original project, under its names.
 * @module
 */
import { scoresTable } from "../../scores_table.ts";
import { bullets } from "../markdown.ts";
import type { RecordedTranscoder, Section } from "./section.ts";

/** The section. */
export function scoresSection({ recorded: { scores, dictionary } }: RecordedTranscoder): Section {
  const title = "Scores of the Original Project";
  if (scores === null) return { title, parts: [`They were not computed: ${dictionary}.`], figures: [] };
  return {
    title,
    parts: [
      "These are computed as the original project did, so that its figures can be compared, under its names. None of them says how good a " +
      "transcoder is; what each cannot say stands below, what chance gives beside it.",
      scoresTable(scores),
      bullets(Object.entries(scores.definitions).map(([name, sentence]) => `\`${name}\`: ${sentence}`)),
    ],
    figures: [],
  };
}
