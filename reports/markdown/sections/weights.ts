/**
 * What the weights look like.
 * @module
 */
import { filesOf } from "../../file_names.ts";
import { weightsFigure } from "../../plots/weights.ts";
import {
  directionTable,
  lengthTable,
  similarBandTable,
  similarNote,
  similarTable,
  tensorTable,
  toldWeights,
  WEIGHT_NOTES,
  weightSentences,
} from "../../weights_table.ts";
import { type Figure, image, type RecordedTranscoder, type Section } from "./section.ts";

/** The section. */
export function weightsSection({ recorded: { dictionary }, config, name }: RecordedTranscoder): Section {
  const title = "Weights";
  if (typeof dictionary === "string") {
    return { title, parts: [`The weights were not analysed: ${dictionary}.`], figures: [] };
  }
  const { similar, weights } = dictionary, told = toldWeights(weights, similar);
  const figure: Figure = {
    file: filesOf(name).weights,
    shows:
      "Six panels: the elements of the four tensors, how long the features' rows are, how far they write what they read",
    spec: weightsFigure(name, config, dictionary),
  };
  return {
    title,
    parts: [
      tensorTable(told),
      image(figure),
      lengthTable(told.groups),
      directionTable(told.groups),
      weightSentences(told).join(" "),
      "Pairs of rows in the bands of the original project, and the nearest rows:",
      similarBandTable(similar),
      similarTable(similar),
      similarNote(similar),
      WEIGHT_NOTES,
    ],
    figures: [figure],
  };
}
