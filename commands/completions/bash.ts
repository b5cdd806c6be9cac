/**
 * Completions for bash 3.2 and newer, without the package bash-completion.
 * @module
 */

import { allCommands, type CommandShape, type Value } from "../interface.ts";

/** `'...'` for a POSIX shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** What to do behind an option, or in an operand's place. An empty answer makes readline offer files. */
function answer(value: Value): string {
  if (value.kind === "choices") return `words=${quote(value.choices.join(" "))}`;
  return value.kind === "path" ? "return" : "compopt +o default +o bashdefault 2>/dev/null; return";
}

function caseOf(command: CommandShape): string {
  const names = command.options.flatMap(({ long, short }) => short ? [short, long] : [long]);
  const words = [...command.commands.map(({ path }) => path.at(-1)!), ...operandChoices(command), ...names];
  const flagsOf = new Map<string, string[]>();
  for (const { long, short, value } of command.options.filter(({ value }) => value.kind !== "none")) {
    const flags = flagsOf.get(answer(value)) ?? [];
    flagsOf.set(answer(value), [...flags, ...short ? [short] : [], long]);
  }
  const branches = [...flagsOf].map(([answer, flags]) => `        ${flags.join(" | ")}) ${answer} ;;`);
  return [
    `    ${quote(command.path.join(" "))})`,
    `      words=${quote(words.join(" "))}`,
    ...branches.length === 0 ? [] : ["      case $previous in", ...branches, "      esac"],
    "      ;;",
  ].join("\n");
}

/** The words that operands may be. */
function operandChoices({ operands }: CommandShape): string[] {
  return operands.flatMap(({ value }) => value.kind === "choices" ? value.choices : []);
}

/**
 * Writes the script.
 *
 * @param program The program's shape.
 * @returns Text for `eval` or a file that is sourced.
 */
export function bashCompletions(program: CommandShape): string {
  const commands = allCommands(program);
  const steps = commands.slice(1).map(({ path }) => `"${path.slice(0, -1).join(" ")}>${path.at(-1)}"`);
  return `# bash completions of mtc, made by: mtc completions bash
_mtc() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} path= words= i
  COMPREPLY=()
  # --option=value reaches here as three words.
  if [ "$current" = = ]; then current=; elif [ "$previous" = = ]; then previous=\${COMP_WORDS[COMP_CWORD-2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path>\${COMP_WORDS[i]}" in
      ${steps.join(" | ")})
        path=\${path:+$path }\${COMP_WORDS[i]} ;;
    esac
  done
  case $path in
${commands.map(caseOf).join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -o bashdefault -F _mtc mtc`;
}
