/**
 * The command line as plain values, read from commander's definitions: what completions and the manual page are made of.
 * @module
 */

import type { Command, Option } from "commander";

/** What an option takes: nothing, one of a few words, a place on the disk, or something that cannot be guessed. */
export type Value =
  | { readonly kind: "none" }
  | { readonly kind: "choices"; readonly choices: readonly string[] }
  | { readonly kind: "path" }
  | { readonly kind: "free" };

/** One option. */
export interface OptionShape {
  /** For example `--out`. */
  readonly long: string;
  /** For example `-o`; null where there is none. */
  readonly short: string | null;
  /** As `--help` has it: `-o, --out <dir>`. */
  readonly flags: string;
  /** What it does, with its default. */
  readonly text: string;
  /** What it takes. */
  readonly value: Value;
}

/** One command with those below it. */
export interface CommandShape {
  /** Its names from the program's down: `["analyze", "features"]`; empty for the program. */
  readonly path: readonly string[];
  /** One line. */
  readonly summary: string;
  /** The whole description. */
  readonly description: string;
  /** `--help` itself among them. */
  readonly options: readonly OptionShape[];
  /** What stands in its place on the line, for example `<a>`; with choices where it has them. */
  readonly operands: readonly { readonly name: string; readonly text: string; readonly value: Value }[];
  /** The commands below. */
  readonly commands: readonly CommandShape[];
  /** What `--help` ends with: examples, exit codes. */
  readonly ending: string;
}

/** What `--help` calls values that lie on the disk. */
const PATHS = /[<[](dir|file|model|path|run)s?(\.\.\.)?[>\]]/;

function valueOf(flags: string, choices: readonly string[] | undefined): Value {
  if (choices) return { kind: "choices", choices };
  if (PATHS.test(flags)) return { kind: "path" };
  return { kind: /[<[]/.test(flags) ? "free" : "none" };
}

function shapeOfOption(command: Command, option: Option): OptionShape {
  return {
    long: option.long!,
    short: option.short ?? null,
    flags: option.flags,
    text: command.createHelp().optionDescription(option),
    value: valueOf(option.flags, option.argChoices),
  };
}

/** The text that a command added behind its help. */
function endingOf(command: Command): string {
  let text = "";
  command.configureOutput({ writeOut: (part) => text += part });
  command.outputHelp();
  return text.slice(command.helpInformation().length).trim();
}

/**
 * Reads a command's definitions.
 *
 * @param command The command, with all those below it loaded.
 * @param path Its names from the program's down.
 * @returns Its shape.
 */
export function shapeOf(command: Command, path: readonly string[] = []): CommandShape {
  const help = command.createHelp();
  return {
    path,
    summary: command.summary() || command.description(),
    description: command.description(),
    options: help.visibleOptions(command).map((option) => shapeOfOption(command, option)),
    operands: command.registeredArguments.map((operand) => ({
      name: operand.required ? `<${operand.name()}>` : `[${operand.name()}]`,
      text: operand.description,
      value: operand.argChoices ? { kind: "choices", choices: operand.argChoices } : { kind: "path" },
    })),
    commands: command.commands.map((below) => shapeOf(below, [...path, below.name()])),
    ending: endingOf(command),
  };
}

/**
 * All commands of a tree, each before those below it.
 *
 * @param shape Its root.
 * @returns The root and all below.
 */
export function allCommands(shape: CommandShape): CommandShape[] {
  return [shape, ...shape.commands.flatMap(allCommands)];
}

/**
 * Tells whether an option takes several paths, so that any further word may be one.
 *
 * @param command The command.
 * @returns True for `--data <paths...>`.
 */
export function takesManyPaths(command: CommandShape): boolean {
  return command.options.some(({ flags, value }) => value.kind === "path" && flags.includes("..."));
}
