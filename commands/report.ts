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
  tasks?: true;
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

/** So many transcoders of tasks get pages of their own; of more, the tasks alone are told. */
const MOST_PAGES = 64;

/** Tells the tasks of sweeps; returns the files that were written, and whether that is all there is to do. */
async function tellTasks(
  { runs, out, json, tasks }: ReportOptions,
): Promise<{ files: readonly string[]; isAll: boolean }> {
  const { taskListsIn } = await import("../core/runs/task_list.ts");
  if ((await taskListsIn(runs)).length === 0) {
    if (!tasks) return { files: [], isAll: false };
    throw new UserError({
      action: `report on the tasks in ${runs}`,
      requirement: "it must hold the plan-*.json of a sweep",
      found: "it holds none",
      remedy: "give the directory of a plan's runs, or leave --tasks out",
    });
  }
  await makeDirectory(out);
  const { reportTasks } = await import("./report/tasks.ts");
  const { files, transcoders, tasks: count } = (await reportTasks(runs, out))!;
  const isAll = tasks === true || transcoders === 0 || transcoders > MOST_PAGES;
  if (!isAll) return { files, isAll };
  if (!tasks && transcoders > 0) {
    console.error(
      `mtc: ${transcoders} transcoders are too many for pages of their own; ask for some: mtc report --runs RUN`,
    );
  }
  if (json) console.log(JSON.stringify({ tasks: count, transcoders, files }, null, 2));
  else {console.log(`${count} tasks, ${transcoders} finished transcoders\n${
      files.map((file) => `  ${file}`).join("\n")
    }`);}
  return { files, isAll };
}

async function report(options: ReportOptions): Promise<void> {
  const { runs, out, json, tasks: _, ...wanted } = options;
  await requireDirectory(out);
  const { earlierFiles, removeEarlier } = await import("./report/earlier.ts");
  const earlier = await earlierFiles(out), tasksTold = await tellTasks(options);
  if (tasksTold.isAll) return;
  const { chooseTranscoders, findTranscoders, whyUnfinished } = await import("../core/runs/discovery.ts");
  const { describeId, idOf } = await import("../core/runs/ids.ts");
  const { comparePair, pairsToCompare } = await import("../core/runs/analysed.ts");
  const unreadable: string[] = [];
  const found = await findTranscoders(
    runs,
    (path, { message }) => unreadable.push(`${printable(path)} was skipped: ${message}`),
  );
  const { trainingsSoFar } = await import("../core/runs/so_far.ts");
  const choice = chooseTranscoders(found, true);
  const soFar = await trainingsSoFar(
    choice.unfinished,
    (path, { message }) => unreadable.push(`${printable(path)} was skipped: ${message}`),
  );
  // With neither an end nor a beginning there is nothing to tell.
  if (choice.chosen.length + soFar.length === 0) chooseTranscoders(found);
  for (const one of soFar) console.error(`mtc: ${one.path} is not finished: its training so far is told`);
  const told = new Set(soFar.map(({ path }) => path));
  const others = choice.unfinished.filter(({ path }) => !told.has(path));
  const notes = [
    ...leftOut({ ...choice, unfinished: others }, whyUnfinished, (config) => describeId(idOf(config))),
    ...unreadable,
  ];
  for (const note of notes) console.error(`mtc: ${note}`);
  const { Matchings } = await import("./report/made.ts");
  const making = { ...wanted, matchings: new Matchings() };
  const transcoders = await analyze(choice.chosen, making, (path, { message }) => {
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
    comparisons.push({ ...comparePair(a, b), ...await tellPair(a, b, making) });
  }

  await makeDirectory(out);
  const { reportFiles } = await import("../reports/report_files.ts");
  const { openDrawing } = await import("./report/drawing.ts");
  await using drawing = openDrawing();
  const files: string[] = [...tasksTold.files], hasTasks = files.length > 0;
  const input = { transcoders, unfinished: soFar, comparisons, sweeps, notes, hasTasks, generated: new Date() };
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
        "different layers, sites or runs; makes what is missing of their analyses. Of a training that has not ended it tells the curves so far.",
    )
    .addOption(directoryOption("-r, --runs <dir>", "where the runs are", "runs"))
    .addOption(
      directoryOption(
        "-o, --out <dir>",
        "where the reports go; those of an earlier report are replaced",
        "analysis_results",
      ),
    )
    .option("--tasks", "only what came of the tasks of sweeps, which of many runs takes seconds: sweep_tasks.md")
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
