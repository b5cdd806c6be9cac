/**
 * `mtc analyze patterns`: how features fire, and in what company.
 * @module
 */

import type { Command } from "commander";
import type { ToldPatterns } from "../../reports/patterns_table.ts";
import { type Analysed, type CsvRow, print } from "./output.ts";
import { openRecorded, type Recorded, recordedCommand, type RecordedOptions, visibly } from "./recorded.ts";

async function analyze({ transcoder: { name, config }, record }: Recorded): Promise<ToldPatterns> {
  const { clusterFeatures, coactivationGraph, companyOf } = await import("../../core/analysis/clusters.ts");
  const { featurePatterns } = await import("../../core/analysis/feature_patterns.ts");
  const { features, groups } = config, { title } = name, company = companyOf(record, features);
  return {
    ...{ tokens: record.place.length, groups },
    patterns: visibly(`${title}: patterns`, (onProgress) => featurePatterns(record, features, onProgress)),
    clusters: visibly(`${title}: clusters`, (onProgress) => clusterFeatures(record, features, onProgress, company)),
    graph: visibly(`${title}: company`, (onProgress) => coactivationGraph(record, features, onProgress, company)),
  };
}

function csvRows({ result: { groups, patterns, clusters: { clusters } } }: Analysed<ToldPatterns>): CsvRow[] {
  const groupOf = groups.flatMap((size, group) => new Array<number>(size).fill(group));
  const clusterOf = new Map(clusters.flatMap(({ features }, n) => features.map((feature) => [feature, n + 1])));
  return patterns.map(({ feature, position_profile, ...one }) => ({
    ...{ feature, group: groupOf[feature], ...one },
    ...Object.fromEntries(position_profile.map((share, part) => [`position_${part + 1}`, share])),
    cluster: clusterOf.get(feature) ?? null,
  }));
}

async function patterns(options: RecordedOptions): Promise<void> {
  const { featureNames } = await import("../../reports/feature_names.ts");
  const { patternsText } = await import("../../reports/patterns_table.ts");
  const recorded = await openRecorded(options), analysed: Analysed<ToldPatterns>[] = [];
  for (const one of recorded) analysed.push({ transcoder: one.transcoder, result: await analyze(one) });
  const text = ({ transcoder, result }: Analysed<ToldPatterns>) => {
    const { record } = recorded.find((one) => one.transcoder === transcoder)!;
    const words = { name: featureNames(record), token: (id: number) => record.tokenTexts.get(id)! };
    return `${transcoder.name.title}: ${patternsText(result, words)}`;
  };
  await print(options.run, options, analysed, text, csvRows);
}

/** The command `mtc analyze patterns`. */
export function patternsCommand(): Command {
  return recordedCommand(
    "patterns",
    "Measures how features fire: how their activations are distributed, whether in bursts, where in a context, in how many documents; and in " +
      "what company: clusters of features that fire alike, and pairs that fire together beyond chance.",
    "a row per feature",
  )
    .addHelpText(
      "after",
      "\nThe 4,096 features that fire most are clustered; all others are measured too.\n" +
        "\nExamples:\n  mtc analyze patterns --run runs/first/layer2\n" +
        "  mtc analyze patterns --run runs/first --csv > patterns.csv",
    )
    .action(patterns);
}
