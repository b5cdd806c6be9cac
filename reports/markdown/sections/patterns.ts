/**
 * How features fire, and in what company.
 * @module
 */
import {
  clusterSentence,
  clusterTable,
  edgeTable,
  graphSentence,
  groupTable,
  PATTERN_NOTES,
  remarkableFeatures,
  remarkableTable,
  SHOWN,
} from "../../patterns_table.ts";
import { tokenCode, visibleToken } from "../../tokens.ts";
import { filesOf } from "../../file_names.ts";
import { patternsFigure } from "../../plots/patterns.ts";
import { type Figure, image, type RecordedTranscoder, type Section, wordsOf } from "./section.ts";

/** The section. */
export function patternsSection(transcoder: RecordedTranscoder): Section {
  const { config, recorded: { patterns: found, knownBy }, name } = transcoder, { groups } = config;
  const { patterns, clusters, graph } = found, words = wordsOf(transcoder), remarkable = remarkableFeatures(patterns);
  const tokens = (feature: number) => knownBy[feature].map(({ id }) => visibleToken(words.token(id))).join(" ");
  const figure: Figure = {
    file: filesOf(name).patterns,
    shows: "Six panels: clusters, company, bursts, places in the context, documents, and the shape of activations",
    spec: patternsFigure(name, config, found, tokens),
  };
  return {
    title: "Patterns and Company",
    parts: [
      groupTable({ groups, patterns }),
      image(figure),
      ...remarkable.length === 0 ? [] : [
        "Features that go furthest, of those that fire on ten tokens or more:",
        remarkableTable(remarkable, words),
      ],
      clusterSentence(clusters),
      ...clusters.clusters.length === 0 ? [] : [clusterTable(clusters.clusters.slice(0, SHOWN), words, tokenCode)],
      graphSentence(graph),
      ...graph.edges.length === 0 ? [] : [edgeTable(graph, words)],
      PATTERN_NOTES,
    ],
    figures: [figure],
  };
}
