/**
 * Whether features of a letter leave out words that others have taken over.
 * @module
 */
import { tapName } from "../../../core/model/sites.ts";
import { absorptionNotes, absorptionSentence, absorptionTable, meanSentence, SHOWN } from "../../absorption_table.ts";
import { tokenCode } from "../../tokens.ts";
import { bullets } from "../markdown.ts";
import type { RecordedTranscoder, Section } from "./section.ts";

/** The section. */
export function absorptionSection({ absorption, path, config }: RecordedTranscoder): Section {
  return {
    title: "First-Letter Absorption",
    parts: absorption === undefined ? [`Not measured: \`mtc analyze absorption --run ${path}\` does it.`] : [
      absorptionSentence(absorption, tapName(config.source)),
      meanSentence(absorption),
      ...absorption.mean === null ? [] : [absorptionTable(absorption, SHOWN, tokenCode)],
      bullets(absorptionNotes([absorption])),
    ],
    figures: [],
  };
}
