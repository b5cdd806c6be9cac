/**
 * index.md: one line per layer and a link to every file.
 * @module
 */
import type { LayerAnalysis } from "../../core/runs/analysed.ts";
import { verdict } from "../checks.ts";
import { layerFiles, pairFiles } from "../file_names.ts";
import { timestamp } from "../format.ts";
import { bullets, document } from "./markdown.ts";

const TITLE = "# Analysis Results";

const link = (text: string, file: string) => `[${text}](${file})`;

/** The page that links all reports. `notes` are the runs that were left out, one sentence each. */
export function indexPage(layers: LayerAnalysis[], notes: string[], generated: Date): string {
  const pairs = pairsOf(layers);
  return document([
    TITLE,
    `**Generated on:** ${timestamp(generated)}`,
    ...layers.flatMap((layer) => {
      const files = layerFiles(layer.config.layer);
      return [
        `## Layer ${layer.config.layer}`,
        verdict(layer).sentence,
        [
          link("Analysis report", files.report),
          link("training summary", files.summary),
          link("overview", files.overview),
          link("activation against frequency", files.scatter),
          link("training curves", files.curves),
        ].join(" · "),
      ];
    }),
    pairs.length > 0 && "## Comparisons",
    bullets(pairs.map(([a, b]) => {
      const files = pairFiles(a.config.layer, b.config.layer);
      return `${link(`Layer ${a.config.layer} vs layer ${b.config.layer}`, files.comparison)} · ${
        link("plot", files.plot)
      }`;
    })),
    notes.length > 0 && "## Runs Left Out",
    bullets(notes),
  ]);
}

/** Tells a page of {@link indexPage} from somebody else's index.md. */
export function isIndexPage(text: string): boolean {
  return text.startsWith(`${TITLE}\n\n**Generated on:** `);
}

/** Every pair of layers, the shallower one first; `layers` ascend. */
export function pairsOf(layers: LayerAnalysis[]): [LayerAnalysis, LayerAnalysis][] {
  return layers.flatMap((a, i) => layers.slice(i + 1).map((b): [LayerAnalysis, LayerAnalysis] => [a, b]));
}
