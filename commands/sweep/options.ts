/**
 * The options of `mtc sweep`: what is trained, which a plan says too, and what is done of a plan.
 * @module
 */

import type { Command } from "commander";
import { numbersOption, wholeNumbersOption } from "../options.ts";
import { atOnceOption, withPlaceOptions, withTextOptions } from "../train/options.ts";
import { declared, NUMBER_OPTIONS } from "../train/settings.ts";
import type { WorkOptions } from "../train/work.ts";

/** The options that say what is done of a plan. */
export interface TaskOptions extends Pick<WorkOptions, "json" | "log" | "deadline"> {
  readonly list?: true;
  readonly status?: true;
  readonly print?: string;
  readonly task?: number;
  readonly harvest?: true;
  readonly tensorboard?: true;
}

/** What a sweep takes lists of. */
const LISTED = ["k", "learning_rate", "seed"];

/**
 * Declares the options that say what is trained.
 *
 * @param command The command.
 * @returns The same.
 */
export function withSweepOptions(command: Command): Command {
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
  return withPlaceOptions(command).addOption(atOnceOption("the most transcoders trained at once"));
}
