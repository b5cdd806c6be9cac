/**
 * The options that commands share, and the only readers of numbers on a command line.
 * @module
 */

import { Option } from "commander";
import { UsageError } from "../core/errors.ts";
import type { DataPaths } from "../core/text/documents.ts";
import { DAMAGED_RECORDS, PLAIN_READING, type TextReading } from "../core/text/reading.ts";

/** Which whole numbers an option takes. */
export interface Bounds {
  /** The smallest; 1 if left out. */
  readonly least?: number;
  /** The largest; the largest that a double holds exactly if left out. */
  readonly most?: number;
}

/**
 * Reads a whole number: digits and nothing else, so that what is typed is what is meant.
 *
 * @param flag The option's name, for the message.
 * @param text Its value.
 * @param bounds Which numbers will do.
 * @returns The number.
 * @throws {UsageError} When it is none of those; `1e3`, `0x10`, `1_000`, ` 5` and `5.0` are none.
 */
export function readWholeNumber(
  flag: string,
  text: string,
  { least = 1, most = Number.MAX_SAFE_INTEGER }: Bounds = {},
): number {
  const value = Number(text), isWritten = /^\d+$/.test(text);
  if (isWritten && value >= least && value <= most) return value;
  const isBounded = most < Number.MAX_SAFE_INTEGER;
  throw new UsageError({
    action: `read ${flag}`,
    requirement: `it must be a whole number${isBounded ? ` from ${least} to ${most}` : above(least)}`,
    found: `it is "${text}"`,
    remedy: !isWritten ? "write it in digits alone" : value > most ? `give ${most} or less` : `give ${least} or more`,
  });
}

/**
 * Reads a number, whole or not.
 *
 * @param flag The option's name, for the message.
 * @param text Its value, for example `0.001`, `-1` or `1e-3`.
 * @returns The number.
 * @throws {UsageError} When it is none, or too large for one.
 */
export function readNumber(flag: string, text: string): number {
  const value = Number(text);
  if (/^-?(\d+(\.\d+)?|\.\d+)(e[+-]?\d+)?$/i.test(text) && Number.isFinite(value)) return value;
  throw new UsageError({
    action: `read ${flag}`,
    requirement: "it must be a finite number",
    found: `it is "${text}"`,
    remedy: "write it like 0.001 or 1e-3",
  });
}

/**
 * Reads whole numbers with commas between them; see {@link readWholeNumber}.
 *
 * @param flag The option's name, for the message.
 * @param text Its value, for example `1152,2304,1152`.
 * @param least The smallest that will do.
 * @returns The numbers, in the order given.
 * @throws {UsageError} When one of them is none.
 */
export function readWholeNumbers(flag: string, text: string, least = 1): number[] {
  const entries = text.split(","), values = entries.map(Number);
  const areRead = entries.every((entry) => /^\d+$/.test(entry)) &&
    values.every((value) => value >= least && value <= Number.MAX_SAFE_INTEGER);
  if (areRead) return values;
  throw new UsageError({
    action: `read ${flag}`,
    requirement: `it must be whole numbers${above(least)} with commas between them`,
    found: `it is "${text}"`,
    remedy: `write it like ${least + 1},${least + 3}`,
  });
}

/**
 * Reads numbers with commas between them; see {@link readNumber}.
 *
 * @param flag The option's name, for the message.
 * @param text Its value, for example `1e-2,2.5e-2`.
 * @returns The numbers, in the order given.
 * @throws {UsageError} When one of them is none.
 */
export function readNumbers(flag: string, text: string): number[] {
  return text.split(",").map((entry) => readNumber(flag, entry));
}

/** What is said of the least number that will do; nothing of 0, as digits alone make no smaller one. */
function above(least: number): string {
  return least === 0 ? "" : least === 1 ? " above 0" : ` from ${least}`;
}

/**
 * Declares an option that takes a whole number.
 *
 * @param flags Its names, for example `-n, --top <n>`.
 * @param text What `--help` says of it.
 * @param bounds Which numbers will do, and the value without it.
 * @returns The option.
 */
export function wholeNumberOption(flags: string, text: string, bounds: Bounds & { value?: number } = {}): Option {
  const option = new Option(flags, text).default(bounds.value);
  return option.argParser((given) => readWholeNumber(option.long!, given, bounds));
}

/**
 * Declares an option that takes a number, whole or not.
 *
 * @param flags Its names, for example `--learning-rate <x>`.
 * @param text What `--help` says of it.
 * @returns The option.
 */
export function numberOption(flags: string, text: string): Option {
  const option = new Option(flags, text);
  return option.argParser((given) => readNumber(option.long!, given));
}

/**
 * Declares an option that takes whole numbers with commas between them.
 *
 * @param flags Its names, for example `-g, --groups <list>`.
 * @param text What `--help` says of it.
 * @param least The smallest number that will do.
 * @param value The value without it.
 * @returns The option.
 */
