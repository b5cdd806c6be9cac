/**
 * `mtc report`: every report and plot about the runs it finds.
 * @module
 */
import { Command } from "commander";
import { join } from "node:path";
import type { TranscoderAnalysis } from "../core/runs/analysed.ts";
import type { TranscoderConfig } from "../core/runs/config.ts";
import type { TranscoderChoice } from "../core/runs/discovery.ts";
import type { Sweep } from "../core/runs/sweeps.ts";
import { UserError } from "../core/errors.ts";
import { fileError, writeFileAtomic } from "../core/files/atomic.ts";
import { jsonOption } from "./options.ts";

interface ReportOptions {
  runs: string;
  out: string;
  json?: true;
}

/** A sentence for every transcoder that was found and not reported on. */
function leftOut(
  { passedOver, unfinished }: TranscoderChoice,
  identity: (config: TranscoderConfig) => string,
): string[] {
  return [
    ...passedOver.map(({ older, newer }) =>
      `${older.path} (begun ${older.config.created}) was passed over: ${newer.path} (begun ${newer.config.created}) is the ` +
      `newest run of the same transcoder, ${identity(newer.config)}`
    ),
    ...unfinished.map(({ path, missing }) => `${path} was skipped: it is not finished, ${missing.join(", ")} missing`),
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

/** The other files have names that nobody else gives; those of an earlier report are replaced. */
async function requireOwnIndex(out: string): Promise<void> {
  const { isIndexPage } = await import("../reports/markdown/index_page.ts");
  const path = join(out, "index.md");
  const text = await Deno.readTextFile(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return null;
    throw fileError("write", path, error);
  });
  if (text === null || isIndexPage(text)) return;
  throw new UserError({
    action: `write reports to ${out}`,
    requirement: "an index.md there must be that of an earlier report",
    found: "it is something else",
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

async function report({ runs, out, json }: ReportOptions): Promise<void> {
  await requireDirectory(out);
  await requireOwnIndex(out);
  const { chooseTranscoders, findTranscoders } = await import("../core/runs/discovery.ts");
  const { describeId, idOf } = await import("../core/runs/ids.ts");
  const { analyzeTranscoder, comparePair, pairsToCompare } = await import("../core/runs/analysed.ts");
  const { FEATURES_WITH_CONTEXTS } = await import("../reports/markdown/feature_sections.ts");
  const { missingAnalyses } = await import("../reports/markdown/missing.ts");
  const unreadable: string[] = [];
  const found = await findTranscoders(runs, (path, { message }) => unreadable.push(`${path} was skipped: ${message}`));
  const choice = chooseTranscoders(found);
  const notes = [...leftOut(choice, (config) => describeId(idOf(config))), ...unreadable];
  for (const note of notes) console.error(`mtc: ${note}`);

  const transcoders: TranscoderAnalysis[] = [];
  for (const chosen of choice.chosen) {
    console.error(`mtc: reading ${chosen.path}`);
    const transcoder = await analyzeTranscoder(chosen, FEATURES_WITH_CONTEXTS);
    for (const { command, answers } of missingAnalyses(transcoder)) {
      console.error(`mtc: not analysed yet: ${answers}; \`${command}\` does it`);
    }
    transcoders.push(transcoder);
  }
  const { sweepsOf, withStability } = await import("../core/runs/sweeps.ts");
  const sweeps: Sweep[] = [];
  for (const sweep of sweepsOf(transcoders)) {
    sweeps.push(await withStability(sweep, ({ phrase }) => console.error(`mtc: comparing the seeds of ${phrase}`)));
  }
  const comparisons = pairsToCompare(transcoders).map(([a, b]) => comparePair(a, b));

  await makeDirectory(out);
  const { reportFiles } = await import("../reports/report_files.ts");
  const files: string[] = [];
  for await (
    const { name, content } of reportFiles({ transcoders, comparisons, sweeps, notes, generated: new Date() })
  ) {
    const path = join(out, name);
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
        "different layers, sites or runs.",
    )
    .option("-r, --runs <dir>", "where the runs are", "runs")
    .option("-o, --out <dir>", "where the reports go; those of an earlier report are replaced", "analysis_results")
    .addOption(jsonOption("verdicts, checks and file names as JSON"))
    .addHelpText("after", "\nExample:\n  mtc train && mtc report --runs runs --out analysis_results")
    .action(report);
}
