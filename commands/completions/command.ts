/**
 * `mtc completions`: a script that makes a shell complete mtc's commands, options and their values.
 *
 * All four scripts know the commands as `path -> words`: they follow the words of the line from command to command, as far as each names one
 * below the last, and offer what may come there. Nothing of mtc runs while one types.
 * @module
 */

import { Argument, Command } from "commander";
import { type CommandShape, shapeOf } from "../interface.ts";
import { bashCompletions } from "./bash.ts";
import { fishCompletions } from "./fish.ts";
import { powershellCompletions } from "./powershell.ts";
import { zshCompletions } from "./zsh.ts";

const SHELLS: Readonly<Record<string, (program: CommandShape) => string>> = {
  bash: bashCompletions,
  zsh: zshCompletions,
  fish: fishCompletions,
  powershell: powershellCompletions,
};

/**
 * Builds the `completions` command.
 *
 * @param program Loads the program with all its commands.
 * @returns The command, ready to be added to the program.
 */
export function completionsCommand(program: () => Promise<Command>): Command {
  return new Command("completions")
    .description("Prints a script that makes a shell complete commands, options and their values.")
    .addArgument(new Argument("<shell>", "which shell").choices(Object.keys(SHELLS)))
    .addHelpText(
      "after",
      "\nExamples:\n" +
        '  eval "$(mtc completions bash)"       # in ~/.bashrc\n' +
        '  eval "$(mtc completions zsh)"        # in ~/.zshrc, behind compinit\n' +
        "  mtc completions fish > ~/.config/fish/completions/mtc.fish\n" +
        "  mtc completions powershell | Out-String | Invoke-Expression    # in $PROFILE",
    )
    .action(async (shell: string) => console.log(SHELLS[shell](shapeOf(await program()))));
}
