/**
 * The options that `mtc train` and `mtc sweep` share beside their numbers.
 * @module
 */

import { type Command, Option } from "commander";
import { NAMED_ENDINGS } from "../../core/files/text_formats.ts";
import { BUILTIN } from "../../core/model/files.ts";
import {
  badLinesOption,
  directoryOption,
  jsonOption,
  layersOption,
  precisionOption,
  textColumnOption,
  wholeNumberOption,
  wholeNumbersOption,
} from "../options.ts";
import { deadlineOption } from "./deadline.ts";

/**
 * Declares model, text, and what of it is trained on.
 *
 * @param command The command.
 * @returns The same.
 */
export function withTextOptions(command: Command): Command {
  return command
    .option(
      "-m, --model <model>",
      "a Hugging Face directory of Gemma-2 or Gemma-3, or hf:OWNER/NAME[@REVISION]",
      BUILTIN,
    )
    .option(
      "-d, --data <paths...>",
      `text: ${NAMED_ENDINGS}, directories of it, hf:OWNER/NAME (default: the embedded text)`,
    )
    .addOption(textColumnOption())
    .addOption(badLinesOption())
    .option(
      "--activations <dir>",
      "what mtc harvest wrote, in place of the model's work during the steps; the model and the text are its own, and are read at the end",
    )
    .addOption(
      layersOption(
        "layers to train, for example 8,17: those of sites that name none (default: that of the first --target, or 17 of 26, or that depth; " +
          "embedded: 2,4)",
      ),
    )
    .option(
      "--source <sites>",
      "where activations are read: a site of the same layer, one like layer8.resid_mid, or several with commas for a transcoder each",
      "resid_mid",
    )
    .option(
      "--target <sites>",
      "where those to be predicted are, likewise; several with commas are predicted by one transcoder at once, with one encoder",
      "mlp_out",
    )
    .addOption(wholeNumbersOption("-g, --groups <list>", "features per Matryoshka group, for example 1152,2304,1152"))
    .option("--skip", "let the source reach the targets linearly too, beside the features: an affine skip connection")
    .option("--include-bos", "train on and count BOS tokens too")
    .option(
      "--exclude-tokens <tokens...>",
      "tokens that are left out of training, metrics and samples: ids, or spellings, or `none` (default: BOS, EOS and padding)",
    )
    .addOption(precisionOption());
}

/**
 * Declares where the run is kept and what is printed of it.
 *
 * @param command The command.
 * @returns The same.
 */
export function withPlaceOptions(command: Command): Command {
  return command
    .addOption(directoryOption("--runs <dir>", "where runs are kept", "runs"))
    .option("--name <name>", "the run's name (default: the model's, with the time)")
    .option(
      "--tensorboard",
      "write metrics.csv as an event file of TensorBoard too, which it can read while the run goes on",
    )
    .addOption(deadlineOption())
    .addOption(logOption())
    .option("--dry-run", "print what the run would take of memory, disk and time, and write nothing")
    .addOption(jsonOption("the result as JSON"));
}

/**
 * Declares `--log`.
 *
 * @returns The option.
 */
export function logOption(): Option {
  return new Option("--log <form>", "progress for people on stderr, or as events on stdout, a line of JSON each")
    .choices(["text", "json"]).default("text");
}

/**
 * Declares `--at-once`.
 *
 * @param text What `--help` says of it.
 * @returns The option.
 */
export function atOnceOption(text: string): Option {
  return wholeNumberOption("--at-once <n>", `${text} (default: as many as memory takes)`);
}
