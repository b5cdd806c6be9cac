/**
 * `mtc export`: finished transcoders in the files of other tools.
 * @module
 */

import { Command, Option } from "commander";
import { join } from "node:path";
import { UsageError } from "../../core/errors.ts";
import { SITES } from "../../core/model/sites.ts";
import {
  directoryOption,
  jsonOption,
  movedDataOption,
  movedModelOption,
  numberOption,
  wholeNumberOption,
  wholeNumbersOption,
} from "../options.ts";
import type { ChoosingOptions } from "./chosen.ts";
import { piecesOf } from "./pieces.ts";
import type { Exported, ExportRequest } from "./request.ts";

/** Held-out tokens unless asked otherwise: seconds for the embedded model. */
const TOKENS = 4096;

/** The tools that read transcoders one by one, by their names on the command line. */
const TOOLS: Readonly<Record<string, () => Promise<(request: ExportRequest) => Promise<Exported[]>>>> = {
  saelens: async () => (await import("./saelens.ts")).exportSaelens,
  sparsify: async () => (await import("./sparsify.ts")).exportSparsify,
  neuronpedia: async () => (await import("./neuronpedia.ts")).exportNeuronpedia,
  delphi: async () => (await import("./delphi.ts")).exportDelphi,
  tensorboard: async () => (await import("./tensorboard.ts")).exportTensorboard,
};
/** The tool that reads a set of all layers, whichever runs they come from. */
const SET_TOOL = "circuit-tracer";

interface ExportOptions extends ChoosingOptions {
  to: string;
  out: string;
  prefix?: string;
  model?: string;
  data?: string[];
  features: boolean;
  tokens: number;
  modelName?: string;
  setName: string;
  json?: true;
}

async function run(options: ExportOptions): Promise<void> {
  const { to, out, prefix, model, data, features: hasFeatures, tokens, modelName, setName, json } = options;
  const { readTranscoders } = await import("../../core/runs/finished.ts");
  const { makeWholeDirectory, requireVacant } = await import("../../core/files/whole_directory.ts");
  const { chooseFrom } = await import("./chosen.ts");
  if (to !== SET_TOOL) requireOneRun(options);
  const runs = await chooseFrom(options, (note) => console.error(`mtc: ${note}`));
  // What takes minutes should not find that out in the end.
  await requireVacant(out, "--out");
  const [described] = runs, [{ config }] = described;
  const asked = {
    ...{ run: options.run?.join(" ") ?? options.runs!, model, data, out, hasFeatures },
    modelName: modelName ?? config.model.name,
    write: (fill: (directory: string) => Promise<void>) => makeWholeDirectory(out, "--out", fill),
  };
  let exported: Exported[];
  if (to === SET_TOOL) {
    const { exportCircuitTracer } = await import("./circuit_tracer.ts");
    exported = await exportCircuitTracer({ ...asked, runs, prefix, isUniform: options.runs !== undefined });
  } else {
    const exportTo = await TOOLS[to](), transcoders = await readTranscoders(described);
    exported = await exportTo({ ...asked, transcoders, pieces: piecesOf(transcoders, prefix), tokens, setName });
  }
  if (json) {
    console.log(JSON.stringify({ tool: to, out, exported }, null, 2));
    return;
  }
  for (const { run, directory, remarks } of exported) {
    console.log(`${run} -> ${join(out, directory)}: ${remarks.join("; ")}`);
  }
}

function requireOneRun({ to, run, runs }: ExportOptions): void {
  if (runs === undefined && (run === undefined || run.length === 1)) return;
  throw new UsageError({
    action: `export ${runs ?? run!.join(" ")} to ${to}`,
    requirement: `only ${SET_TOOL} has sets of several runs`,
    remedy: "give one after the other with --run",
  });
}

/** The command `mtc export`. */
export function exportCommand(): Command {
  return new Command("export")
    .description(
      "Writes finished transcoders as other tools read them, for raw activations. A Matryoshka prefix can be exported as a transcoder of its own.",
    )
    .addOption(
      directoryOption(
        "-r, --run <dirs...>",
        `a transcoder's directory, or a run's for all its transcoders; for ${SET_TOOL} several`,
      ),
    )
    .addOption(
      directoryOption("--runs <dir>", `for ${SET_TOOL}, where the runs are, as those of a sweep: the finished ones`),
    )
    .addOption(
      new Option("--to <tool>", "who is to read them").choices(["saelens", SET_TOOL, ...Object.keys(TOOLS).slice(1)])
        .makeOptionMandatory(),
    )
    .addOption(
      directoryOption("-o, --out <dir>", "where the files are to be: a new or empty directory").makeOptionMandatory(),
    )
    .addOption(new Option("--source <site>", "of what was found only what reads here").choices(SITES))
    .addOption(wholeNumberOption("--dictionary <n>", "only what has so many features in all"))
    .addOption(wholeNumbersOption("--groups <list>", "only what has these features per Matryoshka group"))
    .addOption(wholeNumberOption("--k <n>", "only what was trained to keep so many features per token"))
    .addOption(numberOption("--learning-rate <x>", "only what was trained with this one"))
    .addOption(wholeNumberOption("--seed <n>", "only what was trained from this seed", { least: 0 }))
    .option(
      "--prefix <list>",
      "the first so many features, several with commas, or `all` prefixes (default: the whole dictionary)",
    )
    .option(
      "--no-features",
      "leave out what circuit-tracer shows of features, which takes the model, and the text where the run has no record",
    )
    .addOption(
      wholeNumberOption("-t, --tokens <n>", "held-out tokens that the FVU which remains to sparsify is measured on", {
        value: TOKENS,
      }),
    )
    .addOption(movedModelOption())
    .addOption(movedDataOption())
    .option("--model-name <name>", "what the tool calls the language model (default: what the run calls it)")
    .option("--set-name <name>", "what Neuronpedia calls the run's transcoders: LAYER-NAME", "mtc")
    .addOption(jsonOption("what was written as JSON"))
    .addHelpText(
      "after",
      "\nExamples:\n  mtc export --to saelens --run runs/first/layer17 --out exported/layer17\n" +
        "  mtc export --to saelens --run runs/first --prefix all --out exported/first\n" +
        "  mtc export --to circuit-tracer --runs runs --dictionary 4608 --seed 0 --out exported/all-layers",
    )
    .action(run);
}
