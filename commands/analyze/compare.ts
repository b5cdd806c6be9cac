/**
 * `mtc analyze compare`: two transcoders on the same tokens.
 * @module
 */

import { Command } from "commander";
import { UserError } from "../../core/errors.ts";
import type { ToldComparison } from "../../reports/compared.ts";
import { movedDataOption, movedModelOption } from "../options.ts";
import { type Analysed, type CsvRow, type OutputOptions, outputOptions, print } from "./output.ts";
import { counterpart, openRecorded, type Recorded } from "./recorded.ts";
import type { Moved } from "./reading.ts";

interface CompareOptions extends OutputOptions, Moved {
  equalL0?: true;
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

function csvRows({ result: { sides: [, { run }], matching: { mutual } } }: Analysed<ToldComparison>): CsvRow[] {
  return mutual.map((pair) => ({ against: run, ...pair }));
}

async function compare(first: string, second: string, options: CompareOptions): Promise<void> {
  const { comparisonText } = await import("../../reports/comparison_text.ts");
  const { compareRecorded } = await import("./compared.ts");
  const as = await openRecorded({ ...options, run: first }, "<a>");
  const bs = await openRecorded({ ...options, run: second }, "<b>");
  const pairs = as.map((a) => [a, bs.length === 1 ? bs[0] : counterpart(a.transcoder, bs, second)] as const);
  for (const [a, b] of pairs) requireOther(a, b);
  const analysed: Analysed<ToldComparison>[] = [];
  for (const [a, b] of pairs) {
    const result = await compareRecorded({
      ...{ a, b, model: options.equalL0 ? "equal L0" : "gain", moved: options },
      leaveOut(what, error) {
        // What was asked for by name is no less than the answer.
        if (what === "FVU at equal L0") throw error;
        console.error(`mtc: without ${what}: ${error.message}`);
      },
    });
    analysed.push({ transcoder: a.transcoder, result });
  }
  await print(first, options, analysed, ({ result }) => comparisonText(result), csvRows);
}

/** The command `mtc analyze compare`. */
export function compareCommand(): Command {
  const [json, csv] = outputOptions("a row per pair of features that are each other's best,");
  return new Command("compare")
    .description(
      "Compares two transcoders on the same tokens, whatever layer, source, size or seed they are of: what each leaves unexplained, which features " +
        "are found in the other and which are one's own, how features of an earlier layer go on in a later one, and how many, how specialised and " +
        "how nested they are, beside what chance gives. Of two runs, those of the same layer and source are compared.",
    )
    .argument("<a>", "a transcoder's directory, or a run's")
    .argument("<b>", "another one's")
    .option(
      "--equal-l0",
      "measure what the one with more active features leaves unexplained with as many as the other has, where that was not measured yet; this " +
        "takes the model, and is kept",
    )
    .addOption(movedModelOption())
    .addOption(movedDataOption())
    .addOption(json)
    .addOption(csv)
    .addHelpText(
      "after",
      "\nExamples:\n  mtc analyze compare runs/first/layer2 runs/first/layer4\n" +
        "  mtc train --name other --seed 1 && mtc analyze compare runs/first runs/other\n" +
        "  mtc analyze compare runs/small runs/large --equal-l0",
    )
    .action(compare);
}
