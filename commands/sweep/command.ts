/**
 * `mtc sweep`: a transcoder for every combination of dictionaries, k, learning rates, seeds, sources and layers: as one run on one harvest, or,
 * by a plan, as tasks that many machines work on.
 * @module
 */

import { Command, Option } from "commander";
import { UsageError } from "../../core/errors.ts";
import { wholeNumberOption } from "../options.ts";
import { MOST_MEMBERS } from "../train/new_request.ts";
import type { SweepOptions } from "../train/request.ts";
import { sweepRequest } from "../train/sweep_request.ts";
import { carryOut } from "../train/work.ts";
import { ENGINES } from "./engines.ts";
import { type TaskOptions, withSweepOptions } from "./options.ts";

/** Options that may stand beside a plan; what is trained stands in it. */
const BESIDE_PLAN = [
  "list",
  "status",
  "print",
  "task",
  "harvest",
  "runs",
  "adapter",
  "deadline",
  "log",
  "json",
  "tensorboard",
];
/** Options that nothing can be done with but for a plan. */
const OF_PLAN = ["list", "status", "print", "task", "harvest"];

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
        "run: `mtc train --resume`, `mtc evaluate`, `mtc report` and `mtc encode` take it as any other. With a plan, a file of the same " +
        "options, every combination is a task of its own that any machine may start, lose and repeat; without another word all tasks that " +
        "nobody works on are done, one after the other.",
    )
    .argument("[plan]", "a file like plan.json: the options of what is trained, as JSON");
  return withSweepOptions(command)
    .option("--list", "print the tasks of the plan, numbered from 0")
    .addOption(
      wholeNumberOption(
        "--task <n>",
        "do this task of the plan: start it, go on with it, or find nothing left to do (default: MTC_TASK, SLURM_ARRAY_TASK_ID or " +
          "JOB_COMPLETION_INDEX)",
        { least: 0 },
      ),
    )
    .option("--harvest", "only harvest the activations that the plan's tasks share")
    .addOption(new Option("--print <engine>", "print a file that has the tasks done by an engine").choices(ENGINES))
    .option("--status", "print how far the tasks of the plan are")
    .addHelpText(
      "after",
      "\nExamples:\n  mtc sweep --layers 2 --dictionary 256,512,1024 --k 16,32 --seed 0,1,2 --name sizes\n" +
        "  mtc train --resume runs/sizes    # after Ctrl-C or a kill, in whatever round\n" +
        "\n  mtc sweep plan.json --list && mtc sweep plan.json --print slurm > plan.sh && sbatch plan.sh\n" +
        '  where plan.json is, for example: {"layers": [2, 4], "dictionary": [256, 512], "k": 32, "seed": [0, 1, 2]}',
    )
    .action((plan: string | undefined, options: SweepOptions & TaskOptions) => run(plan, options, command));
}

async function run(plan: string | undefined, options: SweepOptions & TaskOptions, command: Command): Promise<void> {
  const given = command.options.filter((option) => command.getOptionValueSource(option.attributeName()) === "cli");
  if (plan === undefined) {
    const stray = given.find((option) => OF_PLAN.includes(option.attributeName()));
    if (stray === undefined) {
      const request = await sweepRequest(options, command);
      return await carryOut({ ...request, hasEvents: options.tensorboard }, options);
    }
    throw new UsageError({
      action: `sweep with ${stray.long}`,
      requirement: "it is about the tasks of a plan",
      found: "no plan is named",
      remedy: `write mtc sweep plan.json ${stray.long}`,
    });
  }
  const stray = given.find((option) => !BESIDE_PLAN.includes(option.attributeName()));
  if (stray) {
    const key = stray.long!.slice(2), { isPlanKey } = await import("./plan.ts");
    throw new UsageError({
      action: `sweep by ${plan} with ${stray.long}`,
      requirement: isPlanKey(key) ? "what is trained stands in the plan" : "the tasks of a plan know no such option",
      remedy: isPlanKey(key) ? `write ${JSON.stringify(key)} into it` : "leave it out",
    });
  }
  const { sweepByPlan } = await import("./tasks.ts");
  await sweepByPlan(plan, { ...options, runs: given.some(({ long }) => long === "--runs") ? options.runs : undefined });
}
