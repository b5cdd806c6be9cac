/**
 * `mtc man`: the manual page, in roff, of the definitions that `--help` is made of.
 * @module
 */

import { Command } from "commander";
import configuration from "../deno.json" with { type: "json" };
import { allCommands, type CommandShape, shapeOf } from "./interface.ts";

/** What the environment may say to mtc; the executable sees no other variables, but for those of the terminal and of a task's number. */
const ENVIRONMENT: Readonly<Record<string, string>> = {
  MTC_ADAPTER: "the GPU, as --adapter takes it",
  MTC_TRACE: "1 prints each dispatch with its parameters and milliseconds",
  "VK_DRIVER_FILES, VK_ICD_FILENAMES": "which Vulkan drivers the loader sees, on Linux",
  "HF_TOKEN, HF_TOKEN_PATH, HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE":
    "what they mean to Hugging Face's Python library, for models and texts named hf:OWNER/NAME",
  NO_COLOR: "no colours",
};

/** Text as roff takes it: a backslash, a hyphen that may be copied, and no line that begins a request. */
function roff(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^(?=[.'])/gm, "\\&");
}

/** Text that keeps its lines. */
function verbatim(text: string): string {
  return `.nf\n${roff(text)}\n.fi`;
}

function term(name: string, text: string): string {
  return `.TP\n.B ${roff(name)}\n${roff(text)}`;
}

function section(command: CommandShape): string {
  const { path, description, operands, options, ending } = command;
  const line = ["mtc", ...path, ...operands.map(({ name }) => name), "[options]"].join(" ");
  return [
    `.SS ${roff(line)}`,
    roff(description),
    ...operands.map(({ name, text }) => term(name, text)),
    ...options.map(({ flags, text }) => term(flags, text)),
    ...ending === "" ? [] : [".PP", verbatim(ending)],
  ].join("\n");
}

/**
 * Writes the manual page.
 *
 * @param program The program's shape.
 * @returns Roff, with the macros of man(7).
 */
export function manualPage(program: CommandShape): string {
  const commands = allCommands(program).slice(1);
  return [
    `.TH MTC 1 "" "mtc ${configuration.version}" "User Commands"`,
    ".SH NAME",
    `mtc \\- ${roff(program.description.replace(/\.$/, ""))}`,
    ".SH SYNOPSIS",
    ".B mtc",
    ".I command",
    "[options]",
    ".SH COMMANDS",
    ...commands.filter(({ path }) => path.length === 1).map(({ path, summary }) => term(path[0], summary)),
    ".SH DETAILS",
    ...commands.map(section),
    ".SH ENVIRONMENT",
    ...Object.entries(ENVIRONMENT).map(([name, text]) => term(name, text)),
    ".SH EXIT STATUS AND EXAMPLE",
    verbatim(program.ending),
  ].join("\n");
}

/**
 * Builds the `man` command.
 *
 * @param program Loads the program with all its commands.
 * @returns The command, ready to be added to the program.
 */
export function manCommand(program: () => Promise<Command>): Command {
  return new Command("man")
    .description("Prints the manual page of all commands and options.")
    .addHelpText(
      "after",
      "\nExamples:\n  mtc man | man -l -\n  mtc man > ~/.local/share/man/man1/mtc.1    # for `man mtc`",
    )
    .action(async () => console.log(manualPage(shapeOf(await program()))));
}
