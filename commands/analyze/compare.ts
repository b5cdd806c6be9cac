/**
 * `mtc analyze compare`: which features of one transcoder are found again in another.
 * @module
 */

import { Command } from "commander";
import type { FeatureRecord } from "../../core/analysis/record.ts";
import { UserError } from "../../core/errors.ts";
import type { ComparedSide, ToldMatching } from "../../reports/matching_table.ts";
import { movedDataOption, movedModelOption } from "../options.ts";
import { type Analysed, type CsvRow, type OutputOptions, outputOptions, print } from "./output.ts";
import { counterpart, openRecorded, type Recorded, visibly } from "./recorded.ts";
import type { Moved } from "./records.ts";

type CompareOptions = OutputOptions & Moved;

async function sideOf({ transcoder: { directory, config } }: Recorded, record: FeatureRecord): Promise<ComparedSide> {
  const { prefixFvus } = await import("../../core/analysis/record.ts");
  return {
    ...{ run: directory, groups: config.groups, fvus: prefixFvus(record) },
    l0: record.index.length / record.place.length,
  };
}

function requireOther(a: Recorded, b: Recorded): void {
  if (a.transcoder.directory !== b.transcoder.directory) return;
  throw new UserError({
    action: `compare ${a.transcoder.directory}`,
    requirement: "there must be two transcoders",
    found: "both are this one",
    remedy: "name the directories of two transcoders, or of two runs",
  });
}

async function analyze(a: Recorded, b: Recorded): Promise<ToldMatching> {
  const { matchFeatures, sameTokens } = await import("../../core/analysis/matching.ts");
  const shared = sameTokens(a.record, b.record);
  if (shared === null || shared[0].place.length === 0) {
    throw new UserError({
      action: `compare ${a.transcoder.directory} with ${b.transcoder.directory}`,
      requirement: "both must have been recorded on the same tokens",
      found: "their reading sets have others",
      remedy: "compare runs on the same text with the same tokenizer and --context",
    });
  }
  return {
    sides: [await sideOf(a, shared[0]), await sideOf(b, shared[1])],
    matching: visibly(
      `${a.transcoder.name.title}: matching features`,
      (onProgress) => matchFeatures(...shared, onProgress),
    ),
  };
}

function csvRows({ result: { sides: [, { run }], matching: { mutual } } }: Analysed<ToldMatching>): CsvRow[] {
  return mutual.map((pair) => ({ against: run, ...pair }));
}

async function compare(first: string, second: string, options: CompareOptions): Promise<void> {
  const { featureNames } = await import("../../reports/feature_names.ts");
  const { matchingText } = await import("../../reports/matching_table.ts");
  const as = await openRecorded({ ...options, run: first }), bs = await openRecorded({ ...options, run: second });
  const pairs = as.map((a) => [a, bs.length === 1 ? bs[0] : counterpart(a.transcoder, bs, second)] as const);
  for (const [a, b] of pairs) requireOther(a, b);
  const analysed: Analysed<ToldMatching>[] = [];
  for (const [a, b] of pairs) analysed.push({ transcoder: a.transcoder, result: await analyze(a, b) });
  const text = ({ transcoder, result }: Analysed<ToldMatching>) => {
    const [a, b] = pairs.find(([a]) => a.transcoder === transcoder)!;
    return matchingText(result, [featureNames(a.record), featureNames(b.record)]);
  };
  await print(first, options, analysed, text, csvRows);
}

/** The command `mtc analyze compare`. */
export function compareCommand(): Command {
  const [json, csv] = outputOptions("a row per pair of features that are each other's best,");
  return new Command("compare")
    .description(
      "Matches the features of two transcoders by their activations on the same tokens, whatever layer, size or seed they are of, beside what " +
        "chance gives: which are found in the other, and which are one's own. Of two runs, those of the same layer and source are compared.",
    )
    .argument("<a>", "a transcoder's directory, or a run's")
    .argument("<b>", "another one's")
    .addOption(movedModelOption())
    .addOption(movedDataOption())
    .addOption(json)
    .addOption(csv)
    .addHelpText(
      "after",
      "\nExamples:\n  mtc analyze compare runs/first/layer2 runs/first/layer4\n" +
        "  mtc train --name other --seed 1 && mtc analyze compare runs/first runs/other",
    )
    .action(compare);
}
