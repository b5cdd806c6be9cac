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
import { tokenCode } from "../../tokens.ts";
import { type RecordedTranscoder, type Section, wordsOf } from "./section.ts";

/** The section. */
export function patternsSection(transcoder: RecordedTranscoder): Section {
  const { config: { groups }, recorded: { patterns: { patterns, clusters, graph } } } = transcoder;
  const words = wordsOf(transcoder), remarkable = remarkableFeatures(patterns);
  return {
    title: "Patterns and Company",
    parts: [
      groupTable({ groups, patterns }),
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
    figures: [],
  };
}
