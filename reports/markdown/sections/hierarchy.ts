/**
 * Whether the nested groups make a hierarchy.
 * @module
 */
import { hierarchyVerdict } from "../../../core/analysis/hierarchy.ts";
import { counted, integer } from "../../format.ts";
import {
  familyTable,
  groupTable,
  HIERARCHY_NOTES,
  orderTable,
  parentTable,
  SHOWN,
  verdictSentences,
} from "../../hierarchy_table.ts";
import { type RecordedTranscoder, type Section, wordsOf } from "./section.ts";

/** The section. */
export function hierarchySection(transcoder: RecordedTranscoder): Section {
  const { recorded: { hierarchy: found }, path } = transcoder, title = "Hierarchy";
  if (found === null) {
    return { title, parts: ["The dictionary has one group, so that there is none to look for."], figures: [] };
  }
  const { name } = wordsOf(transcoder), { families } = found, parents = found.parents.filter((one) => one !== null);
  const told = { ...found, parents, flat: null, verdict: hierarchyVerdict(found, null) };
  const split = families.filter(({ is_split }) => is_split).length;
  return {
    title,
    parts: [
      groupTable(told),
      orderTable(told),
      verdictSentences(told, `\`mtc analyze hierarchy --run ${path} --against RUN\``).join(" "),
      ...families.length === 0 ? [] : [
        `${counted(families.length, "family", "families")} of a parent with two children or more; in ${
          integer(split)
        } the children together cover half of what chance leaves of the parent's firings: it is split into them. The largest:`,
        familyTable(families.slice(0, SHOWN), name),
      ],
      ...parents.length === 0 ? [] : [
        "The children that are most where their parents are:",
        parentTable(parents, name),
      ],
      HIERARCHY_NOTES,
    ],
    figures: [],
  };
}
