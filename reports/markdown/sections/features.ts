/**
 * All features at a glance: how strong, how frequent, on which tokens, and what the reconstruction loses without each.
 * @module
 */
import { filesOf } from "../../file_names.ts";
import { bandTable, FEATURE_NOTES, featureTable, overviewSentences, ranked } from "../../features_table.ts";
import { featuresFigure } from "../../plots/features.ts";
import { type Figure, image, type RecordedTranscoder, type Section, wordsOf } from "./section.ts";

/** Features that are listed by what FVU loses without them, and by how often they fire. */
const BY_FVU = 20, BY_FIRES = 10;

/** The section. */
export function featuresSection(transcoder: RecordedTranscoder): Section {
  const { recorded: { overview }, name } = transcoder, { bands, fixed_bands, features } = overview;
  const words = wordsOf(transcoder), needed = ranked(features, "fvu-rise").slice(0, BY_FVU);
  const figure: Figure = {
    file: filesOf(name).featuresFigure,
    shows:
      "Four panels: how often and how strongly features fire, their tokens beside chance, what FVU loses without them",
    spec: featuresFigure(transcoder, overview),
  };
  return {
    title: "All Features",
    parts: [
      overviewSentences(overview).join(" "),
      image(figure),
      ...needed.length === 0 ? [] : [
        bandTable(bands, "by quantiles"),
        ...fixed_bands.length > 0 ? [bandTable(fixed_bands, "of the original project")] : [],
        "The features that the reconstruction needs most:",
        featureTable(needed, words),
        "Those that fire most often:",
        featureTable(ranked(features, "fires").slice(0, BY_FIRES), words),
        FEATURE_NOTES,
      ],
    ],
    figures: [figure],
  };
}
