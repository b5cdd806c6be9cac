/**
 * index.md: one line per transcoder and a link to every file.
 * @module
 */
import type { ComparedPair, TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { verdict } from "../checks.ts";
import { filesOf, pairFiles } from "../file_names.ts";
import { timestamp } from "../format.ts";
import { recoveredShares } from "../loss_table.ts";
import { bullets, document, plain } from "./markdown.ts";

const TITLE = "# Analysis Results";

const link = (text: string, file: string) => `[${text}](${file})`;

/** The page that links all reports. `notes` are the transcoders that were left out, one sentence each. */
export function indexPage(
  transcoders: readonly TranscoderAnalysis[],
  comparisons: readonly ComparedPair[],
  notes: string[],
  generated: Date,
): string {
  return document([
    TITLE,
    `**Generated on:** ${timestamp(generated)}`,
    ...transcoders.flatMap((transcoder) => {
      const files = filesOf(transcoder.name);
      return [
        `## ${transcoder.name.title}`,
        verdict(transcoder).sentence,
        [
          link("Analysis report", files.report),
          link("training summary", files.summary),
          link("overview", files.overview),
          link("activation against frequency", files.scatter),
          link("training curves", files.curves),
          ...transcoder.evaluation.loss ? [link("FVU and loss recovered", files.prefixes)] : [],
        ].join(" · "),
      ];
    }),
    ...atOnce(transcoders),
    comparisons.length > 0 && "## Comparisons",
    bullets(comparisons.map(({ a, b }) => {
      const files = pairFiles(a.name, b.name);
      return `${link(`${a.name.title} vs ${b.name.phrase}`, files.comparison)} · ${link("plot", files.plot)}`;
    })),
    notes.length > 0 && "## Runs Left Out",
    bullets(notes),
  ]);
}

/** What a model keeps with several transcoders of a run in place, once for each run where that was measured. */
function atOnce(transcoders: readonly TranscoderAnalysis[]): string[] {
  const lines = transcoders.flatMap(({ config, evaluation: { loss } }) => {
    const { replacement_model: team } = loss ?? {};
    if (team === undefined) return [];
    const members = team.transcoders.map((mapping) => `\`${mapping}\``).join(" and ");
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
