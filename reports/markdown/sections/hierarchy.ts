/**
 * Whether the nested groups make a hierarchy.
 * @module
 */
import { hierarchyVerdict } from "../../../core/analysis/hierarchy.ts";
import { filesOf } from "../../file_names.ts";
import { counted, integer } from "../../format.ts";
import {
  familyTable,
  groupTable,
  HIERARCHY_NOTES,
  hierarchyAnswers,
  orderTable,
  parentTable,
  SHOWN,
  verdictSentences,
} from "../../hierarchy_table.ts";
import { nameOf } from "../../feature_names.ts";
import { hierarchyFigure } from "../../plots/hierarchy.ts";
import { type Figure, image, type RecordedTranscoder, type Section, wordsOf } from "./section.ts";

const QUESTION =
  "Do the nested groups give a useful hierarchy, and can related features be grouped by it? A feature's parent is the feature of an " +
  "earlier group that becomes likelier by most where it fires, if that is beyond chance.";

/** The section. */
export function hierarchySection(transcoder: RecordedTranscoder): Section {
  const { recorded: { hierarchy: found, flat, knownBy }, path, config } = transcoder, title = "Hierarchy";
  if (found === null) {
    return { title, parts: ["The dictionary has one group, so that there is none to look for."], figures: [] };
  }
  const { name, token } = wordsOf(transcoder),
    { families } = found,
    parents = found.parents.filter((one) => one !== null);
  const told = { ...found, parents, flat, verdict: hierarchyVerdict(found, flat && flat.parents) };
  const split = families.filter(({ is_split }) => is_split).length;
  const figures: Figure[] = families.length === 0 ? [] : [{
    file: filesOf(transcoder.name).hierarchy,
    shows: "Trees of the largest families: parents, their strongest children, and the tokens that each is known by",
    spec: hierarchyFigure(transcoder.name, config, found, (feature) => nameOf(knownBy[feature], token)),
  }];
  return {
    title,
    parts: [
      QUESTION,
      ...hierarchyAnswers(told).map(({ lead, text }) => `**${lead}** ${text}`),
      groupTable(told),
      orderTable(told),
      verdictSentences(told, `\`mtc analyze hierarchy --run ${path} --against RUN\``).join(" "),
      ...families.length === 0 ? [] : [
        `${counted(families.length, "family", "families")} of a parent with two children or more; in ${
          integer(split)
        } the children together cover half of what chance leaves of the parent's firings: it is split into them. The largest:`,
        ...figures.map(image),
        familyTable(families.slice(0, SHOWN), name),
      ],
      ...parents.length === 0 ? [] : [
        "The children that are most where their parents are:",
        parentTable(parents, name),
      ],
      HIERARCHY_NOTES,
    ],
    figures,
  };
}
