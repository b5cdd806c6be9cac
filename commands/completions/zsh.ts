/**
 * Completions for zsh, for `eval` behind compinit or as a file `_mtc` on $fpath.
 * @module
 */

import { allCommands, type CommandShape, type OptionShape, takesManyPaths, type Value } from "../interface.ts";

/** `'...'` for a POSIX shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Text inside of a specification of \`_arguments\`, which ends at a bracket or a colon. */
function escape(text: string): string {
  return text.replace(/[\\[\]:]/g, "\\$&");
}

function functionOf({ path }: CommandShape): string {
  return ["_mtc", ...path].join("_");
}

/** `:message:action`, what follows an option or stands in an operand's place. */
function action(name: string, value: Value): string {
  const message = escape(name);
  if (value.kind === "choices") return `:${message}:(${value.choices.join(" ")})`;
  return value.kind === "path" ? `:${message}:_files` : `:${message}: `;
}

function specification({ long, short, flags, text, value }: OptionShape): string {
  const name = /[<[](.*?)(\.\.\.)?[>\]]/.exec(flags)?.[1] ?? "";
  const ending = quote(`[${escape(text)}]${value.kind === "none" ? "" : action(name, value)}`);
  // --out takes its value behind = too. -o and --out exclude each other.
  const whole = value.kind === "none" ? long : `${long}=`;
  return short ? `'(${short} ${long})'{${short},${whole}}${ending}` : `${quote(whole)}${ending}`;
}

function definition(command: CommandShape): string {
  const options = command.options.map(specification);
  if (command.commands.length === 0) {
    const operands = command.operands.map(({ name, value }) => quote(action(name.slice(1, -1), value)));
    if (takesManyPaths(command)) operands.push("'*: :_files'");
    return `${functionOf(command)}() {\n  _arguments -s \\\n    ${[...options, ...operands].join(" \\\n    ")}\n}`;
  }
  const names = command.commands.map(({ path, summary }) => quote(`${path.at(-1)}:${summary.replaceAll(":", "\\:")}`));
  const cases = command.commands.map((below) => `        ${below.path.at(-1)}) ${functionOf(below)} ;;`);
  return `${functionOf(command)}() {
  local curcontext="$curcontext" state
  _arguments -C \\
    ${[...options, "'1: :->command'", "'*:: :->rest'"].join(" \\\n    ")}
  case $state in
    command)
      local -a commands=(
        ${names.join("\n        ")}
      )
      _describe command commands
      ;;
    rest)
      case $words[1] in
${cases.join("\n")}
      esac
      ;;
  esac
}`;
}

/**
 * Writes the script.
 *
 * @param program The program's shape.
 * @returns Its text.
 */
export function zshCompletions(program: CommandShape): string {
  return `#compdef mtc
# zsh completions of mtc, made by: mtc completions zsh
${allCommands(program).map(definition).join("\n\n")}

# As a file on $fpath this is the body of the function itself; by eval, the functions are defined and mtc is bound to one.
if [[ $funcstack[1] = _mtc ]]; then _mtc "$@"; else compdef _mtc mtc; fi`;
}
