/**
 * All features at a glance: how strong, how frequent, on which tokens, and what the reconstruction loses without each.
 * @module
 */
import { filesOf } from "../../file_names.ts";
import {
  bandTable,
  FEATURE_NOTES,
  featureTable,
  NOT_READ,
  overviewSentences,
  ranked,
  READS_NOTE,
  surroundingsNote,
  surroundingsTable,
} from "../../features_table.ts";
import { featuresFigure } from "../../plots/features.ts";
import { tokenCode } from "../../tokens.ts";
import { type Figure, image, type RecordedTranscoder, type Section, wordsOf } from "./section.ts";

/** Features that are listed by how often they fire. */
const BY_FIRES = 10;

/** The section. */
export function featuresSection(transcoder: RecordedTranscoder): Section {
  const { recorded: { overview, around }, name, attribution } = transcoder, { bands, fixed_bands, features } = overview;
  const words = wordsOf(transcoder), needed = ranked(features, "fvu-rise").filter(({ feature }) => around.has(feature));
  const measured = new Map(attribution?.features.map(({ feature, tokens, cosine }) => [feature, { tokens, cosine }]));
  const surroundings = {
    around: (feature: number) => around.get(feature)!,
    readsWrites: (feature: number) => measured.get(feature),
    written: tokenCode,
  };
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
        "How, where and among which words they fire, and what they read and write:",
        surroundingsTable(needed, surroundings),
        surroundingsNote(overview),
        needed.some(({ feature }) => measured.get(feature)?.tokens) ? READS_NOTE : NOT_READ,
        "Those that fire most often:",
        featureTable(ranked(features, "fires").slice(0, BY_FIRES), words),
        FEATURE_NOTES,
      ],
    ],
    figures: [figure],
  };
}
