/**
 * `mtc import`: transcoders that other tools trained, as runs of mtc.
 * @module
 */

import { Command, Option } from "commander";
import { FOREIGN_TOOLS } from "../../core/transcoder/formats/layout.ts";
import {
  badLinesOption,
  directoryOption,
  jsonOption,
  precisionOption,
  textColumnOption,
  wholeNumberOption,
} from "../options.ts";
import { declared, NUMBER_OPTIONS } from "../train/settings.ts";
import { IMPORT_SETTINGS, type ImportOptions } from "./options.ts";

async function run(path: string, options: ImportOptions, command: Command): Promise<void> {
  const { importTranscoders } = await import("./work.ts");
  const { importedText } = await import("../../reports/imported.ts");
  const isGiven = (name: string) => command.getOptionValueSource(name) === "cli";
  const imported = await importTranscoders(path, options, isGiven);
  const told = imported.map(({ run, config: { imported, ...config }, evaluation }) => {
    const { source, targets, d_in, d_out, features, groups, k, skip, model, data } = config;
    const { fvu, fvu_ci95, l0, dead_features, tokens } = evaluation;
    const transcoder = { source, target: targets[0], d_in, d_out, features, groups, k, skip };
    return {
      run,
      imported,
      ...transcoder,
      model: model.name,
      text: data.name,
      fvu,
      fvu_ci95,
      l0,
      dead_features,
      tokens,
    };
  });
  console.log(
    options.json ? JSON.stringify(told.length === 1 ? told[0] : told, null, 2) : importedText(options.out, imported),
  );
}

/**
 * Declares the command.
 *
 * @returns The command, ready to be added to the program.
 */
export function importCommand(): Command {
  const command = new Command("import")
    .description(
      `Makes a run of transcoders that were trained elsewhere (${
        FOREIGN_TOOLS.join(", ")
      }), so that all commands but train read it: their weights ` +
        "for mtc's sites, what was taken over from where, and what they do on a text.",
    )
    .argument(
      "<path>",
      "a file of weights, its directory, that of a set with one per layer, or hf:OWNER/NAME[@REVISION]/FOLDER",
    )
    .addOption(directoryOption("-o, --out <dir>", "the run to make: a new or empty directory").makeOptionMandatory())
    .option("-m, --model <model>", "the language model as for mtc train (default: that of --like, or the embedded one)")
    .option(
      "--like <run>",
      "a run whose model, text, context and left-out tokens are taken, so that both can be compared",
    )
    .addOption(
      wholeNumberOption(
        "-l, --layer <n>",
        "the layer, counted from 0, where files and paths do not say it, or one of a set",
        {
          least: 0,
        },
      ),
    )
    .option(
      "--source <site>",
      "what it reads, where its files do not say it or mean something else: mlp_in, ln2.hook_normalized",
    )
    .option("--target <site>", "what it predicts, likewise")
    .option(
      "-d, --data <paths...>",
      "text to measure it on, as for mtc train (default: that of --like, or the embedded text)",
    )
    .addOption(textColumnOption())
    .addOption(badLinesOption())
    .option("--include-bos", "count BOS tokens too")
    .option(
      "--exclude-tokens <tokens...>",
      "tokens that are left out: ids, or spellings, or `none` (default: BOS, EOS and padding)",
    )
    .addOption(new Option("--precision <type>", precisionOption(false).description).choices(["f32", "f16"]));
  for (const option of NUMBER_OPTIONS) {
    if (IMPORT_SETTINGS.includes(option.setting)) command.addOption(declared(option));
  }
  return command
    .addOption(jsonOption("what was imported as JSON: an object, or a list for several layers"))
    .addHelpText(
      "after",
      "\nExamples:\n  mtc import hf:google/gemma-scope-2b-pt-transcoders/layer_17/width_16k/average_l0_41 --model hf:google/gemma-2-2b " +
        "--out runs/scope\n  mtc import layer_17/width_16k/average_l0_41/params.npz --like runs/first --out runs/scope\n" +
        "  mtc analyze compare runs/first runs/scope --equal-l0\n" +
        "  mtc import exported/saelens --like runs/first --out runs/again",
    )
    .action((path: string, options: ImportOptions) => run(path, options, command));
}
