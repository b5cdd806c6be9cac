/**
 * `mtc report`: every report and plot about the runs it finds.
 * @module
 */
import { Command } from "commander";
import { join } from "node:path";
import type { LayerAnalysis } from "../core/runs/analysed.ts";
import type { LayerComparison } from "../core/analysis/comparison.ts";
import type { RunChoice, RunDirectory } from "../core/runs/discovery.ts";
import { UserError } from "../core/errors.ts";
import { fileError, writeFileAtomic } from "../core/files/atomic.ts";
import { jsonOption } from "./options.ts";

interface ReportOptions {
  runs: string;
  out: string;
  json?: true;
}

/** Contexts are kept for this many of the strongest features; the reports show no more. */
const features = 10;

/** A sentence for every run that was found and not reported on. */
function leftOut({ chosen, passedOver, unfinished }: RunChoice): string[] {
  const newer = (run: RunDirectory) => chosen.find(({ config }) => config.layer === run.config.layer)!;
  return [
    ...passedOver.map((run) =>
      `${run.path} (begun ${run.config.created}) was passed over: ${newer(run).path} ` +
      `(begun ${newer(run).config.created}) is the newest run of layer ${run.config.layer}`
    ),
    ...unfinished.map((run) => `${run.path} was skipped: it is not finished, ${run.missing.join(", ")} missing`),
  ];
}

async function analyze({ path }: RunDirectory): Promise<LayerAnalysis> {
  const { analyzeLayer } = await import("../core/runs/analysed.ts");
  const { readTensors } = await import("../core/runs/tensors.ts");
  const { openSafetensors } = await import("../core/files/safetensors.ts");
  return await analyzeLayer(path, async (config) => {
    const file = await openSafetensors(join(path, "transcoder.safetensors"));
    try {
      return await readTensors(file, config);
    } finally {
      await file.close();
    }
  }, features);
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
  const { chooseRuns, findRuns } = await import("../core/runs/discovery.ts");
  const { compareLayers } = await import("../core/analysis/comparison.ts");
  const choice = chooseRuns(await findRuns(runs));
  const notes = leftOut(choice);
  for (const note of notes) console.error(`mtc: ${note}`);

  const layers: LayerAnalysis[] = [];
  for (const run of choice.chosen) {
    console.error(`mtc: reading ${run.path}`);
    layers.push(await analyze(run));
  }
  const comparisons: LayerComparison[] = layers.flatMap((a, i) => layers.slice(i + 1).map((b) => compareLayers(a, b)));

  await makeDirectory(out);
  const { reportFiles } = await import("../reports/report_files.ts");
  const files: string[] = [];
  for await (const { name, content } of reportFiles({ layers, comparisons, notes, generated: new Date() })) {
    const path = join(out, name);
    await writeFileAtomic(path, content);
    files.push(path);
  }
  const { jsonSummary, textSummary } = await import("../reports/summary.ts");
  console.log(json ? jsonSummary(layers, files, notes) : textSummary(layers, files));
}

/** The command `mtc report`. */
export function reportCommand(): Command {
  return new Command("report")
    .description("Writes reports and plots about the newest finished run of every layer, and compares the layers.")
    .option("-r, --runs <dir>", "where the runs are", "runs")
    .option("-o, --out <dir>", "where the reports go; those of an earlier report are replaced", "analysis_results")
    .addOption(jsonOption("verdicts, checks and file names as JSON"))
    .addHelpText("after", "\nExample:\n  mtc train && mtc report --runs runs --out analysis_results")
    .action(report);
}
