/**
 * Whether features stand for more than their tokens.
 * @module
 */
import {
  coherenceGroups,
  coherenceNotes,
  coherenceSentence,
  coherenceTable,
  coherentFeatures,
  EXPLAINED_LEAD,
  EXPLAINED_SHOWN,
  explainedFeatures,
  SHOWN,
} from "../../coherence_table.ts";
import { bullets } from "../markdown.ts";
import { coherenceOf, type RecordedTranscoder, type Section, wordsOf } from "./section.ts";

/** The section. */
export function coherenceSection(transcoder: RecordedTranscoder): Section {
  const { config: { groups }, path } = transcoder,
    coherence = coherenceOf(transcoder),
    title = "Semantic Coherence",
    words = wordsOf(transcoder);
  if (coherence === undefined) {
    return { title, parts: [`Not measured here: \`mtc analyze coherence --run ${path}\` does it.`], figures: [] };
  }
  const coherent = coherentFeatures(coherence), explained = explainedFeatures(coherence);
  return {
    title,
    parts: [
      coherenceSentence(coherence),
      coherenceGroups(coherence, groups),
      ...coherent.length === 0 ? [] : [
        "The most coherent features beyond chance:",
        coherenceTable(coherent.slice(0, SHOWN), words),
      ],
      ...explained.length === 0 ? [] : [
        EXPLAINED_LEAD,
        coherenceTable(explained.slice(0, EXPLAINED_SHOWN), words),
      ],
      bullets(coherenceNotes(coherence)),
    ],
    figures: [],
  };
}
