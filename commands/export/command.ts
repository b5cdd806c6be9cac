/**
 * `mtc export`: finished transcoders in the files of other tools.
 * @module
 */

import { Command, Option } from "commander";
import { join } from "node:path";
import {
  directoryOption,
  jsonOption,
  movedDataOption,
  movedModelOption,
  runOption,
  wholeNumberOption,
} from "../options.ts";
import { piecesOf } from "./pieces.ts";
import type { Exported, ExportRequest } from "./request.ts";

/** Held-out tokens unless asked otherwise: seconds for the embedded model. */
const TOKENS = 4096;

/** The tools, by their names on the command line. */
const TOOLS: Readonly<Record<string, () => Promise<(request: ExportRequest) => Promise<Exported[]>>>> = {
  saelens: async () => (await import("./saelens.ts")).exportSaelens,
  "circuit-tracer": async () => (await import("./circuit_tracer.ts")).exportCircuitTracer,
  sparsify: async () => (await import("./sparsify.ts")).exportSparsify,
  neuronpedia: async () => (await import("./neuronpedia.ts")).exportNeuronpedia,
  delphi: async () => (await import("./delphi.ts")).exportDelphi,
  tensorboard: async () => (await import("./tensorboard.ts")).exportTensorboard,
};

interface ExportOptions {
  run: string;
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

async function run(
  { run, to, out, prefix, model, data, features, tokens, modelName, setName, json }: ExportOptions,
): Promise<void> {
  const { openFinishedRun } = await import("../../core/runs/finished.ts");
  const { makeWholeDirectory, requireVacant } = await import("../../core/files/whole_directory.ts");
  const transcoders = await openFinishedRun(run), pieces = piecesOf(transcoders, prefix);
  // What takes minutes should not find that out in the end.
  await requireVacant(out, "--out");
  const exportTo = await TOOLS[to](), [{ config }] = transcoders;
  const exported = await exportTo({
    ...{ run, transcoders, pieces, model, data, out, tokens, setName, hasFeatures: features },
    modelName: modelName ?? config.model.name,
    write: (fill) => makeWholeDirectory(out, "--out", fill),
  });
  if (json) {
    console.log(JSON.stringify({ tool: to, out, exported }, null, 2));
    return;
  }
  for (const { run, directory, remarks } of exported) {
    console.log(`${run} -> ${join(out, directory)}: ${remarks.join("; ")}`);
  }
}

/** The command `mtc export`. */
export function exportCommand(): Command {
  return new Command("export")
    .description(
      "Writes finished transcoders as other tools read them, for raw activations. A Matryoshka prefix can be exported as a transcoder of its own.",
    )
    .addOption(runOption())
    .addOption(new Option("--to <tool>", "who is to read them").choices(Object.keys(TOOLS)).makeOptionMandatory())
    .addOption(
      directoryOption("-o, --out <dir>", "where the files are to be: a new or empty directory").makeOptionMandatory(),
    )
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
        "  mtc export --to saelens --run runs/first --prefix all --out exported/first",
    )
    .action(run);
}