export function wholeNumbersOption(flags: string, text: string, least = 1, value?: readonly number[]): Option {
  const option = new Option(flags, text).default(value, value?.join(","));
  return option.argParser((given) => readWholeNumbers(option.long!, given, least));
}

/**
 * Declares an option that takes numbers with commas between them, whole or not.
 *
 * @param flags Its names, for example `--learning-rate <list>`.
 * @param text What `--help` says of it.
 * @returns The option.
 */
export function numbersOption(flags: string, text: string): Option {
  const option = new Option(flags, text);
  return option.argParser((given) => readNumbers(option.long!, given));
}

/**
 * Declares an option that takes a directory, or several.
 *
 * @param flags Its names, for example `-o, --out <dir>` or `--run <dirs...>`.
 * @param text What `--help` says of it.
 * @param value The value without it.
 * @returns The option; an empty value, as an unset variable of a shell gives it, is refused and not taken for the current directory.
 */
export function directoryOption(flags: string, text: string, value?: string): Option {
  const option = new Option(flags, text).default(value);
  return option.argParser((given, before: unknown) => {
    if (given !== "") return option.variadic ? [...before as string[] | undefined ?? [], given] : given;
    throw new UsageError({
      action: `read ${option.long}`,
      requirement: "it must be a directory",
      found: 'it is ""',
      remedy: "write . for the current one",
    });
  });
}

/**
 * Declares `--model` for commands that know it from a run.
 *
 * @returns The option.
 */
export function movedModelOption(): Option {
  return new Option("--model <model>", "where the run's model lies now, if it was moved; it must be the same");
}

/**
 * Declares `--data` likewise.
 *
 * @returns The option.
 */
export function movedDataOption(): Option {
  return new Option("--data <paths...>", "where the run's text lies now, if it was moved; it must be the same");
}

/** Records without text that are left out where nothing is said of them: so few do no text harm. */
export const BAD_LINES = 10;

/**
 * Declares `--text-column`.
 *
 * @returns The option.
 */
export function textColumnOption(): Option {
  const text =
    `the column of .parquet, .csv and .tsv, or the key of .jsonl and .json, that holds the text (default: ${PLAIN_READING.column})`;
  return new Option("--text-column <name>", text);
}

/**
 * Declares `--bad-lines`.
 *
 * @returns The option.
 */
export function badLinesOption(): Option {
  const text =
    `the most lines, rows and entries that are left out because they hold no text; a damaged file counts as ${DAMAGED_RECORDS} (default: ${BAD_LINES})`;
  return wholeNumberOption("--bad-lines <n>", text, { least: 0 });
}

/**
 * How a command line has its text read.
 *
 * @param options Its `--text-column` and `--bad-lines`.
 * @param data The text.
 * @param recorded How it was read before, by the run or the harvest that it is taken from.
 * @returns What is given, else what was recorded, else the default.
 * @throws {UsageError} When a column of the embedded text is asked for.
 */
export function readingFor(
  { textColumn, badLines }: { readonly textColumn?: string; readonly badLines?: number },
  data: DataPaths,
  recorded?: TextReading,
): TextReading {
  if (textColumn !== undefined && data === "builtin") {
    throw new UsageError({
      action: `read the column ${textColumn}`,
      requirement: "the text must be in files with columns",
      found: "the embedded one is not",
      remedy: "give files with --data, or leave --text-column out",
    });
  }
  const before = textColumn === undefined ? recorded : undefined;
  return {
    ...before ?? { ...PLAIN_READING, ...textColumn !== undefined && { column: textColumn } },
    badLines: badLines ?? recorded?.badLines ?? BAD_LINES,
  };
}

/**
 * Declares `--layers`.
 *
 * @param text What `--help` says of it.
 * @returns The option: layers counted from 0, each once.
 */
export function layersOption(text: string): Option {
  const flag = "--layers";
  return new Option(`-l, ${flag} <list>`, text).argParser((given) => [...new Set(readWholeNumbers(flag, given, 0))]);
}

/**
 * Declares `--precision`.
 *
 * @param isMeasured Whether the command measures what the rounding does, as `mtc train` and `mtc harvest` do.
 * @returns The option, f32 unless it is given.
 */
export function precisionOption(isMeasured = true): Option {
  const remark = isMeasured ? "; what f16 does to the activations is measured and shown" : "";
  return new Option("--precision <type>", `what the forward pass rounds the inputs of its products to${remark}`)
    .choices(["f32", "f16"]).default("f32");
}

/**
 * Declares `--run` of the commands that read a finished run.
 *
 * @param what What it may be; by default that of the commands that take all of a run's transcoders.
 * @returns The option, which must be given.
 */
export function runOption(what = "a transcoder's directory, or a run's for all its transcoders"): Option {
  return directoryOption("-r, --run <dir>", what).makeOptionMandatory();
}

/**
 * Declares `--json`.
 *
 * @param what What is printed; by default what the commands that read a finished run print of its transcoders.
 * @returns The option.
 */
export function jsonOption(what = "JSON: an object for a transcoder's directory, a list for a run's"): Option {
  return new Option("--json", `print ${what}`);
}
