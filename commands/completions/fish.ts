/**
 * Completions for fish 3 and newer.
 * @module
 */

import { allCommands, type CommandShape, type OptionShape, takesManyPaths, type Value } from "../interface.ts";

/** `'...'` for fish, which knows two escapes there. */
function quote(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}

/** -x: takes a value, and no files are offered; -r: takes one, and they are. */
function takes(value: Value): string {
  if (value.kind === "none") return "";
  if (value.kind === "path") return " -r -F";
  return value.kind === "choices" ? ` -x -a ${quote(value.choices.join(" "))}` : " -x";
}

function option(condition: string, { long, short, text, value }: OptionShape): string {
  const letter = short ? ` -s ${short.slice(1)}` : "";
  return `complete -c mtc -n ${condition} -l ${long.slice(2)}${letter}${takes(value)} -d ${quote(text)}`;
}

function linesOf(command: CommandShape): string[] {
  const condition = quote(`__mtc_at ${quote(command.path.join(" "))}`);
  const choices = command.operands.flatMap(({ value }) => value.kind === "choices" ? value.choices : []);
  const takesFiles = takesManyPaths(command) || command.operands.some(({ value }) => value.kind === "path");
  return [
    ...takesFiles ? [`complete -c mtc -n ${condition} -F`] : [],
    ...choices.map((choice) => `complete -c mtc -n ${condition} -a ${choice}`),
    ...command.commands.map(({ path, summary }) =>
      `complete -c mtc -n ${condition} -a ${path.at(-1)} -d ${quote(summary)}`
    ),
    ...command.options.map((each) => option(condition, each)),
  ];
}

/**
 * Writes the script.
 *
 * @param program The program's shape.
 * @returns Its text.
 */
export function fishCompletions(program: CommandShape): string {
  const commands = allCommands(program);
  const steps = commands.slice(1).map(({ path }) => quote(`${path.slice(0, -1).join(" ")}>${path.at(-1)}`));
  return `# fish completions of mtc, made by: mtc completions fish
function __mtc_at
    set -l path
    for word in (commandline -opc)[2..-1]
        switch "$path>$word"
            case ${steps.join(" ")}
                set path (string trim -- "$path $word")
        end
    end
    test "$path" = "$argv[1]"
end

complete -c mtc -f
${commands.flatMap(linesOf).join("\n")}`;
}
