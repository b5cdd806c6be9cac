/**
 * index.md: one line per transcoder and a link to every file.
 * @module
 */
import { COMPARED_ALL, isTrainedHere, type TranscoderAnalysis } from "../../core/runs/analysed.ts";
import type { TrainingSoFar } from "../../core/runs/so_far.ts";
import type { Sweep } from "../../core/runs/sweeps.ts";
import { verdict } from "../checks.ts";
import type { ReportedPair } from "../compared.ts";
import { filesOf, pairFiles, SWEEP_FILES, TASK_FILES } from "../file_names.ts";
import { integer, timestamp } from "../format.ts";
import { recoveredShares } from "../loss_table.ts";
import { checklist, itemLine } from "./checklist.ts";
import { bullets, code, document, plain } from "./markdown.ts";
import { standing } from "./training_so_far.ts";

/** What the reports are about. */
export interface ReportInput {
  /** The transcoders, in the order of the reports. */
  transcoders: readonly TranscoderAnalysis[];
  /** Those whose training has not ended; none if left out. */
  unfinished?: readonly TrainingSoFar[];
  /** Comparisons of those pairs that `pairsToCompare` gives. */
  comparisons: readonly ReportedPair[];
  /** The sweeps among the transcoders. */
  sweeps: readonly Sweep[];
  /** A sentence for every transcoder that was left out. */
  notes: string[];
  /** Whether a page about the tasks of sweeps stands beside it. */
  hasTasks?: boolean;
  /** When the reports are made; the only thing in them that is not a function of the runs. */
  generated: Date;
}

const TITLE = "# Analysis Results";

const COMPARISON_RULE =
  "Of the transcoders of one run that differ only in dictionary, k, learning rate or seed, as members of a sweep do, the " +
  `first stands for all. Of what is left, up to ${
    integer(COMPARED_ALL)
  } are compared each with each, more each with the next.`;

const CHECKLIST_RULE =
  "From the plan for layer 17. A tick says that what is asked is there for every transcoder and holds; an open box says for which " +
  "it does not, or what would tick it.";

const link = (text: string, file: string) => `[${text}](${file})`;

/** The page that links all reports. */
export function indexPage(
  { transcoders, unfinished = [], comparisons, sweeps, notes, hasTasks = false, generated }: ReportInput,
): string {
  return document([
    TITLE,
    `**Generated on:** ${timestamp(generated)}`,
    sweeps.length > 0 &&
    `${link("Sweep report", SWEEP_FILES.report)} · ${link("FVU against active features", SWEEP_FILES.plot)}`,
    hasTasks && link("Tasks of sweeps", TASK_FILES.report),
    ...transcoders.flatMap((transcoder) => {
      const files = filesOf(transcoder.name);
      return [
        `## ${transcoder.name.title}`,
        verdict(transcoder).sentence,
        [
          link("Analysis report", files.report),
          ...transcoder.recorded
            ? [link("what it does", files.interpretability), link("feature analysis", files.features)]
            : [],
          link("training summary", files.summary),
          link("overview", files.overview),
          link("activation against frequency", files.scatter),
          ...isTrainedHere(transcoder) ? [link("training curves", files.curves)] : [],
          ...transcoder.evaluation.loss ? [link("FVU and loss recovered", files.prefixes)] : [],
        ].join(" · "),
      ];
    }),
    ...unfinished.flatMap((transcoder) => {
      const files = filesOf(transcoder.name);
      return [
        `## ${transcoder.name.title}, So Far`,
        standing(transcoder),
        `${link("Training so far", files.soFar)} · ${link("curves", files.curvesSoFar)}`,
      ];
    }),
    ...atOnce(transcoders),
    // Of no transcoder anything would hold.
    ...transcoders.length > 0
      ? [
        "## Checklist",
        CHECKLIST_RULE,
        ...checklist({ transcoders, comparisons }).flatMap((
          { title, items },
        ) => [`### ${title}`, bullets(items.map(itemLine))]),
      ]
      : [],
    transcoders.length > 1 && "## Comparisons",
    leavesPairsOut(transcoders, comparisons) && COMPARISON_RULE,
    bullets(comparisons.map(({ a, b, told }) => {
      const files = pairFiles(a.name, b.name);
      return `${link(`${a.name.title} vs ${b.name.phrase}`, files.comparison)} · ${link("plot", files.plot)}${
        told ? ` · ${link("features found again", files.matching)}` : ""
      }`;
    })),
    notes.length > 0 && "## Runs Left Out",
    bullets(notes.map(plain)),
  ]);
}

function leavesPairsOut({ length }: readonly TranscoderAnalysis[], comparisons: readonly ReportedPair[]): boolean {
  return comparisons.length < length * (length - 1) / 2;
}

/** What a model keeps with several transcoders of a run in place, once for each run where that was measured. */
function atOnce(transcoders: readonly TranscoderAnalysis[]): string[] {
  const lines = transcoders.flatMap(({ config, evaluation: { loss } }) => {
    const { replacement_model: team } = loss ?? {};
    if (team === undefined) return [];
    const members = team.transcoders.map(code).join(" and ");
    return [
      `${plain(config.model.name)} with ${members} in place at once recovers ${
        recoveredShares(team.per_prefix)
      } of what zeros cost its loss.`,
    ];
  });
  return lines.length > 0 ? ["## Several In Place", bullets([...new Set(lines)])] : [];
}

/** Tells a page of {@link indexPage} from somebody else's index.md. */
export function isIndexPage(text: string): boolean {
  return text.startsWith(`${TITLE}\n\n**Generated on:** `);
}
