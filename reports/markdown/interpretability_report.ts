/**
 * <transcoder>_interpretability_report.md: what a layer does, in a page, each finding with what speaks for it and what would speak against it.
 * @module
 */
import type { TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { otherLayers } from "../../core/runs/other_layers.ts";
import { filesOf } from "../file_names.ts";
import { chosenFeatures, chosenTable } from "../findings/chosen_features.ts";
import type { Finding, KnownLayer } from "../findings/finding.ts";
import { answersOf } from "../findings/findings.ts";
import { interpretabilityFigure } from "../plots/interpretability.ts";
import { counted, list, percent } from "../format.ts";
import { provenance } from "./analysis_report.ts";
import { bullets, document } from "./markdown.ts";
import { missingAnalyses } from "./missing.ts";
import { coherenceOf, type Figure, image, type RecordedTranscoder, wordsOf } from "./sections/section.ts";

/** What is known of a transcoder's layer, beside the others of a report. */
export function knownLayer(transcoder: RecordedTranscoder, all: readonly TranscoderAnalysis[]): KnownLayer {
  const { name, attribution, importance, recorded } = transcoder, words = wordsOf(transcoder);
  const coherence = coherenceOf(transcoder);
  const others = otherLayers<TranscoderAnalysis>(transcoder, all).flatMap(({ name, recorded }) =>
    recorded ? [{ name: name.phrase, layer: recorded.layer }] : []
  );
  return { name, attribution, importance, coherence, recorded, others, named: words.name, context: words.context };
}

/** The figure of the page. */
export function interpretabilityPlot(known: KnownLayer): Figure {
  return {
    file: filesOf(known.name).interpretabilityFigure,
    shows: "What tells features and what lifts them, coherence beside chance, and how far another layer has them",
    spec: interpretabilityFigure(known),
  };
}

/** How much of the layer the page speaks of. */
function extent({ evaluation: { fvu, loss }, config: { targets } }: TranscoderAnalysis): string {
  const site = list(targets.map(({ site, layer }) => `\`layer${layer}.${site}\``)), whole = loss?.per_prefix.at(-1);
  return `It speaks of what the transcoder predicts of ${site}: ${percent(fvu)} of the variance stays unexplained${
    whole ? `, ${percent(whole.recovered_zero)} of the loss is recovered with it in place` : ""
  }. Of the rest it says nothing.`;
}

function findingText({ said, chance, doubt, wrong }: Finding, index: number): string {
  return [
    `${index + 1}. ${said}`,
    `   - Held against: ${chance}`,
    `   - How sure: ${doubt}`,
    `   - What would show it wrong: ${wrong}`,
  ].join("\n");
}

/** The page. */
export function interpretabilityReport(
  transcoder: RecordedTranscoder,
  known: KnownLayer,
  figure: Figure,
  generated: Date,
): string {
  const { name, recorded: { layer } } = transcoder,
    files = filesOf(name),
    { told, untold, unanswered } = answersOf(known);
  const chosen = chosenFeatures(known);
  const missing = missingAnalyses(transcoder).map(({ command }) => `\`${command}\``);
  return document([
    `# What ${name.phrase} Does`,
    provenance(transcoder, generated),
    `This page asks twelve questions of ${name.phrase} and tells ${
      counted(told.length, "answer")
    } by fixed rules, each of which could have come out otherwise: what was found, what it is held against, how sure it is, and what would show it wrong. ${
      extent(transcoder)
    } Judged are ${counted(layer.features.length, "feature")} that fire on ten tokens or more of the reading set.`,
    "## Findings",
    told.length > 0
      ? told.map(findingText).join("\n")
      : "None: no question could be answered of features that do not fire.",
    image(figure),
    ...chosen.length === 0 ? [] : [
      "## Features to Begin With",
      "Those that predictions miss most, the most coherent beyond chance, those that other layers have least, and the parent of the largest family, three of each " +
      "at most, by rule:",
      chosenTable(chosen, known),
    ],
    "## What This Page Cannot Say",
    bullets([
      ...unanswered.length === 0 ? [] : [
        `Not answered here, for want of figures or of another layer: ${list(unanswered)}.${
          missing.length > 0 ? ` ${list(missing)} would measure what is missing.` : ""
        }`,
      ],
      ...untold.length === 0 ? [] : [`Answered in the other reports, and left out of this page: ${list(untold)}.`],
      "That another dictionary of the same layer would give the same features: another seed shows it (`mtc train --seed 1`, `mtc analyze compare`).",
      "That a feature means what its tokens and contexts suggest: a reader's name for it is a guess until the feature has been switched off and set " +
      "(`mtc ablate`, `mtc steer`).",
    ]),
    "## Files",
    bullets([
      `[\`${files.features}\`](${files.features}): every feature, with neighbours, groups and patterns`,
      `[\`${files.report}\`](${files.report}): how good the transcoder is`,
      `[\`${figure.file}\`](${figure.file}): ${figure.shows}`,
    ]),
  ]);
}
