/**
 * `mtc train`: one or more transcoders from a single forward pass.
 * @module
 */

import { Command, Option } from "commander";
import { atOnceOption, withPlaceOptions, withTextOptions } from "./options.ts";
import { wholeNumberOption } from "../options.ts";
import { furtherRequest } from "./further_request.ts";
import { newRequest } from "./new_request.ts";
import type { TrainOptions } from "./request.ts";
import { resumedRequest } from "./resumed_request.ts";
import { declared, NUMBER_OPTIONS, PRESETS } from "./settings.ts";
import { carryOut } from "./work.ts";

/**
 * Declares the command.
 *
 * @returns The command, ready to be added to the program.
 */
export function trainCommand(): Command {
  const command = new Command("train")
    .description(
      "Harvests activations and trains a Matryoshka transcoder per layer and source from one forward pass. Without options it trains on the " +
        "embedded model and text (one to two minutes on two cores); with --model the published Gemma-2-2B recipe is the default.",
    );
  withTextOptions(command).addOption(
    new Option(
      "--preset <name>",
      "another recipe's source, groups, k, learning rate, warm-up, auxiliary loss and context; every option still overrides it",
    )
      .choices(Object.keys(PRESETS)),
  ).addOption(
    wholeNumberOption(
      "--dictionary <n>",
      "features in all: the sum of --groups; without them a quarter, a half and a quarter of it",
    ),
  );
  NUMBER_OPTIONS.map(declared).forEach((option) => command.addOption(option));
  return withPlaceOptions(command)
    .option(
      "--resume <run>",
      "go on with a run or a sweep that was interrupted, for example runs/first; takes no other settings but --model and --data, where " +
        "these were moved, --bad-lines and --at-once",
    )
    .addOption(atOnceOption("of a sweep that is resumed, the most transcoders trained at once"))
    .option(
      "--start-from <run>",
      "start from the finished weights of a run, or of one of its transcoders (runs/first/layer17); its settings are the defaults, its sizes stay",
    )
    .addOption(
      wholeNumberOption(
        "--more-steps <n>",
        "with --start-from: the run goes on for so many steps, with its optimiser's state and its text, warmed up again and decayed once more",
      ),
    )
    .addHelpText(
      "after",
      "\nExamples:\n  mtc train --model gemma-2-2b --data texts/ --layers 8,17 --name first\n  mtc train --resume runs/first\n" +
        "  mtc train --source layer2.resid_mid --target layer2.mlp_out,layer4.mlp_out --name crossing" +
        "\n  mtc train --start-from runs/first --data other/ --steps 2000 --name second\n" +
        "  mtc train --start-from runs/first --more-steps 5000 --name longer",
    )
    .action((options: TrainOptions) => run(options, command));
}

async function run(options: TrainOptions, command: Command): Promise<void> {
  const request = options.resume !== undefined
    ? await resumedRequest(options.resume, options, command)
    : options.moreSteps !== undefined
    ? await furtherRequest(options.moreSteps, options, command)
    : await newRequest(options, command);
  await carryOut({ ...request, hasEvents: options.tensorboard }, options);
}
