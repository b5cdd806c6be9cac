/**
 * Completions for PowerShell 5.1 and newer.
 * @module
 */

import { allCommands, type CommandShape, type Value } from "../interface.ts";

/** `'...'` for PowerShell, which doubles a quote. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** `'word|what it does'`: arrays of arrays would lose their inner brackets in PowerShell. */
function entry(word: string, text: string): string {
  return quote(`${word}|${text || word}`);
}

function list(entries: readonly string[]): string {
  return `@(\n    ${entries.join(",\n    ")}\n  )`;
}

function wordsOf(command: CommandShape): string {
  const choices = command.operands.flatMap(({ value }) => value.kind === "choices" ? value.choices : []);
  const entries = [
    ...command.commands.map(({ path, summary }) => entry(path.at(-1)!, summary)),
    ...choices.map((choice) => entry(choice, choice)),
    ...command.options.flatMap(({ long, short, text }) =>
      [long, ...short ? [short] : []].map((name) => entry(name, text))
    ),
  ];
  return `  $words[${quote(command.path.join(" "))}] = ${list(entries)}`;
}

/** What may stand behind an option. Of an empty list PowerShell makes file names. */
function valuesOf({ path, options }: CommandShape): string[] {
  const entriesOf = (value: Value) =>
    value.kind === "choices" ? value.choices.map((choice) => entry(choice, choice)) : [];
  return options.filter(({ value }) => value.kind !== "none").flatMap(({ long, short, value }) =>
    [long, ...short ? [short] : []].map((name) =>
      `  $values[${quote([...path, name].join(" "))}] = @(${entriesOf(value).join(", ")})`
    )
  );
}

/**
 * Writes the script.
 *
 * @param program The program's shape.
 * @returns Its text.
 */
export function powershellCompletions(program: CommandShape): string {
  const commands = allCommands(program);
  return `# PowerShell completions of mtc, made by: mtc completions powershell
Register-ArgumentCompleter -Native -CommandName mtc, mtc.exe -ScriptBlock {
  param($current, $line, $position)
  # PowerShell's own tables take -l and -L for one.
  $words = [System.Collections.Hashtable]::new([System.StringComparer]::Ordinal)
  $values = [System.Collections.Hashtable]::new([System.StringComparer]::Ordinal)
${commands.map(wordsOf).join("\n")}
${commands.flatMap(valuesOf).join("\n")}
  $path = ''
  $offers = $words['']
  foreach ($element in $line.CommandElements | Select-Object -Skip 1) {
    # The word under the cursor is what is to be completed.
    if ($element.Extent.EndOffset -ge $position) { break }
    $deeper = "$path $element".Trim()
    if ($words.ContainsKey($deeper)) { $path = $deeper }
    $offers = if ($values.ContainsKey($deeper)) { $values[$deeper] } else { $words[$path] }
  }
  foreach ($offer in $offers) {
    $word, $text = $offer -split '\\|', 2
    if ($word.StartsWith($current)) {
      [System.Management.Automation.CompletionResult]::new($word, $word, 'ParameterValue', $text)
    }
  }
}`;
}
