/**
 * `mtc report`: every report and plot about the runs it finds.
 * @module
 */
import { Command } from "commander";
import { basename, join } from "node:path";
import type { MadeAnalyses, TranscoderAnalysis } from "../core/runs/analysed.ts";
import type { TranscoderConfig } from "../core/runs/config.ts";
import type { ChosenTranscoder, TranscoderChoice, TranscoderDirectory } from "../core/runs/discovery.ts";
import type { Sweep } from "../core/runs/sweeps.ts";
import { printable, UserError } from "../core/errors.ts";
import { fileError, writeFileAtomic } from "../core/files/atomic.ts";
import type { ReportedPair } from "../reports/compared.ts";
import { directoryOption, jsonOption, movedDataOption, movedModelOption } from "./options.ts";
import type { MakeOptions } from "./report/made.ts";

interface ReportOptions extends Omit<MakeOptions, "matchings"> {
  runs: string;
  out: string;
  json?: true;
}

/** A sentence for every transcoder that was found and not reported on. */
function leftOut(
  { passedOver, unfinished }: TranscoderChoice,
  whyUnfinished: (directory: TranscoderDirectory) => { readonly found: string; readonly remedy: string },
  identity: (config: TranscoderConfig) => string,
): string[] {
  return [
    ...passedOver.map(({ older, newer }) =>
      `${older.path} (begun ${older.config.created}) was passed over: ${newer.path} (begun ${newer.config.created}) is the ` +
      `newest run of the same transcoder, ${identity(newer.config)}`
    ),
    ...unfinished.map((directory) => {
      const { found, remedy } = whyUnfinished(directory);
      return `${printable(directory.path)} was skipped: ${found}; ${remedy}`;
    }),
  ];
}

async function requireDirectory(path: string): Promise<void> {
  const info = await Deno.stat(path).catch(() => undefined);
  if (info === undefined || info.isDirectory) return;
  throw new UserError({
    action: `write reports to ${path}`,
    requirement: "it must be a directory",
    found: "it is a file",
    remedy: "choose another --out",
  });
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true });
  } catch (error) {
    throw fileError("make the directory", path, error);
  }
}

/** Makes what the transcoders lack and reads them; those that cannot be read are said and passed over, unless there are no others. */
async function analyze(
  chosen: readonly ChosenTranscoder[],
  options: MakeOptions,
  passOver: (path: string, error: UserError) => void,
): Promise<TranscoderAnalysis[]> {
  const { analyzeTranscoder } = await import("../core/runs/analysed.ts");
  const { withFlat } = await import("../core/runs/flat.ts");
  const { FEATURES_WITH_CONTEXTS } = await import("../reports/markdown/feature_sections.ts");
  const { missingAnalyses } = await import("../reports/markdown/missing.ts");
  const { makeAnalyses } = await import("./report/made.ts");
  const analysed = new Map<ChosenTranscoder, TranscoderAnalysis>();
  const read = async (one: ChosenTranscoder, made: MadeAnalyses) => {
    console.error(`mtc: reading ${one.path}`);
    const transcoder = await analyzeTranscoder(one, FEATURES_WITH_CONTEXTS, made);
    for (const missing of missingAnalyses(transcoder)) {
      console.error(`mtc: not analysed yet: ${missing.answers}; \`${missing.command}\` does it`);
    }
    analysed.set(one, transcoder);
  };
  let first: UserError | undefined;
  for await (const [one, made] of makeAnalyses(chosen, options)) {
    try {
      await read(one, made);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      first ??= error;
      if (chosen.length > 1) passOver(one.path, error);
    }
  }
  if (first && analysed.size === 0) throw first;
  return withFlat(chosen.flatMap((one) => analysed.get(one) ?? []));
}

async function report({ runs, out, json, ...wanted }: ReportOptions): Promise<void> {
  await requireDirectory(out);
  const { earlierFiles, removeEarlier } = await import("./report/earlier.ts");
  const earlier = await earlierFiles(out);
  const { chooseTranscoders, findTranscoders, whyUnfinished } = await import("../core/runs/discovery.ts");
  const { describeId, idOf } = await import("../core/runs/ids.ts");
  const { comparePair, pairsToCompare } = await import("../core/runs/analysed.ts");
  const unreadable: string[] = [];
  const found = await findTranscoders(
    runs,
    (path, { message }) => unreadable.push(`${printable(path)} was skipped: ${message}`),
  );
  const choice = chooseTranscoders(found);
  const notes = [...leftOut(choice, whyUnfinished, (config) => describeId(idOf(config))), ...unreadable];
  for (const note of notes) console.error(`mtc: ${note}`);
  const { Matchings } = await import("./report/made.ts");
  const options = { ...wanted, matchings: new Matchings() };
  const transcoders = await analyze(choice.chosen, options, (path, { message }) => {
    notes.push(`${printable(path)} was skipped: ${message}`);
    console.error(`mtc: ${notes[notes.length - 1]}`);
  });
  const { sweepsOf, withStability } = await import("../core/runs/sweeps.ts");
  const sweeps: Sweep[] = [];
  for (const sweep of sweepsOf(transcoders)) {
    sweeps.push(await withStability(sweep, ({ phrase }) => console.error(`mtc: comparing the seeds of ${phrase}`)));
  }
  const { tellPair } = await import("./report/compared.ts");
  const comparisons: ReportedPair[] = [];
  for (const [a, b] of pairsToCompare(transcoders)) {
    comparisons.push({ ...comparePair(a, b), ...await tellPair(a, b, options) });
  }

  await makeDirectory(out);
  const { reportFiles } = await import("../reports/report_files.ts");
  const { openDrawing } = await import("./report/drawing.ts");
  await using drawing = openDrawing();
  const files: string[] = [], input = { transcoders, comparisons, sweeps, notes, generated: new Date() };
  for await (const { name, content } of reportFiles(input, drawing.draw)) {
    const path = join(out, name);
    if (name === "index.md") {
      const removed = await removeEarlier(out, earlier, [...files.map((file) => basename(file)), name]);
      if (removed.length > 0) {
        console.error(`mtc: removed what an earlier report left in ${out}: ${removed.join(", ")}`);
      }
    }
    await writeFileAtomic(path, content);
    files.push(path);
  }
  const { jsonSummary, textSummary } = await import("../reports/summary.ts");
  console.log(json ? jsonSummary(transcoders, files, notes) : textSummary(transcoders, files));
}

/** The command `mtc report`. */
export function reportCommand(): Command {
  return new Command("report")
    .description(
      "Writes reports and plots about every finished transcoder, of equal ones about the newest, and compares those of " +
        "different layers, sites or runs; makes what is missing of their analyses.",
    )
    .addOption(directoryOption("-r, --runs <dir>", "where the runs are", "runs"))
    .addOption(
      directoryOption(
        "-o, --out <dir>",
        "where the reports go; those of an earlier report are replaced",
        "analysis_results",
      ),
    )
    .option("--quick", "leave out what takes the model and is not there yet")
    .addOption(movedModelOption())
    .addOption(movedDataOption())
    .addOption(jsonOption("verdicts, checks and file names as JSON"))
    .addHelpText(
      "after",
      "\nWhat a run lacks is made with its model and text and kept in the run: the record of its features, attribution, loss recovered, and " +
        "importance. Where these cannot be had, the report is written without and says why.\n" +
        "\nExamples:\n  mtc train && mtc report --runs runs --out analysis_results\n  mtc report --runs runs/first --quick",
    )
    .action(report);
}
