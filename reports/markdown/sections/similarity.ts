/**
 * How alike features are: by what they write and read, and by when they fire.
 * @module
 */
import { filesOf } from "../../file_names.ts";
import { similarityFigure } from "../../plots/similarity.ts";
import {
  absorbedTable,
  bandTable,
  mapSentences,
  nearestTable,
  pairTable,
  SHOWN,
  SIMILARITY_NOTES,
  similaritySentences,
  wordsSentence,
  writtenSentence,
} from "../../similarity_table.ts";
import { visibleToken } from "../../tokens.ts";
import { type Figure, image, type RecordedTranscoder, type Section, wordsOf } from "./section.ts";

/** The section. */
export function similaritySection(transcoder: RecordedTranscoder): Section {
  const { recorded, config, name } = transcoder, { firing, dictionary, patterns } = recorded;
  const { nearest, duplicates, absorbed } = firing, words = wordsOf(transcoder);
  const isCompared = typeof dictionary !== "string", cosines = isCompared ? dictionary : undefined;
  const ofCluster = (cluster: number) =>
    patterns.clusters.clusters[cluster].tokens.map(({ id }) => visibleToken(words.token(id))).join(" ");
  const figure: Figure = {
    file: filesOf(name).similarity,
    shows: isCompared
      ? "Four panels: the largest clusters as a matrix, all features as a map, the nearest feature by cosine and by correlation beside chance"
      : "Two panels: the largest clusters as a matrix, the nearest feature by correlation beside chance",
    spec: similarityFigure(name, config, recorded, ofCluster),
  };
  return {
    title: "Similarity",
    parts: [
      ...isCompared ? [] : [`What features write and read was not compared: ${dictionary}.`],
      nearestTable({ ...cosines, firing }),
      ...cosines ? [bandTable(cosines)] : [],
      similaritySentences({ ...cosines, firing }).join(" "),
      image(figure),
      [
        ...writtenSentence(patterns.written),
        ...cosines ? mapSentences(cosines.map) : [],
      ].join(" "),
      ...nearest.length === 0 ? [] : ["Features that fire most alike:", pairTable(nearest.slice(0, SHOWN), words.name)],
      ...duplicates.length === 0 ? [] : ["Duplicates:", pairTable(duplicates.slice(0, SHOWN), words.name)],
      ...absorbed.length === 0
        ? []
        : ["Features that fire only where another does:", absorbedTable(firing, words.name)],
      ...nearest.length + absorbed.length === 0 ? [] : [wordsSentence(firing)],
      SIMILARITY_NOTES,
    ].filter((part) => part !== ""),
    figures: [figure],
  };
}
