/**
 * What is particular about a layer.
 * @module
 */
import { LAYER_DEFINITIONS, leadingOf } from "../../../core/analysis/layer.ts";
import {
  explainedTable,
  FEATURE_KIND_NAMES,
  featureTable,
  kindSentence,
  kindTable,
  layerNotes,
  leastElsewhere,
  linkSentence,
  otherTable,
  ownSentence,
  SHOWN,
} from "../../layer_table.ts";
import { bullets } from "../markdown.ts";
import { type RecordedTranscoder, type Section, wordsOf } from "./section.ts";

/** The section. */
export function layerSection(transcoder: RecordedTranscoder): Section {
  const { recorded: { layer }, attribution = null } = transcoder, { features, others, kinds } = layer;
  const { name } = wordsOf(transcoder), told = { attribution, others }, least = leastElsewhere(features);
  return {
    title: "Tokens, Context and Other Layers",
    parts: [
      kindSentence(layer),
      ...features.length === 0 ? [] : [
        kindTable(layer),
        explainedTable(layer),
        linkSentence(layer),
        ...kinds.filter((one) => one.features > 0).flatMap(({ kind }) => [
          `The strongest that are ${FEATURE_KIND_NAMES[kind]}:`,
          featureTable(leadingOf(features.filter((one) => one.kind === kind), SHOWN), told, name),
        ]),
      ],
      ownSentence(layer),
      ...others.length > 0 ? [otherTable(layer)] : [],
      ...least.length > 0
        ? ["Those that other layers have least:", featureTable(least.slice(0, SHOWN), told, name)]
        : [],
      bullets(layerNotes({ definitions: LAYER_DEFINITIONS })),
    ],
    figures: [],
  };
}
