/**
 * <transcoder>_feature_analysis.md: what the features of one transcoder do on the reading set of its run.
 * @module
 */
import type { TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { filesOf } from "../file_names.ts";
import { counted, integer, percent } from "../format.ts";
import { provenance } from "./analysis_report.ts";
import { bullets, document } from "./markdown.ts";
import { absorptionSection } from "./sections/absorption.ts";
import { coherenceSection } from "./sections/coherence.ts";
import { featuresSection } from "./sections/features.ts";
import { hierarchySection } from "./sections/hierarchy.ts";
import { layerSection } from "./sections/layer.ts";
import { patternsSection } from "./sections/patterns.ts";
import { scoresSection } from "./sections/scores.ts";
import type { RecordedTranscoder, Section } from "./sections/section.ts";
import { similaritySection } from "./sections/similarity.ts";
import { weightsSection } from "./sections/weights.ts";

/** The sections, in the order of the page. */
const SECTIONS: readonly ((transcoder: RecordedTranscoder) => Section)[] = [
  featuresSection,
  similaritySection,
  weightsSection,
  hierarchySection,
  patternsSection,
  coherenceSection,
  layerSection,
  scoresSection,
  absorptionSection,
];

/** The sections of a transcoder; none where it has no record. */
export function featureSections(transcoder: TranscoderAnalysis): Section[] {
  return hasRecord(transcoder) ? SECTIONS.map((section) => section(transcoder)) : [];
}

/** Whether a transcoder has a record. */
export function hasRecord(transcoder: TranscoderAnalysis): transcoder is RecordedTranscoder {
  return transcoder.recorded !== undefined;
}

/** What was read, so that a reader knows what all figures are of. */
function readingSet({ recorded }: TranscoderAnalysis): string {
  const { document, documents, place, context } = recorded!.tokens;
  const contexts = new Set(place.map((at) => Math.floor(at / context))).size;
  const heldOut = document.reduce((sum, at) => documents[at].split === "train" ? sum : sum + 1, 0);
  return `All figures are of the reading set: ${counted(place.length, "token")} in ${counted(contexts, "context")} of ${
    counted(new Set(document).size, "document")
  }, drawn evenly from all of the text, ${
    percent(heldOut / place.length)
  } of them held out of training. It is the same for every run on this text with contexts of ${
    integer(context)
  } tokens. What is called chance is named where it stands; a sentence that says beyond chance could have said that it is not.`;
}

/**
 * The page.
 *
 * @param transcoder One with a record.
 * @param sections Its {@link featureSections}.
 * @param generated When the reports are made.
 * @returns Markdown.
 */
export function featureAnalysisPage(
  transcoder: TranscoderAnalysis,
  sections: readonly Section[],
  generated: Date,
): string {
  const files = filesOf(transcoder.name);
  return document([
    `# ${transcoder.name.title} Feature Analysis`,
    provenance(transcoder, generated),
    readingSet(transcoder),
    ...sections.flatMap(({ title, parts }) => [`## ${title}`, ...parts]),
    "## Files",
    bullets([
      ...sections.flatMap(({ figures }) => figures.map(({ file, shows }) => `[\`${file}\`](${file}): ${shows}`)),
      `[\`${files.report}\`](${files.report}): what this transcoder is and how good it is`,
      `\`${files.features}\`: this page`,
    ]),
  ]);
}
