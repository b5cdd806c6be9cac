/**
 * `mtc sweep`: a transcoder for every combination of dictionaries, k, learning rates, seeds, sources and layers, on one harvest.
 * @module
 */

import { Command } from "commander";
import { numbersOption, wholeNumbersOption } from "./options.ts";
import { atOnceOption, withPlaceOptions, withTextOptions } from "./train/options.ts";
import { MOST_MEMBERS } from "./train/new_request.ts";
import type { SweepOptions } from "./train/request.ts";
import { sweepRequest } from "./train/sweep_request.ts";
import { declared, NUMBER_OPTIONS } from "./train/settings.ts";
import { carryOut } from "./train/work.ts";

/** What a sweep takes lists of. */
const LISTED = ["k", "learning_rate", "seed"];

/**
 * Declares the command.
 *
 * @returns The command, ready to be added to the program.
 */
export function sweepCommand(): Command {
  const command = new Command("sweep")
    .description(
      `Trains a transcoder for every combination of what is listed, at most ${MOST_MEMBERS}, on one harvest: each becomes what it would be ` +
        "alone, byte for byte. What memory does not take at once goes in rounds, each with its own harvest of the same text. A sweep is a " +
        "run: `mtc train --resume`, `mtc evaluate`, `mtc report` and `mtc encode` take it as any other.",
    );
  withTextOptions(command)
    .addOption(
      wholeNumbersOption("--dictionary <list>", "features in all, in groups of a quarter, a half and a quarter"),
    )
    .option("--flat", "for each of them one without nesting too: all features in one group")
    .addOption(wholeNumbersOption("-k, --k <list>", "features kept per token, on average over a batch"))
    .addOption(numbersOption("--learning-rate <list>", "peak learning rates of Adam"))
    .addOption(wholeNumbersOption("--seed <list>", "seeds of the first weights; --data-seed follows the first", 0));
  const others = NUMBER_OPTIONS.filter(({ setting }) => !LISTED.includes(setting));
  others.map(declared).forEach((option) => command.addOption(option));
  return withPlaceOptions(command)
    .addOption(atOnceOption("the most transcoders trained at once"))
    .addHelpText(
      "after",
      "\nExample:\n  mtc sweep --layers 2 --dictionary 256,512,1024 --k 16,32 --seed 0,1,2 --name sizes\n" +
        "  mtc train --resume runs/sizes    # after Ctrl-C or a kill, in whatever round",
    )
    .action(async (options: SweepOptions) => {
      await carryOut({ ...await sweepRequest(options, command), hasEvents: options.tensorboard }, options);
    });
}
