/**
 * The options that `mtc ablate` and `mtc steer` share.
 * @module
 */

import { type Command, Option } from "commander";
import { HELD_OUT_SPLITS, type HeldOutSplit } from "../../core/text/split.ts";
import {
  jsonOption,
  movedDataOption,
  movedModelOption,
  numberOption,
  runOption,
  wholeNumberOption,
  wholeNumbersOption,
} from "../options.ts";

/** What is given of them. */
export interface ChangeOptions {
  readonly run: string;
  readonly model?: string;
  readonly data?: string[];
  readonly layer?: number;
  readonly features?: readonly number[];
  readonly group?: readonly number[];
  readonly prefix?: number;
  readonly text?: string;
  readonly context?: number;
  readonly generate?: number;
  readonly temperature?: number;
  readonly tokens: number;
  readonly split: HeldOutSplit;
  readonly rivals: number;
  readonly seed: number;
  readonly top: number;
  readonly json?: true;
}

/** Held-out tokens unless asked otherwise: as many as `mtc evaluate --loss` measures the loss on. */
const TOKENS = 2048;
/** Of each token that is told of, as many movers are; more than a terminal shows are for programs. */
const MOST_TOP = 100;

/**
 * Adds the options.
 *
 * @param command The command.
 * @returns The same.
 */
export function withChangeOptions(command: Command): Command {
  return command
    .addOption(runOption("a transcoder's directory, or that of a run with one; of several, --layer says which"))
    .addOption(
      wholeNumberOption("-l, --layer <n>", "which of a run's transcoders, by the layer predicted", { least: 0 }),
    )
    .addOption(wholeNumbersOption("-f, --features <list>", "the features, counted from 0", 0))
    .addOption(wholeNumbersOption("--group <list>", "all features of these Matryoshka groups, counted from 0", 0))
    .addOption(
      wholeNumberOption("--prefix <n>", "all features beyond the first n; 0 for the whole dictionary", { least: 0 }),
    )
    .addOption(
      new Option("-t, --text <text>", "a text of one context, BOS is put in front; without it held-out text is read")
        .conflicts(["data", "tokens", "split", "rivals"]),
    )
    .addOption(
      wholeNumberOption(
        "--generate <n>",
        "tokens to continue the text by, with the change and without, the change acting on text and continuation alike; " +
          "each takes two forward passes over all before it, and all must fit into a context",
      ),
    )
    .addOption(
      numberOption(
        "--temperature <x>",
        "sample the continuation at this temperature, with the same random numbers for both; 0 takes the most probable " +
          "token (default: 0)",
      ),
    )
    .addOption(
      wholeNumberOption(
        "--context <n>",
        "tokens, BOS included, that text and continuation may have (default: the run's)",
        {
          least: 2,
        },
      ),
    )
    .addOption(wholeNumberOption("--tokens <n>", "held-out tokens to count", { value: TOKENS }))
    .addOption(
      new Option("--split <part>", "which held-out documents").choices(HELD_OUT_SPLITS)
        .default("test" satisfies HeldOutSplit),
    )
    .addOption(
      wholeNumberOption(
        "--rivals <n>",
        "sets of as many random features of similar activation mass to change beside them, on held-out text",
        { least: 0, value: 3 },
      ),
    )
    .addOption(
      wholeNumberOption("--seed <n>", "what random features and sampled tokens are drawn by", { least: 0, value: 0 }),
    )
    .addOption(
      wholeNumberOption(
        "-n, --top <n>",
        "how many of the tokens and documents that change most are told of, and how many next tokens at each and over all",
        { most: MOST_TOP, value: 5 },
      ),
    )
    .addOption(movedModelOption())
    .addOption(movedDataOption())
    .addOption(jsonOption("JSON, with the exact definition of each figure"));
}
